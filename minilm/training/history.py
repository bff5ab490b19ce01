"""What a run measured: a row for each evaluation, and the loss of each step."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from minilm.atomic import atomic_write
from minilm.evaluation import perplexity
from minilm.notebook import BLUE, LIGHT_BLUE, for_notebook

# How the columns that every run has are shown in a table; others as numbers of 4 digits.
FORMATS = {
    "epoch": "g",
    "step": ",d",
    "loss": ".4f",
    "val_loss": ".4f",
    "val_perplexity": ".3f",
    "learning_rate": ".5f",
    "tokens_per_second": ",.0f",
    "seconds": ",.1f",
}
BIGGER_IS_BETTER = ("acc", "auc", "f1", "precision", "recall")


class History:
    """What was measured so far, as Keras's ``History`` has it.

    Parameters
    ----------
    steps_per_epoch : int
        Optimizer steps of one pass over the training data.

    Attributes
    ----------
    records : list of dict
        A row an evaluation (an epoch, where nothing evaluates): ``epoch`` from 1, ``step``,
        ``loss`` (the mean over the steps since the last row, nats a token), with validation
        ``val_loss`` (nats a token), ``val_perplexity`` and other metrics, ``learning_rate`` of
        the last step, ``tokens_per_second`` of training, and ``seconds`` since the start.
    step_losses : list of float
        Training loss of each step, nats a token.
    last_step_seconds : float
        What the last step took.
    interrupted : bool
        Whether Ctrl-C ended the run.

    Examples
    --------
    >>> history = model.fit(train, validation_data=valid, epochs=10)
    >>> epoch, value = history.best("val_loss")
    """

    def __init__(self, steps_per_epoch: int) -> None:
        self.steps_per_epoch = steps_per_epoch
        self.records: list[dict[str, float]] = []
        self.step_losses: list[float] = []
        self.interrupted = False
        self._since_record = _Since()
        self._since_log = _Since()
        self.last_step_seconds = 0.0
        self._seconds = 0.0  # of the clock, up to its last stop
        self._started: float | None = None

    # --- what the engine writes -------------------------------------------------------------------

    def start_clock(self) -> None:
        """Let `seconds` run."""
        self._started = time.perf_counter()

    def stop_clock(self) -> None:
        """Let `seconds` stand."""
        self._seconds, self._started = self.seconds, None

    @property
    def seconds(self) -> float:
        """Time since the start of the run; what lay between an end and a resumption left out."""
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self._seconds + running

    def add_step(
        self, loss: float, grad_norm: float, lr: float, tokens: int, seconds: float
    ) -> None:
        """Add a training step.

        Parameters
        ----------
        loss : float
            Nats a token.
        grad_norm : float
            Of all gradients together, before they were clipped.
        lr : float
            Its learning rate.
        tokens : int
            Its targets.
        seconds : float
            What it took.
        """
        self.step_losses.append(loss)
        self.last_step_seconds = seconds
        for since in (self._since_record, self._since_log):
            since.add(grad_norm, lr, tokens, seconds)

    def add_record(self, epoch: float, step: int, metrics: Mapping[str, float]) -> None:
        """Add a row.

        Parameters
        ----------
        epoch : float
            Passes done.
        step : int
            Steps done.
        metrics : mapping
            What an evaluation found, ``loss`` among it; may be empty.
        """
        since = self._since_record
        record = {"epoch": _whole(epoch), "step": step}
        if since.steps:
            record["loss"] = self._mean(since.steps)
        record |= {f"val_{name}": value for name, value in metrics.items()}
        record |= {
            "learning_rate": since.lr,
            "tokens_per_second": since.tokens / since.seconds if since.seconds else 0.0,
            "seconds": self.seconds,
        }
        self.records.append(record)
        self._since_record = _Since()

    def since_last_log(self) -> dict[str, float]:
        """Return mean loss, gradient norm and learning rate of the steps since the last call."""
        since, self._since_log = self._since_log, _Since()
        if not since.steps:
            return {}
        loss = self._mean(since.steps)
        return {"loss": loss, "grad_norm": since.grad_norm, "learning_rate": since.lr}

    def _mean(self, steps: int) -> float:
        return math.fsum(self.step_losses[-steps:]) / steps

    # --- what people read -------------------------------------------------------------------------

    @property
    def epoch(self) -> list[float]:
        """The epoch of each row, from 1."""
        return [record["epoch"] for record in self.records]

    @property
    def history(self) -> dict[str, list[float]]:
        """Keras's view: for each column its values, row by row."""
        names = dict.fromkeys(name for record in self.records for name in record)
        return {name: [record[name] for record in self.records if name in record] for name in names}

    def best_record(self, monitor: str = "val_loss", mode: str = "auto") -> dict[str, float] | None:
        """Return the row in which a column is best, or None before the first one.

        Parameters
        ----------
        monitor : str
            The column.
        mode : {"auto", "min", "max"}
            Whether less or more is better; "auto" takes accuracies and the like for more.
        """
        rows = [record for record in self.records if monitor in record]
        sign = -1 if is_better_bigger(monitor, mode) else 1
        return min(rows, key=lambda record: sign * record[monitor], default=None)

    def best(self, monitor: str = "val_loss", mode: str = "auto") -> tuple[float, float]:
        """Return the epoch, from 1, in which a column is best, and its value there.

        Raises
        ------
        KeyError
            If there is no such column, or nothing was measured yet.
        """
        record = self.best_record(monitor, mode)
        if record is None:
            columns = ", ".join(self.history) or "nothing yet"
            raise KeyError(f"{monitor!r} was not measured; the history has {columns}")
        return record["epoch"], record[monitor]

    def to_csv(self, path: str | Path) -> None:
        """Write one row an evaluation, atomically.

        Raises
        ------
        OSError
            If the file cannot be written; an old one stays as it was.
        """
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(self.history))
        writer.writeheader()
        writer.writerows(self.records)
        data = text.getvalue().encode("utf-8")
        atomic_write(Path(path), lambda file: file.write(data))

    def plot(self, ax: Any = None) -> Any:
        """Draw training and validation loss against epochs, with matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not there.
        """
        from minilm.training.curves import plot_history

        return plot_history(self, ax)

    def _repr_html_(self) -> str:
        from minilm.training.curves import history_chart

        content = f"{history_chart(self)}{self.table()}"
        return for_notebook(content, {"train": LIGHT_BLUE, "valid": BLUE}) if content else ""

    def table(self) -> str:
        """Return the rows as an HTML table."""
        if not self.records:
            return ""
        names = list(self.history)
        head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{shown(name, row.get(name))}</td>" for name in names) + "</tr>"
            for row in self.records
        )
        return f'<table class="epochs"><tr>{head}</tr>{body}</table>'

    def __repr__(self) -> str:
        rows = f"{len(self.records)} row{'' if len(self.records) == 1 else 's'}"
        best = self.best_record()
        if best is None:
            return f"<History: {rows}>"
        return f"<History: {rows}, best val_loss {best['val_loss']:.4f} in epoch {best['epoch']:g}>"

    # --- what is saved ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all of it, for `load_state_dict`."""
        import numpy as np

        return {
            "records": [dict(record) for record in self.records],
            "step_losses": np.array(self.step_losses, np.float64),
            "since_record": vars(self._since_record),
            "since_log": vars(self._since_log),
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what another history's `state_dict` returned."""
        self.records = [dict(record) for record in state["records"]]
        self.step_losses = state["step_losses"].numpy().tolist()
        self._since_record = _Since(**state["since_record"])
        self._since_log = _Since(**state["since_log"])
        self._seconds = state["seconds"]


class _Since:
    """Sums over the steps since something was last reported."""

    def __init__(
        self,
        steps: int = 0,
        grad_norm: float = 0.0,
        lr: float = 0.0,
        tokens: int = 0,
        seconds: float = 0.0,
    ) -> None:
        self.steps = steps
        self.grad_norm = grad_norm  # the last one, as Hugging Face logs it
        self.lr = lr
        self.tokens = tokens
        self.seconds = seconds

    def add(self, grad_norm: float, lr: float, tokens: int, seconds: float) -> None:
        """Count a step."""
        self.steps += 1
        self.grad_norm, self.lr = grad_norm, lr
        self.tokens += tokens
        self.seconds += seconds


def is_better_bigger(monitor: str, mode: str = "auto") -> bool:
    """Tell whether a figure gets better as it grows: what `mode` says, or its name."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"mode must be 'auto', 'min' or 'max'; got {mode!r}")
    return mode == "max" or (mode == "auto" and any(part in monitor for part in BIGGER_IS_BETTER))


def shown(name: str, value: float | None) -> str:
    """Return a figure as tables show it."""
    return "" if value is None else format(value, FORMATS.get(name, ".4g"))


def _whole(epoch: float) -> float:
    return int(epoch) if epoch == int(epoch) else epoch


def with_perplexity(loss: float) -> dict[str, float]:
    """Return the two figures that validation of a language model gives."""
    return {"loss": loss, "perplexity": perplexity(loss)}
