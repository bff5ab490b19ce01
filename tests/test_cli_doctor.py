import json

import numpy as np
import pytest
from cli_helpers import TEXT, TINY, minilm

from minilm.models import RNNModel
from minilm.training import Diagnostics


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on a text that repeats itself: the validation text is in the training text."""
    path = tmp_path_factory.mktemp("run")
    (path / "cats.txt").write_text(TEXT, encoding="utf-8")
    done = minilm("train", "--data", path / "cats.txt", "--out", path / "run", *TINY)
    assert done.returncode == 0, done.stderr
    return path / "run"


def test_findings_are_ranked(folder):
    done = minilm("doctor", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1. leakage (broken)\n")
    assert "\n\n2. " in done.stdout
    assert "longest span shared, in tokens" in done.stdout
    assert done.stderr == ""


def test_json(folder):
    found = json.loads(minilm("doctor", folder, "--json").stdout)
    assert found["healthy"] is False
    assert found["findings"][0]["name"] == "leakage"
    assert found["findings"][0]["numbers"]["of"] > 100
    assert found["folder"] == str(folder)


def test_a_text_that_has_gone_is_said(folder):
    text = folder.parent / "cats.txt"
    text.rename(folder.parent / "moved.txt")
    try:
        done = minilm("doctor", folder)
    finally:
        (folder.parent / "moved.txt").rename(text)
    assert "the training text could not be looked at" in done.stderr
    assert "longest span shared" not in done.stdout


def test_a_run_that_diverged_before_anything_was_saved(folder):
    text, run = folder.parent / "cats.txt", folder.parent / "diverged"
    done = minilm("train", "--data", text, "--out", run, *TINY, "--lr", "1e9")
    assert "nothing was saved" in done.stderr
    assert not (run / "config.json").exists()
    done = minilm("doctor", run)
    assert done.stdout.startswith("1. not a number (broken)\n"), done.stderr
    assert "learning rate too high" in done.stdout


def test_the_folder_of_a_run_of_fit(tmp_path):
    ids = np.tile(np.arange(7), 60)
    model = RNNModel(7, 8, 8)
    options = {"output_dir": tmp_path, "verbose": 0, "epochs": 4, "lr": 1e-7, "batch_size": 2}
    model.fit(ids, ids[:50], callbacks=[Diagnostics()], **options)
    done = minilm("doctor", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a run of fit or Trainer does not say which it was" in done.stderr
    assert "learning rate too low" in done.stdout


def test_a_folder_that_is_no_run(tmp_path):
    done = minilm("doctor", tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no run.json" in done.stderr
