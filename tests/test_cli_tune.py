"""``minilm tune``: a table, the command for the best, and a journal that goes on."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from cli_helpers import COMMAND, TEXT, environment, minilm

from minilm.cli.main import main

pytest.importorskip("optuna")

SPACE = """
lr = { low = 1e-3, high = 1e-1, log = true }
hidden = [4, 8]
embed = 4
epochs = 2
batch_size = 4
seq_len = 16
"""


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("cats.txt").write_text(TEXT[:1200], encoding="utf-8")
    Path("space.toml").write_text(SPACE, encoding="utf-8")
    return tmp_path


def tune(*arguments: object) -> int:
    words = ["tune", "space.toml", "--data", "cats.txt", *map(str, arguments)]
    return main(words)


def test_a_table_and_the_command_that_trains_the_best(files, capsys):
    assert tune("--trials", 2) == 0
    shown = capsys.readouterr()
    head, first, second, *_, command = shown.out.splitlines()
    assert head.split() == ["trial", "state", "loss", "epochs", "seconds", "hidden", "lr"]
    assert first.split()[1:2] + second.split()[1:2] == ["complete", "pruned"]
    assert "epoch 1: 1 of 2 trials go on" in shown.err
    assert f"saved in {Path('runs', 'tune-space')}" in shown.err
    assert Path("runs", "tune-space", "tuning.db").is_file()

    words = shlex.split(command)
    assert words[:2] == ["minilm", "train"]
    assert main([*words[1:], "--out", "best", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert main(["tune", "space.toml", "--data", "cats.txt", "--trials", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["command"] == command
    assert found["best"]["loss"] == trained["loss"]
    assert [trial["number"] for trial in found["trials"]] == [0, 1]

    Path("space.toml").write_text(SPACE.replace("[4, 8]", "[4, 9]"), encoding="utf-8")
    assert tune("--trials", 2) == 1
    message = capsys.readouterr().err
    assert "is of another search: hidden is" in message and "in a new folder" in message


@pytest.mark.slow
def test_kill_9_loses_nothing(files):
    """Killed with processes at work; whatever was finished is not done again."""
    space = SPACE.replace("epochs = 2", "epochs = 6")
    Path("space.toml").write_text(space, encoding="utf-8")
    arguments = ["tune", "space.toml", "--data", "cats.txt", "--trials", "3", "--seed", "2"]
    with subprocess.Popen(
        [*COMMAND, *arguments, "--jobs", "2", "--out", "cut"],
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=files,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"epoch 2: " in line:
                break
        process.kill()
    said = _go_on([*arguments, "--out", "cut", "--json"])
    whole = minilm(*arguments, "--out", "whole", "--json")
    cut, never = (json.loads(done.stdout)["trials"] for done in (said, whole))
    for trial in [*cut, *never]:
        del trial["seconds"]
    assert cut == never
    assert not re.search(r"trial \d.*, epoch 1: ", said.stderr)


def _go_on(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Start again, as soon as the killed search's processes have noticed its end."""
    for _ in range(50):
        done = minilm(*arguments)
        if "is writing into this folder" not in done.stderr:
            break
        time.sleep(0.2)
    assert done.returncode == 0, done.stderr
    return done


def test_ctrl_c_says_how_to_go_on(files, capsys, monkeypatch):
    from minilm.tuning.objectives import Outcome, TrainRecipe

    monkeypatch.setattr(TrainRecipe, "__call__", lambda self, task: Outcome({}, interrupted=True))
    assert tune("--trials", 1, "--out", "dir") == 130
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "the same command goes on with dir",
        "minilm: interrupted",
    ]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("lr = []", "space.toml: lr has no values to try"),
        ("rate = [1]", "space.toml has no 'rate'"),
        ("lr = [", "space.toml is not TOML"),
        ("lr = 0.1", "space.toml: there is nothing to search"),
        ("lr = { low = 1, high = 2 }", "space.toml: lr: a grid needs values"),
    ],
)
def test_a_space_that_cannot_be_is_explained_before_anything_happens(files, capsys, space, message):
    Path("space.toml").write_text(space, encoding="utf-8")
    assert tune("--method", "grid") == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("minilm tune: ") and message in shown.err and not shown.out
    assert not Path("runs").exists()
