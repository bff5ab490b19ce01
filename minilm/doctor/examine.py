"""Examine a run: every check, on all that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minilm.doctor import course, data, generalisation, gradients, learning_rate, units
from minilm.doctor.evidence import Evidence, evidence_of_folder
from minilm.doctor.finding import Finding
from minilm.training.diagnostics import batch_shares, ids_and_targets
from minilm.training.history import History
from minilm.training.probe import probe

CHECKS: tuple[Callable[[Evidence], Finding | None], ...] = (
    course.not_finite,
    data.targets_not_shifted,
    data.leakage,
    learning_rate.too_high,
    gradients.exploding,
    learning_rate.too_low,
    gradients.vanishing,
    units.saturated,
    units.dead,
    generalisation.overfitting,
    generalisation.worse_than_ngrams,
    data.unknown_words,
    generalisation.underfitting,
    data.small_validation,
    data.not_shuffled,
    course.not_finished,
)
"""All checks; of equal severity, the first is told first: causes come before what they cause."""


def examine(
    run: Any = None,
    *,
    history: Any = None,
    diagnostics: Any = None,
    model: Any = None,
    batch: Any = None,
    train_ids: Any = None,
    valid_ids: Any = None,
    unknown_id: int | None = None,
) -> list[Finding]:
    """Find out what is wrong with a run.

    Parameters
    ----------
    run : str, Path or Run, optional
        The folder of ``minilm train``, or the run itself. All else is for loops written by hand,
        and for `fit` and `Trainer`; whatever is given is looked at.
    history : History or mapping, optional
        What `fit` returned; or lists, a value an epoch: ``{"loss": [...], "val_loss": [...]}``,
        nats a token.
    diagnostics : Diagnostics or list of dict, optional
        The callback that the run had, or its samples.
    model : nn.Module, optional
        As it is now; with `batch`.
    batch : pair or mapping, optional
        ``(inputs, targets)``, ids ``(batch, time)``, as the model is trained on them; or a mapping
        with ``input_ids`` and ``labels``. The model may have gradients; they stay as they are.
    train_ids, valid_ids : array of int, optional
        The texts, ``(tokens,)``.
    unknown_id : int, optional
        The id of tokens that are not in the vocabulary.

    Returns
    -------
    list of Finding
        The worst first; none of a healthy run.

    Raises
    ------
    FileNotFoundError
        If a folder holds no run.
    TypeError, ValueError
        If there is nothing to look at, or something is not what it should be.

    Examples
    --------
    >>> for finding in examine("runs/demo"):
    ...     print(finding)
    >>> examine(history={"loss": [2.0, 1.0, 0.5], "val_loss": [2.1, 1.8, 2.4]})[0].name
    'overfitting'
    """
    parts = (history, diagnostics, model, batch, train_ids, valid_ids)
    if run is not None:
        if any(part is not None for part in parts):
            raise ValueError("a run holds all that is known of it: give it alone")
        return diagnose(_evidence_of_run(run))
    if all(part is None for part in parts):
        raise ValueError("there is nothing to examine: give a run's folder, a history, ...")
    return diagnose(
        Evidence(
            records=_records(history),
            samples=[*_samples(diagnostics), *_look(model, batch, unknown_id)],
            train_ids=None if train_ids is None else np.asarray(train_ids),
            valid_ids=None if valid_ids is None else np.asarray(valid_ids),
            unknown_id=unknown_id,
        )
    )


def diagnose(evidence: Evidence) -> list[Finding]:
    """Return what the checks find, the worst first."""
    found = [finding for check in CHECKS if (finding := check(evidence)) is not None]
    return sorted(found, key=lambda finding: -finding.severity)


def _evidence_of_run(run: Any) -> Evidence:
    if isinstance(run, (str, Path)):
        return evidence_of_folder(run)
    if not hasattr(run, "folder"):
        raise TypeError(
            f"run is a folder of minilm train, or a Run; got {type(run).__name__}. Of a loop of "
            "your own give what there is by name: history=, model= and batch=, ..."
        )
    return evidence_of_folder(run.folder, run.corpus)


def _records(history: Any) -> list[dict[str, float]]:
    if history is None:
        return []
    if isinstance(history, History):
        return history.records
    if not isinstance(history, Mapping):
        raise TypeError(
            "history is a History, or lists by name, {'loss': [...], 'val_loss': [...]}; got "
            f"{type(history).__name__}"
        )
    lengths = {name: len(values) for name, values in history.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"history has a value an epoch under each name; got {lengths}")
    rows = zip(*history.values(), strict=True)
    return [
        {"epoch": epoch, **{name: float(v) for name, v in zip(history, row, strict=True)}}
        for epoch, row in enumerate(rows, start=1)
    ]


def _samples(diagnostics: Any) -> Sequence[dict[str, Any]]:
    samples: Sequence[dict[str, Any]] = getattr(diagnostics, "samples", diagnostics) or []
    return samples


def _look(model: Any, batch: Any, unknown_id: int | None) -> list[dict[str, Any]]:
    """Look at a batch, and into the model if there is one."""
    if batch is None:
        if model is not None:
            raise ValueError("a model is looked into while it reads: give a batch, too")
        return []
    pair = ids_and_targets(batch)
    if pair is None:
        raise ValueError(
            "batch is a pair (inputs, targets) of ids (batch, time), or a mapping with input_ids "
            "and labels of that shape"
        )
    seen = batch_shares(*pair, unknown_id)
    return [seen | probe(model, *pair) if model is not None else seen]
