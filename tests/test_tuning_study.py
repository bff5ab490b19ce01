"""What a study says of its trials."""

import csv
from pathlib import Path

import pytest

from minilm.cli.main import _parser
from minilm.training.recipe import Recipe
from minilm.training.settings import Architecture, Settings
from minilm.tuning import Study, TrialResult
from minilm.tuning.study import train_command

TRIALS = [
    TrialResult(0, "pruned", 1.0, {"lr": 0.1}, 1, 2.0),
    TrialResult(1, "complete", 2.0, {"lr": 0.2}, 3, 6.0),
    TrialResult(2, "failed", None, {"lr": 9.0}, error="the loss is <nan>"),
    TrialResult(3, "complete", 1.5, {"lr": 0.0123456}, 3, 6.0),
    TrialResult(4, "running", None, {"lr": 0.3}),
]
STUDY = Study(Path("folder"), TRIALS, Recipe("my text.txt", "char", settings=Settings(epochs=3)))


def test_the_best_is_complete():
    assert STUDY.best == TRIALS[3]
    assert [trial.number for trial in STUDY.ranked()] == [3, 1, 0, 2, 4]


def test_a_table_has_the_best_first():
    head, first, *rest = STUDY.table().splitlines()
    assert head.split() == ["trial", "state", "loss", "epochs", "seconds", "lr"]
    assert first.split() == ["3", "complete", "1.5000", "3", "6.0", "0.01235"]
    assert len(rest) == 4


def test_it_shows_itself():
    html = STUDY._repr_html_()
    assert html.count("<tr>") == 6 and "<td>0.01235</td>" in html
    assert repr(STUDY) == ("<Study: 2 complete, 1 pruned, 1 failed, 1 running, best loss 1.5000>")
    assert repr(Study(Path("x"))) == "<Study: no trials>"


def test_csv_keeps_every_digit(tmp_path):
    STUDY.to_csv(tmp_path / "trials.csv")
    with open(tmp_path / "trials.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == list("01234")
    assert rows[3]["lr"] == "0.0123456" and rows[2]["error"] == "the loss is <nan>"


def test_no_complete_trial_says_why():
    with pytest.raises(ValueError, match="all failed, the first with: the loss is <nan>"):
        Study(Path("x"), [TRIALS[2]]).best  # noqa: B018 - it raises


def test_the_command_trains_the_same():
    command = train_command(
        Recipe("my text.txt", "word", Architecture(hidden=9), Settings(epochs=3, clip=0.0), 500),
        {"lr": 0.1 + 0.2, "model": "gru", "batch_size": 5, "tie": True},
    )
    assert command == (
        "minilm train --level word --data 'my text.txt' --vocab-size 500 --model gru --hidden 9 "
        "--tie --epochs 3 "
        "--batch-size 5 --lr 0.30000000000000004 --clip 0.0"
    )
    words = command.replace("'my text.txt'", "x").split()[1:]
    assert _parser().parse_args(words).lr == 0.1 + 0.2


def test_an_own_objective_has_no_command():
    with pytest.raises(ValueError, match="no recipe"):
        Study(Path("x"), TRIALS).best_command()
