"""What is known of a run: all that the checks are given."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minilm.evaluation import Yardstick, yardstick
from minilm.models.folder import CONFIG, read_config
from minilm.training.corpus import Corpus
from minilm.training.diagnostics import read_diagnostics
from minilm.training.logs import HISTORY
from minilm.training.recipe import Recipe, load_recipe

COUNTED = 300_000  # tokens of the training text from which n-grams are counted, where it is longer


@dataclass
class Evidence:
    """What is known of a run; where something is not, the checks that need it find nothing.

    Attributes
    ----------
    records : list of dict
        Rows of a history: ``epoch``, ``loss``, ``val_loss`` ...
    samples : list of dict
        Lines of :class:`minilm.training.Diagnostics`.
    train_ids, valid_ids : ndarray of int, optional
        The texts, ``(tokens,)``.
    unknown_id : int, optional
        The id of tokens that are not in the vocabulary.
    ngram_loss : float, optional
        What n-grams reach on the validation text, nats a token; counted where it is not given.
    best_possible : float, optional
        What a perfect model reaches there.
    patience : int
        Epochs without improvement after which the run was to stop; 0 for never.
    folder : Path, optional
        The run's.
    unread : str
        Why the text could not be looked at, if so.
    """

    records: list[dict[str, float]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    train_ids: np.ndarray | None = None
    valid_ids: np.ndarray | None = None
    unknown_id: int | None = None
    ngram_loss: float | None = None
    best_possible: float | None = None
    patience: int = 0
    folder: Path | None = None
    unread: str = ""

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The samples of steps that were taken."""
        return [sample for sample in self.samples if "error" not in sample]

    @property
    def late(self) -> list[dict[str, Any]]:
        """The last quarter of them: what the run has come to."""
        lines = self.lines
        return lines[-max(len(lines) // 4, 1) :]

    @property
    def validated(self) -> list[dict[str, float]]:
        """The rows with a validation loss."""
        return [record for record in self.records if "val_loss" in record]

    @property
    def best(self) -> dict[str, float] | None:
        """The row with the best validation loss."""
        return min(self.validated, key=lambda record: record["val_loss"], default=None)

    @cached_property
    def counted(self) -> Yardstick | None:
        """The n-grams that predict the validation text best, where there are both texts."""
        train, valid = self.train_ids, self.valid_ids
        if train is None or valid is None or len(valid) < 2 or len(train) < 2:
            return None
        classes = int(max(train.max(), valid.max())) + 1
        return yardstick(train[-COUNTED:], valid, classes)

    @property
    def ngram(self) -> float | None:
        """What n-grams reach on the validation text, nats a token."""
        if self.ngram_loss is not None or self.counted is None:
            return self.ngram_loss
        return self.counted.loss


def median_of(
    lines: Sequence[dict[str, Any]], figure: Callable[[dict[str, Any]], float | None]
) -> float | None:
    """Return the median of a figure over lines, those left out where it is None."""
    values = [value for value in map(figure, lines) if value is not None]
    return statistics.median(values) if values else None


# --- from a folder --------------------------------------------------------------------------------


def evidence_of_folder(folder: str | Path, corpus: Corpus | None = None) -> Evidence:
    """Collect what the folder of a run holds, and its text if it is still there.

    Parameters
    ----------
    folder : str or Path
        Made by ``minilm train``; or the ``output_dir`` of `fit` or `Trainer`, whose text is not
        known.
    corpus : Corpus, optional
        Its text, where that is at hand; read again otherwise.

    Raises
    ------
    FileNotFoundError
        If it holds no run.
    ValueError
        If a file in it is damaged.
    """
    folder = Path(folder)
    try:
        recipe = load_recipe(folder)
    except FileNotFoundError:
        if (folder / HISTORY).is_file():
            return Evidence(
                records=_read_history(folder / HISTORY),
                samples=read_diagnostics(folder),
                unread="a run of fit or Trainer does not say which it was",
            )
        message = (
            "no folder of a run: it has no run.json, nor a history.csv. Give the folder that --out "
            "named, or output_dir"
        )
        raise FileNotFoundError(2, message, str(folder)) from None
    evidence = Evidence(
        records=_read_history(folder / HISTORY),
        samples=read_diagnostics(folder),
        patience=recipe.settings.patience,
        folder=folder,
    )
    reached = _reached(folder)
    evidence.ngram_loss = reached.get("ngram_loss")
    evidence.best_possible = reached.get("best_possible_loss")
    if corpus is None:
        corpus, evidence.unread = _read_corpus(recipe, reached)
    if corpus is not None:
        evidence.train_ids, evidence.valid_ids = corpus.train_ids, corpus.valid_ids
        evidence.unknown_id = _unknown_id(corpus)
    return evidence


def _read_history(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return [{name: float(text) for name, text in row.items() if text} for row in rows]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _reached(folder: Path) -> dict[str, Any]:
    """Return what the run wrote of itself, which is nothing before its first epoch."""
    if not (folder / CONFIG).is_file():
        return {}
    return dict(read_config(folder).get("training") or {})


def _read_corpus(recipe: Recipe, reached: dict[str, Any]) -> tuple[Corpus | None, str]:
    if recipe.data == "-":
        return None, "it came from standard input"
    try:
        corpus, _ = recipe.corpus()
    except (OSError, ValueError) as error:
        return None, str(error)
    tokens = len(corpus.train_ids) + len(corpus.valid_ids)
    before = reached.get("train_tokens", tokens) + reached.get("valid_tokens", 0)
    if reached and tokens != before:
        return None, f"{recipe.data} has changed: {tokens:,} tokens, {before:,} when it was trained"
    return corpus, ""


def _unknown_id(corpus: Corpus) -> int | None:
    from minilm.data.vocab import UNKNOWN

    found: int | None = corpus.tokenizer.token_to_id(UNKNOWN)
    return found
