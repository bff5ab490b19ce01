"""What a run measured, epoch by epoch."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from minilm.atomic import atomic_write


def _column(form: str) -> Any:
    """Make a field that knows how it is shown in a table."""
    return field(metadata={"format": form})


@dataclass(frozen=True)
class EpochRecord:
    """One epoch's figures, under the names of their columns in ``history.csv``.

    Attributes
    ----------
    epoch : int
        From 1.
    step : int
        Optimizer steps done since the start.
    train_loss, valid_loss : float
        Nats a token; the first is a mean over the epoch, with dropout on.
    valid_perplexity : float
        exp(valid_loss).
    learning_rate : float
        Of the last step.
    tokens_per_second : float
        Training tokens over training time.
    seconds : float
        Since the start of the run.
    """

    epoch: int = _column("d")
    step: int = _column(",d")
    train_loss: float = _column(".4f")
    valid_loss: float = _column(".4f")
    valid_perplexity: float = _column(".3f")
    learning_rate: float = _column(".5f")
    tokens_per_second: float = _column(",.0f")
    seconds: float = _column(",.1f")


@dataclass
class History:
    """All epochs of a run, and the loss of each step.

    Attributes
    ----------
    steps_per_epoch : int
        Optimizer steps of one pass over the training text.
    records : list of EpochRecord
        One an epoch.
    step_losses : list of float
        Training loss of each step, nats a token.
    interrupted : bool
        Whether Ctrl-C ended the run.
    """

    steps_per_epoch: int
    records: list[EpochRecord] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the lowest validation loss, or None before the first one's end."""
        return min(self.records, key=lambda record: record.valid_loss, default=None)

    def to_csv(self, path: str | Path) -> None:
        """Write one row an epoch, atomically.

        Raises
        ------
        OSError
            If the file cannot be written; an old one stays as it was.
        """
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [column.name for column in fields(EpochRecord)])
        writer.writeheader()
        writer.writerows(asdict(record) for record in self.records)
        data = text.getvalue().encode("utf-8")
        atomic_write(Path(path), lambda file: file.write(data))
