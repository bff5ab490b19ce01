"""What others hear of a run while it trains, and what they may ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class TrainerState:
    """Where a run stands, under Hugging Face's names; saved as ``trainer_state.json``.

    Attributes
    ----------
    epoch : float
        Passes over the training data so far, parts included.
    global_step, max_steps : int
        Optimizer steps done, and those of the whole run.
    num_train_epochs : int
        Passes of the whole run, a part counted as one.
    train_batch_size : int
        Sequences of a batch.
    num_input_tokens_seen : int
        Targets trained on.
    log_history : list of dict
        All that was logged.
    best_metric : float, optional
        The best evaluation so far; see ``metric_for_best_model``.
    best_global_step : int, optional
        Its step.
    best_model_checkpoint : str, optional
        The checkpoint of that step, if one was written.
    """

    epoch: float = 0.0
    global_step: int = 0
    max_steps: int = 0
    num_train_epochs: int = 0
    train_batch_size: int | None = None
    num_input_tokens_seen: int = 0
    log_history: list[dict[str, Any]] = field(default_factory=list)
    best_metric: float | None = None
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return names and values, which JSON can hold."""
        return asdict(self)


@dataclass
class TrainerControl:
    """What is to happen next. Callbacks set it; each wish is granted once.

    Attributes
    ----------
    should_training_stop, should_epoch_stop : bool
        End the run, or the pass, after this step.
    should_save, should_evaluate, should_log : bool
        Do it after this step.
    """

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False


class TrainerCallback:
    """Override the events of interest.

    Each gets the arguments, the state and the control of the run, and by name whatever else it
    asks for: ``model``, ``optimizer``, ``lr_scheduler``, ``train_dataloader``, ``history``,
    ``engine``, and ``batches``, ``metrics``, ``logs`` or ``grad_norm`` where the event has them.
    To keep something across an interruption, define ``state_dict`` and ``load_state_dict``: what
    they exchange (numbers, text, tensors, lists and dictionaries of them) is part of every
    checkpoint.

    Examples
    --------
    >>> class StopEarly(TrainerCallback):
    ...     def on_step_end(self, args, state, control, **kwargs):
    ...         control.should_training_stop = state.global_step >= 100
    """

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After the engine was made."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before the first step; after a resumed run has its state back."""

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Last of all, also after an error or Ctrl-C."""

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before the first step of a pass."""

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After the last step of a pass, before its evaluation."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before the batches of a step are read."""

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After a batch whose gradient is added to others."""

    def on_after_backward(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """When the gradients of ``batches`` are there, not clipped yet."""

    def on_after_clip(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """When they are clipped and found finite; ``grad_norm`` is their norm before."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Just before the weights change."""

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Just after they did; gradients are still there."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After a step; ``state.global_step`` counts it."""

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After ``logs`` were added to ``state.log_history``."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After an evaluation; ``metrics`` holds what it found."""

    def on_predict(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After a prediction; ``metrics`` holds what it found."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After a checkpoint was written; ``checkpoint`` is its folder."""


class CallbackList:
    """Callbacks in the order in which they hear of things."""

    def __init__(self, callbacks: Sequence[Any]) -> None:
        self.callbacks = [one() if isinstance(one, type) else one for one in callbacks]
        for one in self.callbacks:
            if not hasattr(one, "on_train_begin"):
                raise TypeError(
                    f"callbacks are TrainerCallback objects or classes; got {type(one).__name__}"
                )

    def tell(self, event: str, *about: Any, **more: Any) -> None:
        """Call the method `event` of each that has it."""
        for callback in self.callbacks:
            heard = getattr(callback, event, None)
            if heard is not None:
                heard(*about, **more)

    def state_dict(self) -> dict[str, Any]:
        """Return what the callbacks keep, by their class and its number."""
        return {
            name: one.state_dict()
            for name, one in self._named().items()
            if hasattr(one, "state_dict")
        }

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Give back what `state_dict` returned to callbacks of the same classes."""
        for name, one in self._named().items():
            if name in states and hasattr(one, "load_state_dict"):
                one.load_state_dict(states[name])

    def _named(self) -> dict[str, Any]:
        named: dict[str, Any] = {}
        for one in self.callbacks:
            kind = type(one).__name__
            count = sum(name.split(".")[0] == kind for name in named)
            named[f"{kind}.{count}"] = one
        return named
