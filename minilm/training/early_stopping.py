"""Stop when a figure no longer gets better, and keep the weights with which it was best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minilm.training.arguments import TrainingArguments
from minilm.training.callback import TrainerCallback
from minilm.training.history import is_better_bigger


def best_metric(args: TrainingArguments) -> tuple[str, bool]:
    """Return the metric that tells which evaluation is best, and whether it grows."""
    monitor = (args.metric_for_best_model or "loss").removeprefix("eval_")
    bigger = args.greater_is_better
    return monitor, is_better_bigger(monitor) if bigger is None else bigger


def required_metric(metrics: Mapping[str, float], monitor: str) -> float:
    """Return the metric that tells which evaluation is best.

    Raises
    ------
    ValueError
        If it was not measured.
    """
    if monitor not in metrics:
        raise ValueError(
            f"metric_for_best_model is {monitor!r}, but the evaluation gives "
            f"{', '.join(f'eval_{name}' for name in metrics)}"
        )
    return metrics[monitor]


class BestWeights:
    """The weights with which a figure was best so far.

    Attributes
    ----------
    weights : dict, optional
        Copies of the model's ``state_dict``; None before the first.
    """

    def __init__(self) -> None:
        self.weights: dict[str, Any] | None = None

    def keep(self, model: Any) -> None:
        """Copy the weights that a model has now."""
        self.weights = {name: np.array(t.numpy()) for name, t in model.state_dict().items()}

    def restore(self, model: Any) -> None:
        """Give a model the weights kept, if there are any."""
        if self.weights is not None:
            model.load_state_dict(self.weights)


class EarlyStopping(TrainerCallback):
    """Keras's ``EarlyStopping``; the best weights are restored on every way out.

    That is at the end of the last epoch too, after Ctrl-C, and after an error: the model is left
    as it was best, whatever ended the run.

    Parameters
    ----------
    monitor : str
        What to look at: a metric of the evaluation, with or without ``val_``.
    min_delta : float
        Changes smaller than that are no improvement.
    patience : int
        Evaluations without improvement after which to stop.
    verbose : int
        1 says when it stops, and what was restored.
    mode : {"auto", "min", "max"}
        Whether less or more is better.
    baseline : float, optional
        A value to do better than: until then, no improvement restarts the patience.
    restore_best_weights : bool
        Leave the model with its best weights rather than its newest. Keras's default is False.
    start_from_epoch : int
        Epochs to let pass first.

    Attributes
    ----------
    best : float
        The best value so far.
    best_epoch, stopped_epoch : float
        When that was, and when it stopped; 0 if not.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        if patience < 0:
            raise ValueError(f"patience must not be negative; got {patience}")
        self.monitor = monitor.removeprefix("val_").removeprefix("eval_")
        self.min_delta = abs(min_delta)
        self.patience = patience
        self.verbose = verbose
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._sign = -1.0 if is_better_bigger(monitor, mode) else 1.0
        self._baseline = baseline
        self._best = BestWeights()
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.best = self._sign * math.inf
        self.best_epoch = self.stopped_epoch = 0.0
        self._best.weights = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget an earlier run, unless this one goes on with it.

        Raises
        ------
        ValueError
            If nothing will be evaluated.
        """
        if args.eval_strategy == "no" or not kwargs["engine"].validates:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor!r}, but nothing is evaluated: give "
                "validation_data, or eval_dataset and eval_strategy='epoch' or 'steps'"
            )
        if state.global_step == 0:
            self._reset()
        elif self.stopped_epoch:
            control.should_training_stop = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compare with the best so far.

        Raises
        ------
        ValueError
            If what is monitored was not measured.
        """
        if state.epoch <= self.start_from_epoch:
            return
        metrics = kwargs["metrics"]
        if (value := metrics.get(f"eval_{self.monitor}")) is None:
            names = ", ".join(name.removeprefix("eval_") for name in metrics)
            raise ValueError(
                f"EarlyStopping monitors {self.monitor!r}, but the evaluation gives "
                f"{names or 'nothing'}: pass validation_data (eval_dataset), or another monitor"
            )
        if self._best.weights is None and self.restore_best_weights:
            self._keep(state, kwargs["engine"])  # if none is better, the first is the best there is
        self.wait += 1
        if self._is_better(value, self.best):
            self.best = value
            self._keep(state, kwargs["engine"])
            if self._baseline is None or self._is_better(value, self._baseline):
                self.wait = 0
            return
        if self.wait >= self.patience:
            self.stopped_epoch = state.epoch
            control.should_training_stop = True

    def _is_better(self, value: float, than: float) -> bool:
        return self._sign * (than - value) > self.min_delta

    def _keep(self, state: Any, engine: Any) -> None:
        self.best_epoch = state.epoch
        if self.restore_best_weights:
            with engine.averaged_weights():
                self._best.keep(engine.model)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Restore the best weights."""
        self._best.restore(kwargs["model"])
        if self.verbose:
            if self.stopped_epoch:
                print(f"Epoch {self.stopped_epoch:g}: early stopping")
            if self._best.weights is not None:
                print(f"Restored the weights of epoch {self.best_epoch:g}, the best")

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {
            "wait": self.wait,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "stopped_epoch": self.stopped_epoch,
            "weights": self._best.weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.wait, self.best = state["wait"], state["best"]
        self.best_epoch, self.stopped_epoch = state["best_epoch"], state["stopped_epoch"]
        self._best.weights = state["weights"]


class EarlyStoppingCallback(EarlyStopping):
    """Hugging Face's ``EarlyStoppingCallback``: early stopping on ``metric_for_best_model``.

    Whether the model is left with its best weights, ``load_best_model_at_end`` says.

    Parameters
    ----------
    early_stopping_patience : int
        Evaluations without improvement after which to stop.
    early_stopping_threshold : float
        Changes that are not above it are no improvement.
    """

    def __init__(
        self, early_stopping_patience: int = 1, early_stopping_threshold: float = 0.0
    ) -> None:
        super().__init__(
            patience=early_stopping_patience,
            min_delta=early_stopping_threshold,
            restore_best_weights=False,
        )

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look up what counts, and forget an earlier run, unless this one goes on with it."""
        self.monitor, bigger = best_metric(args)
        self._sign = -1.0 if bigger else 1.0
        super().on_train_begin(args, state, control, **kwargs)


class KeepBest(TrainerCallback):
    """Note the best evaluation in the state, and leave the model with its weights if wanted.

    Parameters
    ----------
    monitor : str
        A metric of the evaluation.
    bigger_is_better : bool
        Which values are better.
    restore : bool
        Whether the model is left with the best weights.
    required : bool
        Whether an evaluation without the metric is an error; else it is passed over.
    """

    def __init__(
        self, monitor: str, bigger_is_better: bool, restore: bool, required: bool = True
    ) -> None:
        self.monitor = monitor
        self._sign = -1 if bigger_is_better else 1
        self._restore = restore
        self._required = required
        self._best = BestWeights()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compare with the best so far.

        Raises
        ------
        ValueError
            If the metric was not measured.
        """
        metrics = kwargs["metrics"]
        found = {name.removeprefix("eval_"): value for name, value in metrics.items()}
        if not found or (self.monitor not in found and not self._required):
            return
        value = required_metric(found, self.monitor)
        if state.best_metric is None or self._sign * (state.best_metric - value) > 0:
            state.best_metric, state.best_global_step = value, state.global_step
            control.should_save |= args.save_strategy == "best"
            if self._restore:
                with kwargs["engine"].averaged_weights():
                    self._best.keep(kwargs["model"])

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Restore the best weights, if wanted."""
        self._best.restore(kwargs["model"])

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"weights": self._best.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._best.weights = state["weights"]
