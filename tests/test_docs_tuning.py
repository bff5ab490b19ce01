"""What docs/tuning.md shows is true: its search runs, and its program."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest
from cli_helpers import TEXT

from minilm.cli.main import main
from minilm.tuning import read_space
from minilm.tuning.rungs import rungs, survivors

pytest.importorskip("optuna")

PAGE = (Path(__file__).parents[1] / "docs" / "tuning.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return found[0]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text(TEXT[:1600], encoding="utf-8")
    Path("space.toml").write_text(block("toml"), encoding="utf-8")


def test_the_command(capsys):
    program, *words = shlex.split(block("console"))
    assert program == "minilm" and main(words) == 0
    shown = capsys.readouterr().out
    assert shown.count("complete") == 1 and shown.count("pruned") == 3
    assert sorted(path.name for path in Path("runs", "tune-space").glob("t*")) == [
        "trial-0000",
        "trial-0001",
        "trial-0002",
        "trial-0003",
        "tuning.db",
    ]


def test_the_space():
    space = read_space("space.toml")
    assert space.parameters["hidden"].values == (16, 24, 32)
    assert space.fixed == {"epochs": 4}


def test_the_sum():
    """20 trials of 8 epochs cost 48 rather than 160."""
    count, done, epochs = 20, 0, 0
    for rung in rungs(1, 2, 8):
        epochs += count * (rung - done)
        done, count = rung, len(survivors(dict.fromkeys(range(count), 0.0), 2))
    assert f": {epochs} epochs instead of {20 * 8}" in " ".join(PAGE.split())


def test_the_program():
    exec(compile(block("python"), "docs/tuning.md", "exec"), {})
    with open("trials.csv", encoding="utf-8", newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)].count("complete") == 1
