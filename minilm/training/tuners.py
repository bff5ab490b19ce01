"""Tell Optuna and Ray Tune how a run does, where they are installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from minilm.training.callback import TrainerCallback


class OptunaPruningCallback(TrainerCallback):
    """Report each evaluation to a trial of Optuna, and end the run if its study says so.

    Evaluations are counted from 1, so that runs with batches of several sizes can be compared.

    Parameters
    ----------
    trial : optuna.trial.Trial
        As the objective gets it.
    monitor : str
        What to report: a metric of the evaluation, with or without ``val_``.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    optuna.TrialPruned
        Out of training, when the trial is to end; Optuna takes it for that.
    ValueError
        In training, if what is monitored was not measured.

    Examples
    --------
    >>> def objective(trial):
    ...     lr = trial.suggest_float("lr", 1e-3, 1e-1, log=True)
    ...     history = model().fit(train, valid, lr=lr, callbacks=[OptunaPruningCallback(trial)])
    ...     return history.best("val_loss")[1]
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        self._optuna = import_optuna()
        self._trial = trial
        self.monitor = monitor.removeprefix("val_").removeprefix("eval_")

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report, and ask."""
        value = monitored("OptunaPruningCallback", self.monitor, kwargs["metrics"])
        report_to_trial(self._optuna, self._trial, value, kwargs["history"])


class RayReportCallback(TrainerCallback):
    """Report the metrics of each evaluation to Ray Tune, whose scheduler may end the run.

    Parameters
    ----------
    metrics : dict, optional
        For each name that Ray is to see the metric of ours: ``{"loss": "val_loss"}``; by default
        all metrics, as ``val_loss`` and so on.
    report : callable, optional
        Instead of ``ray.tune.report``.

    Raises
    ------
    ImportError
        If Ray Tune is not installed.
    ValueError
        In training, if a metric was not measured.

    Examples
    --------
    >>> def train(config):
    ...     model().fit(train, valid, lr=config["lr"], callbacks=[RayReportCallback()])
    """

    def __init__(
        self,
        metrics: dict[str, str] | None = None,
        report: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self._metrics = metrics
        self._report = report or import_ray_tune().report

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report."""
        found = kwargs["metrics"]
        if self._metrics is None:
            shown = {f"val_{name.removeprefix('eval_')}": v for name, v in found.items()}
        else:
            shown = {
                name: monitored("RayReportCallback", one.removeprefix("val_"), found)
                for name, one in self._metrics.items()
            }
        self._report({**shown, "epoch": state.epoch, "step": state.global_step})


def report_to_trial(optuna: Any, trial: Any, value: float, history: Any) -> None:
    """Report what the newest evaluation reached, and raise ``TrialPruned`` if it is to end."""
    number = len(history.records)
    trial.report(value, number)
    if trial.should_prune():
        raise optuna.TrialPruned(f"evaluation {number} reached {value:g}")


def monitored(who: str, name: str, metrics: dict[str, float]) -> float:
    """Return a metric of an evaluation.

    Raises
    ------
    ValueError
        If it was not measured; the message gives what was.
    """
    name = name.removeprefix("eval_")
    if f"eval_{name}" not in metrics:
        names = ", ".join(key.removeprefix("eval_") for key in metrics)
        raise ValueError(
            f"{who} monitors {name!r}, but the evaluation gives {names or 'nothing'}: pass "
            "validation_data (eval_dataset), or another monitor"
        )
    return metrics[f"eval_{name}"]


def import_optuna() -> Any:
    """Return the module ``optuna``; where it is missing, say how to get it."""
    return _import("optuna", "optuna", "tune")


def import_ray_tune() -> Any:
    """Return the module ``ray.tune``; where it is missing, say how to get it."""
    return _import("ray.tune", "ray[tune]", "ray")


def _import(module: str, package: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this search needs {module}, which could not be imported ({error}): pip install "
            f"'minilm[{extra}]', or pip install '{package}'"
        ) from None
