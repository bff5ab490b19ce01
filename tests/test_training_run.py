import json
import math
from dataclasses import replace

import pytest
from training_helpers import At, interrupt, same_weights, weights

from minilm.models import from_pretrained
from minilm.training import Architecture, NonFiniteError, Recipe, Settings, TrainerCallback
from minilm.training.recipe import load_recipe
from minilm.training.run import Run

TEXT = "the cat sat on the mat.\n" * 40
SETTINGS = Settings(epochs=3, batch_size=4, seq_len=16)


@pytest.fixture
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "cats.txt"
    path.write_text(TEXT, encoding="utf-8")
    return Recipe(str(path), "char", Architecture(hidden=16, embed=8), SETTINGS)


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def break_weights(engine):
    engine.model.fc.bias.data[0] = math.nan


def test_what_is_saved_reaches_what_the_run_says(recipe, tmp_path):
    from minilm.training import evaluate

    training = Run(recipe, tmp_path)
    training.fit()
    reached = evaluate(from_pretrained(tmp_path), training.corpus.valid_ids, seq_len=16)
    assert reached.loss == training.summary()["loss"]
    assert training.passage
    assert len(training.samples) == 3


def test_each_better_epoch_is_saved_at_once(recipe, tmp_path):
    seen = []

    class Look(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            seen.append((tmp_path / "model.safetensors").exists())

    training = Run(recipe, tmp_path)
    training.fit(Look())
    steps = training.history.steps_per_epoch
    assert seen == [False] * steps + [True] * 2 * steps


def test_after_ctrl_c_the_newest_weights_are_saved_without_samples(recipe, tmp_path):
    training = Run(recipe, tmp_path)
    training.fit(At(2, interrupt))
    assert training.samples == {}
    assert files(tmp_path) == [
        ".run",
        "config.json",
        "diagnostics.jsonl",
        "log.jsonl",
        "model.safetensors",
        "report.html",
        "run.json",
        "tokenizer.json",
    ]
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["training"]["interrupted"] is True
    assert config["training"]["steps"] == 2
    assert "loss" not in config["training"]  # nothing was validated yet


def test_ctrl_c_before_the_first_step_saves_nothing(recipe, tmp_path):
    training = Run(recipe, tmp_path)
    training.fit(At(0, interrupt))
    assert training.history.interrupted
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_breaks_down_keeps_its_best_epoch(recipe, tmp_path):
    training = Run(recipe, tmp_path)
    steps = 12
    with pytest.raises(NonFiniteError, match=f"parameter fc.bias.*; epoch 1 is in {tmp_path}"):
        training.fit(At(steps + 3, break_weights))
    assert not math.isnan(from_pretrained(tmp_path).fc.bias.detach().numpy()[0])


def test_a_run_that_breaks_down_at_once_says_that_nothing_was_saved(recipe, tmp_path):
    with pytest.raises(NonFiniteError, match="nothing was saved"):
        Run(recipe, tmp_path).fit(At(1, break_weights))
    assert files(tmp_path) == [".run", "diagnostics.jsonl", "log.jsonl", "run.json"]


def test_a_text_that_is_too_short_leaves_no_folder(recipe, tmp_path):
    long = replace(recipe, settings=replace(SETTINGS, seq_len=1000))
    with pytest.raises(ValueError, match="--seq-len 1000"):
        Run(long, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_as_its_folder_says(recipe, tmp_path):
    whole = Run(recipe, tmp_path / "whole")
    whole.fit()
    Run(recipe, tmp_path / "cut").fit(At(17, interrupt))
    said = []
    again = Run(load_recipe(tmp_path / "cut"), tmp_path / "cut", resume=True, say=said.append)
    again.fit()
    assert said == [f"going on from {tmp_path / 'cut' / 'checkpoint-17'}, after step 17"]
    assert same_weights(weights(again.model), weights(whole.model))
    assert again.samples == whole.samples
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_patience_ends_it_early(recipe, tmp_path):
    settings = replace(SETTINGS, epochs=50, patience=1, lr=0.5, clip=0.0)
    training = Run(replace(recipe, settings=settings), tmp_path)
    training.fit()
    assert len(training.history.records) < 50
    assert training.summary()["loss"] == training.history.best()[1]
