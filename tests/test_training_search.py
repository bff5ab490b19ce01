"""Trainer.hyperparameter_search has Hugging Face's meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_helpers import CYCLE, Bigram

import minilm
from minilm.models import RNNModel
from minilm.training import BestRun, Trainer, TrainingArguments
from minilm.training.search import default_compute_objective, default_optuna_space

optuna = pytest.importorskip("optuna")


def trainer(folder=None, model_init=Bigram, **arguments) -> Trainer:
    args = TrainingArguments(
        **{
            "output_dir": folder,
            "num_train_epochs": 3,
            "per_device_train_batch_size": 4,
            "learning_rate": 0.01,
            "eval_strategy": "epoch",
            "save_strategy": "no",
            "disable_tqdm": True,
            **arguments,
        }
    )
    return Trainer(
        None, args, train_dataset=CYCLE[:200], eval_dataset=CYCLE[200:280], model_init=model_init
    )


def space(trial):
    return {"learning_rate": trial.suggest_categorical("learning_rate", [1e-6, 0.1])}


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def grid_sampler():
    return optuna.samplers.GridSampler({"learning_rate": [1e-6, 0.1]}, seed=0)


def test_it_finds_the_better_rate(tmp_path):
    one = trainer(str(tmp_path))
    args = one.args
    best = one.hyperparameter_search(space, n_trials=2, sampler=grid_sampler())
    assert isinstance(best, BestRun)
    assert best.hyperparameters == {"learning_rate": 0.1}
    assert one.args is args and one.args.learning_rate == 0.01
    runs = sorted(path.name for path in tmp_path.iterdir())
    assert runs == ["run-0", "run-1"] and best.run_id in "01"
    for name, value in best.hyperparameters.items():  # as Hugging Face's pages go on
        setattr(one.args, name, value)
    one.train()
    assert one.evaluate()["eval_loss"] == pytest.approx(best.objective, abs=1e-9)


def test_a_direction_and_an_objective_of_ones_own():
    seen = []

    def objective(metrics):
        seen.append(set(metrics))
        return -metrics["eval_loss"]

    one = trainer()
    best = one.hyperparameter_search(
        space, objective, 2, direction="maximize", sampler=grid_sampler()
    )
    assert best.hyperparameters == {"learning_rate": 0.1} and best.objective < 0
    assert all(names >= {"eval_loss", "eval_perplexity"} for names in seen)
    assert len(seen) == 6  # each evaluation


def test_without_evaluations_on_the_way_there_is_one_at_the_end():
    best = trainer(eval_strategy="no").hyperparameter_search(
        space, n_trials=2, sampler=grid_sampler()
    )
    assert best.hyperparameters == {"learning_rate": 0.1}


def test_hopeless_trials_are_pruned():
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1)
    study_name = "pruned"
    storage = optuna.storages.InMemoryStorage()
    sampler = optuna.samplers.GridSampler({"learning_rate": [0.1, 1e-6]}, seed=0)
    if sampler._all_grids[0] != (0.1,):
        sampler._all_grids.reverse()  # the good one first, so that there is something to lose to
    trainer().hyperparameter_search(
        space, n_trials=2, sampler=sampler, pruner=pruner, storage=storage, study_name=study_name
    )
    first, second = optuna.load_study(study_name=study_name, storage=storage).trials
    assert (first.state.name, len(first.intermediate_values)) == ("COMPLETE", 3)
    assert (second.state.name, list(second.intermediate_values)) == ("PRUNED", [1])


def test_the_default_space_is_hugging_faces():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [default_optuna_space(study.ask()) for _ in range(30)]
    assert all(1e-6 <= one["learning_rate"] <= 1e-4 for one in drawn)
    assert {one["num_train_epochs"] for one in drawn} == {1, 2, 3, 4, 5}
    assert {one["per_device_train_batch_size"] for one in drawn} == {4, 8, 16, 32, 64}
    assert all(1 <= one["seed"] <= 40 for one in drawn)


def test_the_default_objective():
    measured = {"eval_loss": 2.0, "eval_perplexity": 7.4, "eval_runtime": 1.0, "epoch": 1.0}
    assert default_compute_objective(measured) == 2.0
    assert default_compute_objective({**measured, "eval_accuracy": 0.5, "eval_f1": 0.25}) == 0.75


def test_model_init_sees_the_trial():
    rates = []

    def model_init(trial):
        rates.append(trial and trial.params["learning_rate"])
        return Bigram()

    one = trainer(model_init=model_init)
    one.hyperparameter_search(space, n_trials=2, sampler=grid_sampler())
    assert rates[0] is None and sorted(rates[1:]) == [1e-6, 0.1]


def test_each_training_begins_with_a_new_model():
    one = trainer(model_init=lambda: RNNModel(5, 4, 4))
    losses = []
    for _ in range(2):
        one.train()
        losses.append(one.evaluate()["eval_loss"])
        minilm.manual_seed(7)
    assert losses[0] == losses[1]


def test_trials_that_end_in_no_number_are_no_end():
    def wild(trial):
        rate = trial.suggest_categorical("learning_rate", [1e38, 0.1])
        return {"learning_rate": rate, "max_grad_norm": 0}

    def search(*rates):
        sampler = optuna.samplers.GridSampler({"learning_rate": rates}, seed=0)
        one = trainer(model_init=lambda: RNNModel(5, 4, 4))
        return one.hyperparameter_search(wild, n_trials=len(rates), sampler=sampler)

    assert search(1e38, 0.1).hyperparameters == {"learning_rate": 0.1}
    with pytest.raises(ValueError, match="none of 1 trials came to its end"):
        search(1e38)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ray_searches_too(tmp_path, run_python):
    """Slow, because Ray starts a small cluster first; in a process that Ray may fill."""
    pytest.importorskip("ray.tune")
    best = run_python(Path(__file__).with_name("ray_search.py"), tmp_path).splitlines()[-1]
    run_id, rate, objective, again = best.split()
    assert float(rate) == 0.1
    assert float(objective) == pytest.approx(float(again), abs=1e-9)
    assert (tmp_path / "out" / f"run-{run_id}").is_dir()


def test_what_cannot_be_searched_is_explained():
    with pytest.raises(ValueError, match="pass the Trainer a function model_init"):
        Trainer(Bigram(), eval_dataset=CYCLE).hyperparameter_search(space)
    with pytest.raises(ValueError, match="no eval_dataset"):
        Trainer(model_init=Bigram, train_dataset=CYCLE).hyperparameter_search(space)
    with pytest.raises(ValueError, match="backend must be one of 'optuna', 'ray'; got 'optuma'"):
        trainer().hyperparameter_search(space, backend="optuma")
    with pytest.raises(ValueError, match="direction must be .*did you mean 'minimize'"):
        trainer().hyperparameter_search(space, direction="minimise")
    with pytest.raises(ValueError, match="has no 'learning_rat'; did you mean 'learning_rate'"):
        trainer().hyperparameter_search(lambda trial: {"learning_rat": 0.1}, n_trials=1)
    with pytest.raises(ValueError, match="model_init makes a new model .* `optimizers`"):
        Trainer(model_init=Bigram, optimizers=(object(), None))
    with pytest.raises(ValueError, match=r"this one needs \['one', 'two'\]"):
        Trainer(model_init=lambda one, two: Bigram())
    with pytest.raises(ValueError, match="model_init returned None"):
        Trainer(model_init=lambda: None)
