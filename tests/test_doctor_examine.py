"""What an examination takes and gives, and that healthy runs are found healthy."""

import json

import numpy as np
import pytest
from doctor_helpers import make_model, names, topics, train, train_ids, valid_ids
from test_training_diagnostics import break_weights
from training_helpers import At, interrupt

from minilm.doctor import CHECKS, Finding, Severity, diagnose, evidence_of_folder, examine
from minilm.training import Architecture, NonFiniteError, Recipe, Settings
from minilm.training.run import Run

SETTINGS = Settings(epochs=8, batch_size=8, seq_len=32, seed=1)
FINDING = Finding("name", Severity.HARM, "It is so.", {"share": 0.123456, "steps": 7}, "more")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "topics.txt"
    path.write_text("".join(chr(ord("a") + k) for k in topics(13_000)), encoding="utf-8")
    return Recipe(str(path), "char", Architecture(hidden=32, embed=16, dropout=0.0), SETTINGS)


@pytest.fixture(scope="module")
def healthy(recipe, tmp_path_factory):
    run = Run(recipe, tmp_path_factory.mktemp("runs") / "healthy")
    run.fit()
    return run


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_healthy_run_has_no_finding(cell, seed):
    history, diagnostics = train(make_model(cell, seed), epochs=8)
    texts = {"train_ids": train_ids(), "valid_ids": valid_ids()}
    assert examine(history=history, diagnostics=diagnostics, **texts) == []


@pytest.mark.slow
def test_the_demo_s_settings_have_no_finding(tmp_path):
    Run(Recipe(), tmp_path).fit()
    assert examine(tmp_path) == []


def test_a_healthy_folder_has_no_finding(healthy):
    assert examine(healthy.folder) == []
    assert examine(str(healthy.folder)) == []
    assert examine(healthy) == []


def test_a_run_that_was_interrupted(recipe, tmp_path):
    Run(recipe, tmp_path).fit(At(40, interrupt))
    found = {one.name: one for one in examine(tmp_path)}["not finished"]
    assert found.numbers["of"] == 360
    assert 30 < found.numbers["steps seen"] <= 40
    assert found.advice == f"minilm train --resume {tmp_path}"


def test_a_run_that_patience_ended_is_finished(recipe, tmp_path):
    from dataclasses import replace

    settings = replace(SETTINGS, epochs=50, patience=1, lr=0.3, seq_len=64)
    Run(replace(recipe, settings=settings), tmp_path).fit()
    evidence = evidence_of_folder(tmp_path)
    assert evidence.samples[-1]["step"] < evidence.samples[-1]["max_steps"]
    assert "not finished" not in names(diagnose(evidence))


def test_a_run_that_broke_down(recipe, tmp_path):
    with pytest.raises(NonFiniteError):
        Run(recipe, tmp_path).fit(At(60, break_weights))
    first = examine(tmp_path)[0]
    assert first.name == "not a number"
    assert first.numbers["step"] == 61
    assert "fc.bias" in first.numbers["error"]


def test_a_history_with_a_loss_that_is_no_number():
    (found,) = examine(history={"loss": [2.0, float("nan")]})
    assert (found.name, found.numbers) == ("not a number", {"first in epoch": 2})


def copy_of(run, folder):
    import shutil

    return shutil.copytree(run.folder, folder / "copy")


@pytest.mark.parametrize(
    ("data", "why"),
    [("gone.txt", "No such file"), ("-", "standard input"), ("other.txt", "has changed")],
)
def test_a_text_that_cannot_be_read_again(healthy, tmp_path, data, why):
    folder = copy_of(healthy, tmp_path)
    (tmp_path / "other.txt").write_text("abc" * 500, encoding="utf-8")
    path = folder / "run.json"
    values = json.loads(path.read_text("utf-8"))
    values["data"] = data if data == "-" else str(tmp_path / data)
    path.write_text(json.dumps(values), encoding="utf-8")
    evidence = evidence_of_folder(folder)
    assert why in evidence.unread
    assert evidence.train_ids is None
    assert evidence.ngram == healthy.ngram.loss
    assert diagnose(evidence) == []


def test_a_folder_of_an_older_run_has_no_diagnostics(healthy, tmp_path):
    folder = copy_of(healthy, tmp_path)
    (folder / "diagnostics.jsonl").unlink()
    assert names(examine(folder)) == ["not finished"]


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder of a run: it has no run.json"):
        examine(tmp_path)
    with pytest.raises(FileNotFoundError):
        examine(tmp_path / "nowhere")


def test_a_damaged_history(healthy, tmp_path):
    folder = copy_of(healthy, tmp_path)
    (folder / "history.csv").write_text("epoch,loss\n1,two\n", encoding="utf-8")
    with pytest.raises(ValueError, match="history.csv is damaged.*two"):
        examine(folder)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ValueError, "nothing to examine"),
        ({"run": 3}, TypeError, "a folder of minilm train, or a Run; got int"),
        ({"run": "x", "history": {}}, ValueError, "give it alone"),
        ({"history": [1.0]}, TypeError, "lists by name.*got list"),
        ({"history": {"loss": [1.0], "val_loss": []}}, ValueError, "'val_loss': 0"),
        ({"model": make_model()}, ValueError, "give a batch"),
        ({"batch": (np.ones(3), np.ones(3))}, ValueError, "ids .batch, time."),
    ],
)
def test_what_cannot_be_examined(given, error, message):
    with pytest.raises(error, match=message):
        examine(**given)


def test_the_worst_is_told_first():
    ids = train_ids()[:64].reshape(2, 32)
    history = {"loss": [2.0, 1.5], "val_loss": [2.0, 1.6]}
    found = examine(history=history, batch=(ids, ids))
    assert names(found) == ["targets not shifted", "underfitting"]
    assert [one.severity for one in found] == [Severity.BROKEN, Severity.HINT]


def test_a_finding_in_words_and_as_json():
    text = "name (harm)\n  It is so.\n  Seen: share 0.1235, steps 7.\n  Try: more"
    assert str(FINDING) == text
    assert json.loads(json.dumps(FINDING.to_dict()))["severity"] == "harm"


def test_each_check_finds_nothing_where_nothing_is_known():
    from minilm.doctor import Evidence

    assert [check for check in CHECKS if check(Evidence()) is not None] == []
