"""What a trial does: train a recipe as far as it is told to, or call a function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from minilm.training.callback import TrainerCallback
from minilm.training.checkpoint import CheckpointError
from minilm.training.diagnose import NonFiniteError
from minilm.training.recipe import Recipe
from minilm.training.run import Run
from minilm.training.settings import Architecture, Settings
from minilm.training.text import Text
from minilm.tuning.space import Space


@dataclass(frozen=True)
class Task:
    """A stretch of a trial, for one process to do.

    Attributes
    ----------
    number : int
        The trial's.
    hyperparameters : dict
        Names and values.
    folder : Path
        Where it trains.
    until : int
        The epoch after which to stop for a while.
    """

    number: int
    hyperparameters: dict[str, Any]
    folder: Path
    until: int


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes
    ----------
    losses : dict
        For each epoch, from the first, the validation loss after it, nats a token.
    value : float or None
        The trial's loss, if it came to its end.
    seconds : float
        Time that it trained, earlier tasks included.
    error : str
        Why it failed, if it did.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    losses: dict[int, float]
    value: float | None = None
    seconds: float = 0.0
    error: str = ""
    interrupted: bool = False


class Objective(Protocol):
    """What a search tries hyperparameters on; goes to other processes."""

    def epochs(self, hyperparameters: Mapping[str, Any]) -> int:
        """Return the epochs of a whole trial."""

    def __call__(self, task: Task) -> Outcome:
        """Do a task."""


@dataclass(frozen=True)
class TrainRecipe:
    """Train a recipe with the trial's values, and take the validation loss of its best epoch.

    A trial is a run like any other, without samples and report. It stops where trials are
    compared, and goes on from its checkpoint exactly, so that where it stopped does not matter.

    Attributes
    ----------
    recipe : Recipe
        What all trials share.
    space : Space
        Where the values belong.
    digest : str
        Of the text, which a process reads once for all its trials.
    """

    recipe: Recipe
    space: Space
    digest: str = ""

    def epochs(self, hyperparameters: Mapping[str, Any]) -> int:
        """Return the epochs of a whole trial."""
        return self.space.recipe(self.recipe, hyperparameters).settings.epochs

    def __call__(self, task: Task) -> Outcome:
        """Train until the task's epoch, from where the trial's folder stands."""
        pause = _Pause(task.until)
        try:
            recipe = self.space.recipe(self.recipe, task.hyperparameters)
            # without what trials differ in, so that all of them find what the first one read
            text = _read(
                replace(recipe, architecture=Architecture(), settings=Settings()), self.digest
            )
            run = Run(recipe, task.folder, resume=True, text=text)
            run.train(pause)
        except CheckpointError:  # the folder's run is another one, which no other value mends
            raise
        except (NonFiniteError, MemoryError, ValueError) as error:
            return Outcome({}, error=str(error) or type(error).__name__)
        history = run.history
        losses = {int(row["epoch"]): row["val_loss"] for row in history.records}
        done = not (pause.came or history.interrupted)
        return Outcome(
            losses,
            value=min(losses.values()) if done else None,
            seconds=history.seconds,
            interrupted=history.interrupted,
        )


@lru_cache(maxsize=1)
def _read(recipe: Recipe, digest: str) -> Text:
    return Text(recipe)


class _Pause(TrainerCallback):
    """Stop after an epoch, with a checkpoint, unless it is the last one anyway."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self.came = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop at once where an earlier task came as far, and was killed before it could say so."""
        self._stop_if_due(state, control)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop when the epoch is reached."""
        self._stop_if_due(state, control)

    def _stop_if_due(self, state: Any, control: Any) -> None:
        if state.epoch >= self._epoch and state.global_step < state.max_steps:
            self.came = True
            control.should_training_stop = control.should_save = True


@dataclass(frozen=True)
class CallFunction:
    """Call a function of the hyperparameters, and take the number that it returns.

    Attributes
    ----------
    function : callable
        Takes a dictionary of hyperparameters; less is better. For more than one process it must
        be a module's own, so that they can import it.
    """

    function: Callable[[dict[str, Any]], float]

    def epochs(self, hyperparameters: Mapping[str, Any]) -> int:
        """Return 1: a function is not interrupted."""
        return 1

    def __call__(self, task: Task) -> Outcome:
        """Call it; a number that is not finite is a failure."""
        try:
            value = float(self.function(dict(task.hyperparameters)))
        except (NonFiniteError, MemoryError) as error:
            return Outcome({}, error=str(error) or type(error).__name__)
        if not math.isfinite(value):
            return Outcome({}, error=f"the objective returned {value}")
        return Outcome({}, value)
