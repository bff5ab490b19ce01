import json
import math
from dataclasses import replace

import pytest

from minilm.models import from_pretrained
from minilm.training import Architecture, Callback, NonFiniteError, Settings
from minilm.training.corpus import make_corpus
from minilm.training.run import Run

TEXT = "the cat sat on the mat.\n" * 40
SETTINGS = Settings(epochs=3, batch_size=4, seq_len=16)


def run(folder, **changes) -> Run:
    architecture = Architecture(hidden=16, embed=8)
    return Run(
        make_corpus(TEXT, "char", "cats"), architecture, replace(SETTINGS, **changes), folder
    )


class At(Callback):
    """Do something when a step is reached."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def on_train_begin(self, engine):
        self.on_step_end(engine)

    def on_step_end(self, engine):
        if engine.step == self.step:
            self.action(engine)


def interrupt(engine):
    raise KeyboardInterrupt


def break_weights(engine):
    engine.model.fc.bias.data[0] = math.nan


def test_what_is_saved_reaches_what_the_run_says(tmp_path):
    from minilm.training import evaluate

    training = run(tmp_path)
    training.fit()
    reached = evaluate(from_pretrained(tmp_path), training.corpus.valid_ids, seq_len=16)
    assert reached.loss == training.summary()["loss"]
    assert training.passage
    assert len(training.samples) == 3


def test_each_better_epoch_is_saved_at_once(tmp_path):
    seen = []

    class Look(Callback):
        def on_step_end(self, engine):
            seen.append((tmp_path / "model.safetensors").exists())

    training = run(tmp_path)
    training.fit(Look())
    steps = training.history.steps_per_epoch
    assert seen == [False] * steps + [True] * 2 * steps


def test_after_ctrl_c_the_newest_weights_are_saved_without_samples(tmp_path):
    training = run(tmp_path)
    training.fit(At(2, interrupt))
    assert training.samples == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "history.csv",
        "model.safetensors",
        "report.html",
        "tokenizer.json",
    ]
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["training"]["interrupted"] is True
    assert config["training"]["steps"] == 2
    assert "loss" not in config["training"]  # nothing was validated yet


def test_ctrl_c_before_the_first_step_saves_nothing(tmp_path):
    training = run(tmp_path)
    training.fit(At(0, interrupt))
    assert training.history.interrupted
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_breaks_down_keeps_its_best_epoch(tmp_path):
    training = run(tmp_path)
    steps = training.history.steps_per_epoch
    with pytest.raises(NonFiniteError, match=f"parameter fc.bias.*; epoch 1 is in {tmp_path}"):
        training.fit(At(steps + 3, break_weights))
    assert not math.isnan(from_pretrained(tmp_path).fc.bias.detach().numpy()[0])


def test_a_run_that_breaks_down_at_once_says_that_nothing_was_saved(tmp_path):
    with pytest.raises(NonFiniteError, match="nothing was saved"):
        run(tmp_path).fit(At(1, break_weights))
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_is_too_short_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="--seq-len 1000"):
        run(tmp_path / "run", seq_len=1000)
    assert not (tmp_path / "run").exists()
