import json
import platform
import subprocess
import sys

import numpy as np
import pytest
from cli_helpers import environment, minilm


def test_env_says_where_it_runs():
    values = json.loads(minilm("env", "--json").stdout)
    assert values["Python"] == platform.python_version()
    assert values["NumPy"] == np.__version__
    assert {"minilm", "platform", "processors", "isa", "blas", "threads"} <= set(values)
    lines = minilm("env").stdout.splitlines()
    assert len(lines) == len(values)


def test_the_version_can_be_asked_for():
    done = minilm("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("minilm ")


def test_without_a_command_it_shows_its_usage():
    done = minilm()
    assert done.returncode == 2
    assert "usage: minilm" in done.stderr


def test_an_unknown_command_is_refused_with_the_known_ones():
    done = minilm("trian")
    assert done.returncode == 2
    for command in ("train", "tune", "generate", "chat", "eval", "memorisation", "info", "env"):
        assert command in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beams", "3"], "unrecognized arguments: --beams 3; did you mean --num-beams?"),
        (["--tep=0.5"], "unrecognized arguments: --tep=0.5; did you mean --temp?"),
        (["-w", "word"], "unrecognized arguments: -w word"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_one(arguments, message):
    done = minilm("generate", "DIR", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: minilm generate ")
    assert done.stderr.endswith(f"minilm generate: error: {message}\n")


def test_help_is_quick_to_load():
    program = (
        "import sys; from minilm.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules))"
    )
    shown = subprocess.check_output(
        [sys.executable, "-c", program], text=True, env=environment()
    ).splitlines()[-1]
    assert not {"tokenizers", "safetensors", "tqdm", "nltk"} & set(shown.split())
