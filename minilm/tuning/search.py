"""Hyperparameter search: draw trials, train them side by side, drop the worse ones on the way."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minilm.lock import hold_folder
from minilm.training.arguments import check_choice
from minilm.training.recipe import STORIES, Recipe
from minilm.tuning.journal import Journal
from minilm.tuning.objectives import CallFunction, Objective, Outcome, Task, TrainRecipe
from minilm.tuning.rungs import rungs, survivors
from minilm.tuning.space import Space, read_space
from minilm.tuning.study import RUNNING, Study, TrialResult
from minilm.tuning.workers import Workers

METHODS = ("random", "grid", "halving", "tpe")
REDUCTION = {"random": 2, "grid": 2, "halving": 3, "tpe": 2}
GENERATION = 4  # trials that "tpe" draws before it looks at what came of them

Say = Callable[[str], object]


@dataclass(frozen=True)
class Plan:
    """How to search.

    Attributes
    ----------
    method : {"random", "grid", "halving", "tpe"}
        How values are drawn. "halving" draws as "random" does, and drops two of three trials at a
        rung rather than one of two.
    trials : int or None
        How many; None is all of a grid, and 20 of the others.
    seed : int
        Of the drawing. Runs have their own, among the settings.
    pruning : bool
        Whether trials are compared on their way.
    reduction : int or None
        At each rung the best one of so many goes on, and the next rung is at so many times the
        epochs; None is 3 for "halving" and 2 for the others.
    min_epochs : int
        Epochs before the first rung.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    method: str = "random"
    trials: int | None = None
    seed: int = 0
    pruning: bool = True
    reduction: int | None = None
    min_epochs: int = 1

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        for name, low in {"trials": 1, "seed": 0, "reduction": 2, "min_epochs": 1}.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name} must be at least {low}; got {value}")

    @property
    def factor(self) -> int:
        """The reduction; 0 without pruning."""
        return (self.reduction or REDUCTION[self.method]) if self.pruning else 0

    def count(self, space: Space) -> int:
        """Return how many trials there are to be in a space."""
        if self.method != "grid":
            return self.trials or 20
        size = math.prod(len(values) for values in space.grid().values())
        return min(self.trials or size, size)


def tune(
    space: str | Path | Mapping[str, Any] | Space,
    objective: Recipe | Callable[[dict[str, Any]], float],
    folder: str | Path,
    plan: Plan | None = None,
    *,
    jobs: int = 1,
    say: Say = lambda message: None,
) -> Study:
    """Search a space for the hyperparameters with the lowest loss.

    Whatever ends a search, Ctrl-C, ``kill -9`` or the last trial, calling this again goes on with
    it: what is finished is not trained again, and what was not goes on from its checkpoint with
    the same values. Neither values nor losses depend on `jobs`.

    Parameters
    ----------
    space : path, mapping or Space
        See :func:`read_space`.
    objective : Recipe or callable
        What to train, whose validation loss counts; or a function that takes a dictionary of
        hyperparameters and returns what should be small. A function is not pruned.
    folder : path
        Where ``tuning.db`` and the trials' runs go, ``trial-0000`` and so on; made when missing.
    plan : Plan, optional
        How; by default 20 trials drawn at random.
    jobs : int
        Trials at a time, each in a process with its share of the threads.
    say : callable
        Told, in words, how it goes.

    Returns
    -------
    Study

    Raises
    ------
    FolderInUseError
        If another search is writing into the folder.
    ImportError
        If Optuna is not installed.
    KeyboardInterrupt
        After Ctrl-C.
    ValueError
        If space or plan cannot be, or the folder's search is another one; the message says what
        differs.
    """
    plan = plan or Plan()
    space = read_space(space, free=not isinstance(objective, Recipe))
    count = plan.count(space)
    identity = _identity(space, objective, plan)
    folder = Path(folder)
    with hold_folder(folder), Workers(jobs) as workers:
        search = _Search(
            space,
            TrainRecipe(objective, space, _digest(objective))
            if isinstance(objective, Recipe)
            else CallFunction(objective),
            folder,
            plan,
            Journal(folder, identity),
            workers,
            say,
        )
        search.run(count)
    shared = space.recipe(objective, {}) if isinstance(objective, Recipe) else None
    return Study(folder, search.journal.trials(), shared)


@dataclass(frozen=True)
class _Search:
    space: Space
    objective: Objective
    folder: Path
    plan: Plan
    journal: Journal
    workers: Workers
    say: Say

    def run(self, count: int) -> None:
        """Draw and train trials, a generation after the other, up to some number."""
        if done := sum(trial.state != RUNNING for trial in self.journal.trials()):
            self.say(f"{self.folder} has {done} finished trials: going on")
        size = GENERATION if self.plan.method == "tpe" else count
        for start in range(0, count, size):
            stop = min(start + size, count)
            for number in range(len(self.journal), stop):
                self.journal.draw(number, self.space, self.plan.method, self.plan.seed)
            self._generation(range(start, stop))

    def _generation(self, numbers: range) -> None:
        """Train trials from rung to rung, all of them before any goes further."""
        trials = self._running(numbers)
        longest = max((self.objective.epochs(t.hyperparameters) for t in trials), default=0)
        for rung in rungs(self.plan.min_epochs, self.plan.factor, longest):
            self._train(self._running(numbers), rung)
            if rung < longest:
                self._prune(numbers, rung)

    def _running(self, numbers: range) -> list[TrialResult]:
        trials = self.journal.trials()[numbers.start : numbers.stop]
        return [trial for trial in trials if trial.state == RUNNING]

    def _train(self, trials: Sequence[TrialResult], rung: int) -> None:
        tasks = []
        for trial in trials:
            whole = self.objective.epochs(trial.hyperparameters)
            until = min(rung, whole)
            if trial.epochs < until or until == whole:  # one that is whole has yet to say so
                folder = self.folder / f"trial-{trial.number:04d}"
                tasks.append(Task(trial.number, trial.hyperparameters, folder, until))
        for task, outcome in self.workers.outcomes(self.objective, tasks):
            if outcome.interrupted:
                raise KeyboardInterrupt
            self.journal.report(task.number, outcome)
            self.say(_line(task, outcome))

    def _prune(self, numbers: range, rung: int) -> None:
        kept = survivors(self.journal.losses(rung), self.plan.factor)
        running = [trial.number for trial in self._running(numbers)]
        for number in running:
            if number not in kept:
                self.journal.prune(number)
        self.say(f"epoch {rung}: {len(kept & set(running))} of {len(running)} trials go on")


def _line(task: Task, outcome: Outcome) -> str:
    values = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in task.hyperparameters.items()
    )
    if outcome.error:
        return f"trial {task.number} ({values}) failed: {outcome.error}"
    if not outcome.losses:
        return f"trial {task.number} ({values}): {outcome.value:.4g}"
    epoch, loss = max(outcome.losses.items())
    return f"trial {task.number} ({values}), epoch {epoch}: {loss:.4f} nats a token"


def _identity(space: Space, objective: Any, plan: Plan) -> dict[str, Any]:
    """Return what must be the same when a search goes on."""
    identity = {
        "method": plan.method,
        "seed of the search": plan.seed,
        "reduction": plan.factor,
        "min_epochs": plan.min_epochs,
        **space.to_dict(),
    }
    if not isinstance(objective, Recipe):
        name = getattr(objective, "__qualname__", type(objective).__qualname__)
        return {"objective": name, **identity}
    shared = space.recipe(objective, {})
    settings = asdict(shared.architecture) | asdict(shared.settings)
    settings = {name: v for name, v in settings.items() if name not in space.parameters}
    reading = {name: getattr(objective, name) for name in ("level", "vocab_size", "init")}
    return {"text": _digest(objective), **reading, **settings, **identity}


def _digest(recipe: Recipe) -> str:
    """Return the name of a text, and a digest of what is in it.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is standard input, which can be read only once.
    """
    if recipe.data == STORIES:
        return STORIES
    if recipe.data == "-":
        raise ValueError("each trial reads the text, so it must be a file, not standard input")
    digest = hashlib.sha256(Path(recipe.data).read_bytes()).hexdigest()
    return f"{recipe.name} {digest[:16]}"
