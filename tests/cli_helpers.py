"""Running the command as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 60

TINY = "--hidden 16 --embed 8 --seq-len 16 --batch-size 4 --epochs 2 --seed 3".split()

COMMAND = [sys.executable, "-m", "minilm"]


def minilm(
    *arguments: object, stdin: str | bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``minilm`` and return what it printed."""
    data = stdin.encode("utf-8") if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=data,
        capture_output=True,
        timeout=100,
        cwd=cwd,
        env=environment(),
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


def environment() -> dict[str, str]:
    """Return an environment in which a new process imports what this one imports."""
    path = os.pathsep.join(folder for folder in sys.path if folder)
    # What is printed is UTF-8 in any case: the tests would see it if it followed the platform.
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "latin-1"}
