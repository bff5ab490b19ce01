"""Fixtures that several test files share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# The slow twins multiply small matrices, where BLAS threads cost more than they give. This must
# stand before anything imports NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

TESTS = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "kernels: calls kernels, and runs once more on every other instruction set"
    )
    # A shell's background jobs start with Ctrl-C ignored, and so would all that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def core():
    """The C extension."""
    from minilm import _core

    return _core


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of texts that are too large to carry: MINILM_DATA, or ../shared/data."""
    folder = Path(os.environ.get("MINILM_DATA", TESTS.parent.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; MINILM_DATA names another")
    return folder


@pytest.fixture(scope="session")
def shakespeare(data_dir: Path) -> str:
    """The text of tiny-shakespeare."""
    path = data_dir / "tinyshakespeare.txt"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """Run Python in a new process that imports what this one imports; return what it prints."""

    def run(*arguments: str | Path, **environment: str) -> str:
        path = os.pathsep.join(folder for folder in sys.path if folder)
        done = subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | {"PYTHONPATH": path, "PYTHONUTF8": "1"} | environment,
            cwd=TESTS,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=110,
        )
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    return run


def _train(folder: Path, *options: str) -> Path:
    from cli_helpers import TEXT, TINY, minilm

    arguments = ["train", "--data", "-", *TINY, "--epochs", "12", *options, "--out", folder]
    done = minilm(*arguments, stdin=TEXT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny character model that the command line trained."""
    return _train(tmp_path_factory.mktemp("char"))


@pytest.fixture(scope="session")
def trained_on_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny word model that the command line trained."""
    return _train(tmp_path_factory.mktemp("word"), "--level", "word")
