"""What a search found."""

from __future__ import annotations

import csv
import dataclasses
import io
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from minilm.atomic import atomic_write
from minilm.training.recipe import STORIES, Recipe

COMPLETE, PRUNED, FAILED, RUNNING = "complete", "pruned", "failed", "running"
STATES = (COMPLETE, PRUNED, FAILED, RUNNING)


@dataclass(frozen=True)
class TrialResult:
    """One set of hyperparameters, and how far they came.

    Attributes
    ----------
    number : int
        From 0, in the order in which they were drawn.
    state : {"complete", "pruned", "failed", "running"}
        What became of it; "running" is one that an interrupted search will go on with.
    loss : float or None
        Its best validation loss, nats a token; or what the objective returned.
    hyperparameters : dict
        Names and values.
    epochs : int
        Epochs that it trained.
    seconds : float
        Time that it trained, wherever.
    error : str
        Why it failed.
    """

    number: int
    state: str
    loss: float | None
    hyperparameters: dict[str, Any]
    epochs: int = 0
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Study:
    """The trials of a search; shows itself as a table, the best first.

    Attributes
    ----------
    folder : Path
        Where journal and runs are: ``tuning.db``, ``trial-0000``, ``trial-0001``...
    trials : list of TrialResult
        In the order of their numbers.
    recipe : Recipe or None
        What all trials share; None with an objective of one's own.
    """

    folder: Path
    trials: list[TrialResult] = field(default_factory=list)
    recipe: Recipe | None = None

    @property
    def best(self) -> TrialResult:
        """The complete trial with the lowest loss.

        Raises
        ------
        ValueError
            If none is complete; the message says why the first one failed.
        """
        complete = [trial for trial in self.ranked() if trial.state == COMPLETE]
        if not complete:
            errors = [trial.error for trial in self.trials if trial.error]
            why = f": all failed, the first with: {errors[0]}" if errors else ""
            raise ValueError(f"no trial in {self.folder} is complete{why}")
        return complete[0]

    def ranked(self) -> list[TrialResult]:
        """Return the trials, complete ones first, the best of them at the head."""
        infinite = float("inf")
        return sorted(
            self.trials,
            key=lambda trial: (
                STATES.index(trial.state),
                infinite if trial.loss is None else trial.loss,
                trial.number,
            ),
        )

    def best_command(self) -> str:
        """Return the command line that trains the best trial's model again, with all of a run.

        Raises
        ------
        ValueError
            If no trial is complete, or there is no recipe.
        """
        if self.recipe is None:
            raise ValueError("an objective of one's own has no command: there is no recipe")
        return train_command(self.recipe, self.best.hyperparameters)

    def to_csv(self, path: str | Path) -> None:
        """Write a row a trial, in the order of their numbers, atomically.

        Raises
        ------
        OSError
            If the file cannot be written; an old one stays as it was.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([*HEAD, *self._names(), "error"])
        for trial in self.trials:
            values = [trial.hyperparameters.get(name, "") for name in self._names()]
            fixed = [trial.number, trial.state, "" if trial.loss is None else trial.loss]
            writer.writerow([*fixed, trial.epochs, f"{trial.seconds:.1f}", *values, trial.error])
        data = text.getvalue().encode("utf-8")
        atomic_write(Path(path), lambda file: file.write(data))

    def table(self) -> str:
        """Return the trials as text, the best first."""
        rows = [self._head(), *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def _names(self) -> list[str]:
        return sorted({name for trial in self.trials for name in trial.hyperparameters})

    def _head(self) -> list[str]:
        return [*HEAD, *self._names()]

    def _rows(self) -> Iterable[list[str]]:
        for trial in self.ranked():
            yield [
                str(trial.number),
                trial.state,
                "" if trial.loss is None else f"{trial.loss:.4f}",
                str(trial.epochs or ""),
                f"{trial.seconds:,.1f}",
                *(_shown(trial.hyperparameters.get(name)) for name in self._names()),
            ]

    def _repr_html_(self) -> str:
        lines = [_cells("th", self._head()), *(_cells("td", row) for row in self._rows())]
        return f'<table class="trials">{"".join(lines)}</table>'

    def __repr__(self) -> str:
        counts = {state: sum(t.state == state for t in self.trials) for state in STATES}
        parts = [f"{count} {state}" for state, count in counts.items() if count]
        best = f", best loss {self.best.loss:.4f}" if counts[COMPLETE] else ""
        return f"<Study: {', '.join(parts) or 'no trials'}{best}>"


HEAD = ("trial", "state", "loss", "epochs", "seconds")


def train_command(recipe: Recipe, hyperparameters: dict[str, Any]) -> str:
    """Return the command line that trains a recipe with some values changed."""
    chosen: dict[str, object] = {}
    for part in (recipe.architecture, recipe.settings):
        defaults = type(part)()
        values = dataclasses.asdict(part)
        values |= {name: value for name, value in hyperparameters.items() if name in values}
        chosen |= {name: v for name, v in values.items() if v != getattr(defaults, name)}
    data = None if recipe.data == STORIES else recipe.data
    options: dict[str, object] = {"level": recipe.level, "data": data}
    options |= {"vocab_size": recipe.vocab_size, "init": recipe.init, **chosen}
    words = ["minilm", "train"]
    for name, value in options.items():
        if value is not None and value is not False:
            words.append(f"--{name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return shlex.join(words)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cells(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
