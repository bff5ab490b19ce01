"""What `Trainer.hyperparameter_search` does, with Optuna or Ray Tune."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from minilm.training.arguments import TrainingArguments, check_choice, check_names
from minilm.training.callback import TrainerCallback
from minilm.training.diagnose import NonFiniteError
from minilm.training.tuners import import_optuna, import_ray_tune, report_to_trial

if TYPE_CHECKING:
    from minilm.training.trainer import Trainer

BATCH_SIZES = (4, 8, 16, 32, 64)
OPTIMIZE = ("timeout", "n_jobs", "catch", "callbacks", "gc_after_trial", "show_progress_bar")

Metrics = dict[str, float]


class BestRun(NamedTuple):
    """What `Trainer.hyperparameter_search` returns, as Hugging Face has it.

    Attributes
    ----------
    run_id : str
        The best trial's number; its folder is ``run-`` and this.
    objective : float
        What it reached.
    hyperparameters : dict
        Names and values of arguments.
    """

    run_id: str
    objective: float
    hyperparameters: dict[str, Any]


def default_compute_objective(metrics: Metrics) -> float:
    """Return the sum of the metrics that somebody computed, or the loss if there are none."""
    own = {name: v for name, v in metrics.items() if name not in ALWAYS_MEASURED}
    return sum(own.values()) if own else metrics["eval_loss"]


ALWAYS_MEASURED = ("eval_loss", "eval_perplexity", "eval_runtime", "epoch")


def default_optuna_space(trial: Any) -> dict[str, Any]:
    """Return Hugging Face's default space, drawn from by an Optuna trial."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-6, 1e-4, log=True),
        "num_train_epochs": trial.suggest_int("num_train_epochs", 1, 5),
        "seed": trial.suggest_int("seed", 1, 40),
        "per_device_train_batch_size": trial.suggest_categorical(
            "per_device_train_batch_size", BATCH_SIZES
        ),
    }


def default_ray_space(_: object) -> dict[str, Any]:
    """Return the same for Ray Tune to draw from."""
    tune = import_ray_tune()
    return {
        "learning_rate": tune.loguniform(1e-6, 1e-4),
        "num_train_epochs": tune.randint(1, 6),
        "seed": tune.randint(1, 41),
        "per_device_train_batch_size": tune.choice(list(BATCH_SIZES)),
    }


def search(
    trainer: Trainer,
    hp_space: Callable[[Any], dict[str, Any]] | None,
    compute_objective: Callable[[Metrics], float] | None,
    n_trials: int,
    direction: str,
    backend: str,
    options: dict[str, Any],
) -> BestRun:
    """Do what :meth:`minilm.training.Trainer.hyperparameter_search` says."""
    check_choice("backend", backend, tuple(BACKENDS))
    check_choice("direction", direction, ("minimize", "maximize"))
    if trainer.model_init is None:
        raise ValueError(
            "hyperparameter_search begins each trial with a new model: pass the Trainer a "
            "function model_init that makes one, instead of a model"
        )
    if trainer.eval_dataset is None:
        raise ValueError(
            "hyperparameter_search compares evaluations: the Trainer has no eval_dataset"
        )
    objective = compute_objective or default_compute_objective
    return BACKENDS[backend](trainer, hp_space, objective, n_trials, direction, options)


def call_model_init(model_init: Callable[..., Any], trial: Any = None) -> Any:
    """Make a model; the function may take a trial, or nothing.

    Raises
    ------
    ValueError
        If it needs more, or makes nothing.
    """
    parameters = inspect.signature(model_init).parameters
    needed = [name for name, one in parameters.items() if one.default is one.empty]
    if len(needed) > 1:
        raise ValueError(f"model_init takes a trial, or nothing; this one needs {needed}")
    model = model_init(trial) if needed or "trial" in parameters else model_init()
    if model is None:
        raise ValueError("model_init returned None: it must return the model that it makes")
    return model


# --- Optuna ---------------------------------------------------------------------------------------


def _search_with_optuna(
    trainer: Trainer,
    hp_space: Callable[[Any], dict[str, Any]] | None,
    compute_objective: Callable[[Metrics], float],
    n_trials: int,
    direction: str,
    options: dict[str, Any],
) -> BestRun:
    optuna = import_optuna()
    optimize = {name: options.pop(name) for name in OPTIMIZE if name in options}
    space = hp_space or default_optuna_space

    def objective(trial: Any) -> float:
        def report(value: float, history: Any) -> None:
            report_to_trial(optuna, trial, value, history)

        chosen = space(trial)
        return _train(trainer, trial, trial.number, chosen, compute_objective, report)

    study = optuna.create_study(direction=direction, **options)
    study.optimize(objective, n_trials, **{"catch": (NonFiniteError,), **optimize})
    states = [trial.state for trial in study.trials]
    if optuna.trial.TrialState.COMPLETE not in states:
        raise ValueError(
            f"none of {len(states)} trials came to its end: all were pruned, or their losses were "
            "not finite; lower the learning rates"
        )
    best = study.best_trial
    return BestRun(str(best.number), best.value, best.params)


# --- Ray Tune -------------------------------------------------------------------------------------


def _search_with_ray(
    trainer: Trainer,
    hp_space: Callable[[Any], dict[str, Any]] | None,
    compute_objective: Callable[[Metrics], float],
    n_trials: int,
    direction: str,
    options: dict[str, Any],
) -> BestRun:
    tune = import_ray_tune()
    here = Path.cwd()  # each trial works in a folder of Ray's

    def trainable(config: dict[str, Any]) -> None:
        def report(value: float, history: Any) -> None:
            tune.report({"objective": value, "evaluation": len(history.records)})

        if trainer.args.output_dir is not None:  # of this process's own copy
            trainer.args = replace(trainer.args, output_dir=str(here / trainer.args.output_dir))
        run = tune.get_context().get_trial_id()
        value = _train(trainer, config, run, config, compute_objective, report)
        tune.report({"objective": value})

    goal = {"metric": "objective", "mode": direction[:3]}
    config = options.pop("tune_config", None) or tune.TuneConfig(num_samples=n_trials, **goal)
    space = (hp_space or default_ray_space)(None)
    results = tune.Tuner(trainable, param_space=space, tune_config=config, **options).fit()
    best = results.get_best_result(**goal)
    return BestRun(best.metrics["trial_id"], best.metrics["objective"], dict(best.config))


BACKENDS = {"optuna": _search_with_optuna, "ray": _search_with_ray}


# --- both -----------------------------------------------------------------------------------------


def _train(
    trainer: Trainer,
    trial: Any,
    run: object,
    chosen: Mapping[str, Any],
    compute_objective: Callable[[Metrics], float],
    report: Callable[[float, Any], object],
) -> float:
    """Train one trial, and return its objective: that of its last evaluation."""
    watch = _Watch(compute_objective, report)
    with _trial(trainer, trial, run, chosen):
        trainer.add_callback(watch)
        try:
            trainer.train()
        finally:
            trainer.remove_callback(watch)
        if watch.objective is None:  # eval_strategy is "no"
            return compute_objective(trainer.evaluate())
        return watch.objective


@contextmanager
def _trial(trainer: Trainer, trial: Any, run: object, chosen: Mapping[str, Any]) -> Iterator[None]:
    """Give a trainer the arguments of a trial inside the block."""
    args = trainer.args
    names = [field.name for field in fields(TrainingArguments)]
    check_names("hp_space: TrainingArguments", chosen, names)
    values = {name: _like(getattr(args, name), value) for name, value in chosen.items()}
    if args.output_dir is not None:
        values["output_dir"] = str(Path(args.output_dir) / f"run-{run}")
    trainer.args, trainer.trial = replace(args, **values), trial
    try:
        yield
    finally:
        trainer.args, trainer.trial = args, None


def _like(old: Any, value: Any) -> Any:
    """Return a value as the type of the one that it replaces, as Hugging Face does."""
    return value if old is None or isinstance(old, dict) else type(old)(value)


class _Watch(TrainerCallback):
    """Report the objective of each evaluation."""

    def __init__(
        self,
        compute_objective: Callable[[Metrics], float],
        report: Callable[[float, Any], object],
    ) -> None:
        self._compute, self._report = compute_objective, report
        self.objective: float | None = None

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compute and report it."""
        self.objective = self._compute(dict(kwargs["metrics"]))
        self._report(self.objective, kwargs["history"])
