"""A search finds the same, however many processes it has and wherever it was cut."""

from __future__ import annotations

import dataclasses
import math

import pytest
from cli_helpers import TEXT

from minilm.lock import FolderInUseError, hold_folder
from minilm.training.recipe import Recipe
from minilm.training.run import Run
from minilm.training.settings import Architecture, Settings
from minilm.tuning import Plan, Study, grid, halving, journal, random, read_space, tpe, tune
from minilm.tuning.objectives import TrainRecipe

pytest.importorskip("optuna")

SPACE = {"lr": {"low": 1e-3, "high": 1e-1, "log": True}, "hidden": [4, 8]}
PLAN = Plan("random", trials=4, seed=1)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Recipe:
    path = tmp_path_factory.mktemp("text") / "cats.txt"
    path.write_text(TEXT[:1200], encoding="utf-8")
    return Recipe(
        str(path),
        "char",
        Architecture(embed=4, hidden=4),
        Settings(epochs=3, batch_size=4, seq_len=16),
    )


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory) -> Study:
    """A search that was never cut, in one process."""
    return tune(SPACE, recipe, tmp_path_factory.mktemp("whole"), PLAN)


def outcome(study: Study) -> list:
    """Return all that must be the same."""
    return [dataclasses.replace(trial, seconds=0.0) for trial in study.trials]


def bowl(values: dict) -> float:
    return (values["x"] - 0.3) ** 2


BOWL = {"x": {"low": 0.0, "high": 1.0}}


# --- pruning --------------------------------------------------------------------------------------


def test_it_prunes_the_worse_half_at_each_rung(whole):
    assert sorted((trial.epochs, trial.state) for trial in whole.trials) == [
        (1, "pruned"),
        (1, "pruned"),
        (2, "pruned"),
        (3, "complete"),
    ]
    assert whole.best.loss == min(trial.loss for trial in whole.trials)


def test_halving_keeps_a_third(recipe, tmp_path):
    study = halving(SPACE, recipe, tmp_path, trials=3, seed=1)
    assert sorted(trial.epochs for trial in study.trials) == [1, 1, 3]


def test_without_pruning_all_come_to_their_end(recipe, tmp_path, whole):
    study = random(SPACE, recipe, tmp_path, trials=2, seed=1, pruning=False)
    assert [(trial.epochs, trial.state) for trial in study.trials] == [(3, "complete")] * 2
    drawn = [trial.hyperparameters for trial in whole.trials[:2]]
    assert [trial.hyperparameters for trial in study.trials] == drawn


def test_a_trial_is_the_run_that_its_values_say(whole, recipe, tmp_path):
    """Stopped at rungs or never, alone or among others: the same bits."""
    best = whole.best
    run = Run(read_space(SPACE).recipe(recipe, best.hyperparameters), tmp_path)
    run.train()
    assert run.summary()["loss"] == best.loss
    assert not (tmp_path / "report.html").exists()
    weights = "model.safetensors"
    there = whole.folder / f"trial-{best.number:04d}" / weights
    assert (tmp_path / weights).read_bytes() == there.read_bytes()


# --- the same, however it is done -----------------------------------------------------------------


def test_processes_change_nothing(whole, recipe, tmp_path):
    assert outcome(tune(SPACE, recipe, tmp_path, PLAN, jobs=2)) == outcome(whole)


def test_an_interrupted_search_goes_on(whole, recipe, tmp_path, monkeypatch):
    said: list[str] = []
    trained: list[tuple[int, int]] = []
    train = TrainRecipe.__call__

    def interrupt(message: str) -> None:
        said.append(message)
        if len(said) == 3:
            raise KeyboardInterrupt

    def counting(self, task):
        trained.append((task.number, task.until))
        return train(self, task)

    monkeypatch.setattr(TrainRecipe, "__call__", counting)
    with pytest.raises(KeyboardInterrupt):
        tune(SPACE, recipe, tmp_path, PLAN, say=interrupt)
    assert outcome(tune(SPACE, recipe, tmp_path, PLAN)) == outcome(whole)
    assert len(trained) == len(set(trained)) == 7  # nothing twice: 4 + 2 + 1


def test_a_trial_that_was_killed_before_it_could_say_so_is_not_lost(
    whole, recipe, tmp_path, monkeypatch
):
    train = TrainRecipe.__call__

    def die(self, task):
        train(self, task)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(TrainRecipe, "__call__", die)
        with pytest.raises(SystemExit):
            tune(SPACE, recipe, tmp_path, PLAN)
    assert outcome(tune(SPACE, recipe, tmp_path, PLAN)) == outcome(whole)


def test_a_finished_search_only_answers(whole, recipe, monkeypatch):
    monkeypatch.delattr(TrainRecipe, "__call__")
    said: list[str] = []
    assert outcome(tune(SPACE, recipe, whole.folder, PLAN, say=said.append)) == outcome(whole)
    assert said == [f"{whole.folder} has 4 finished trials: going on"]


# --- methods, on a function -----------------------------------------------------------------------


def test_grid_tries_all_and_goes_on_with_more(tmp_path):
    space = {"x": [0.1, 0.2, 0.3], "on": [True, False]}
    some = grid(space, bowl, tmp_path, trials=2)
    every = grid(space, bowl, tmp_path)
    assert every.trials[:2] == some.trials
    tried = [tuple(trial.hyperparameters.values()) for trial in every.trials]
    assert sorted(tried) == [(on, x) for on in (False, True) for x in (0.1, 0.2, 0.3)]
    assert every.best.hyperparameters["x"] == 0.3 and every.best.loss == 0


def test_tpe_learns_and_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "STARTUP", 4)
    one = tpe(BOWL, bowl, tmp_path / "one", trials=8)
    calls: list[dict] = []

    def cut(values: dict) -> float:
        calls.append(values)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return bowl(values)

    cut.__qualname__ = "bowl"
    with pytest.raises(KeyboardInterrupt):
        tpe(BOWL, cut, tmp_path / "two", trials=8)
    assert outcome(tpe(BOWL, bowl, tmp_path / "two", trials=8)) == outcome(one)
    other = tpe(BOWL, lambda values: -bowl(values), tmp_path / "three", trials=8)
    drawn, otherwise = ([t.hyperparameters for t in study.trials] for study in (one, other))
    assert drawn[:4] == otherwise[:4]
    assert drawn[4:] != otherwise[4:]


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_trial_that_fails_is_no_end(recipe, tmp_path):
    study = grid({"lr": [1e38, 0.01], "clip": 0.0, "epochs": 1}, recipe, tmp_path)
    assert sorted(trial.state for trial in study.trials) == ["complete", "failed"]
    failed = next(trial for trial in study.trials if trial.state == "failed")
    assert "at step " in failed.error and failed.hyperparameters == {"lr": 1e38}


def test_an_objective_that_is_no_number_fails(tmp_path):
    study = random(BOWL, lambda values: math.nan, tmp_path, trials=1)
    assert study.trials[0].error == "the objective returned nan"


def test_another_search_is_refused(whole, recipe, tmp_path):
    with pytest.raises(ValueError, match="is of another search: hidden is .*9.*, was .*4, 8"):
        tune({**SPACE, "hidden": [9]}, recipe, whole.folder, PLAN)
    with pytest.raises(ValueError, match="seed of the search is 2, was 1"):
        tune(SPACE, recipe, whole.folder, dataclasses.replace(PLAN, seed=2))
    with pytest.raises(ValueError, match="epochs is 4, was 3"):
        longer = dataclasses.replace(
            recipe, settings=dataclasses.replace(recipe.settings, epochs=4)
        )
        tune(SPACE, longer, whole.folder, PLAN)
    other = tmp_path / "cats.txt"
    other.write_text(TEXT[:1201], encoding="utf-8")
    with pytest.raises(ValueError, match="text is .cats.txt [0-9a-f]+., was .cats.txt"):
        tune(SPACE, dataclasses.replace(recipe, data=str(other)), whole.folder, PLAN)


def test_two_searches_in_one_folder(recipe, tmp_path):
    with hold_folder(tmp_path), pytest.raises(FolderInUseError):
        tune(SPACE, recipe, tmp_path, PLAN)


def test_a_damaged_journal_is_named(recipe, tmp_path):
    (tmp_path / "tuning.db").write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match=r"tuning\.db is no journal of a search"):
        tune(SPACE, recipe, tmp_path, PLAN)


def test_standard_input_cannot_be_read_twice(recipe, tmp_path):
    with pytest.raises(ValueError, match="must be a file, not standard input"):
        tune(SPACE, dataclasses.replace(recipe, data="-"), tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "randm"}, "method must be one of .*; got 'randm'; did you mean 'random'"),
        ({"trials": 0}, "trials must be at least 1; got 0"),
        ({"reduction": 1}, "reduction must be at least 2; got 1"),
        ({"min_epochs": 0}, "min_epochs must be at least 1"),
    ],
)
def test_a_plan_that_cannot_be(given, message):
    with pytest.raises(ValueError, match=message):
        Plan(**given)
