"""Logits and labels of a whole data set, for metrics that need them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minilm.data import DataLoader, TokenDataset
from minilm.data.stream import IGNORED
from minilm.grad_mode import no_grad
from minilm.models.base import logits_of
from minilm.training.arguments import TrainingArguments
from minilm.training.setup import is_ids, window_of


class EvalPrediction(NamedTuple):
    """What ``compute_metrics`` is given.

    Attributes
    ----------
    predictions : ndarray
        Logits ``(samples, classes)`` or ``(samples, time, vocab)``.
    label_ids : ndarray
        Labels ``(samples,)`` or ``(samples, time)``; -100 where there are none.
    """

    predictions: np.ndarray
    label_ids: np.ndarray


class PredictionOutput(NamedTuple):
    """What `Trainer.predict` returns: an `EvalPrediction`, and metrics by name."""

    predictions: np.ndarray
    label_ids: np.ndarray
    metrics: dict[str, float]


def predict(
    model: Any,
    data: Any,
    args: TrainingArguments,
    collate: Callable[[list[Any]], Any] | None,
    compute_metrics: Callable[[EvalPrediction], Mapping[str, float]] | None,
    prefix: str,
) -> PredictionOutput:
    """Run a model over a data set and keep all that it says.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode for the time.
    data : Dataset, DataLoader or array of int
        Pairs (inputs, labels), or mappings with ``labels``. A text's ids are cut into windows, and
        what is left behind the last one is not read.
    args : TrainingArguments
        Their batch size for evaluation.
    collate : callable, optional
        Joins samples.
    compute_metrics : callable, optional
        Makes metrics of an `EvalPrediction`.
    prefix : str
        What the metrics' names begin with.

    Returns
    -------
    PredictionOutput
        Sequences shorter than the longest are filled up: logits with 0, labels with -100.
    """
    if is_ids(data):
        window = min(window_of(model), len(data) - 1)
        data = TokenDataset(np.asarray(data), window, stride=window)
    loader = data
    if not isinstance(data, DataLoader):
        loader = DataLoader(data, args.per_device_eval_batch_size, collate_fn=collate)
    logits, labels = [], []
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            for batch in loader:
                scores, targets = _read(model, batch)
                logits.append(scores)
                labels.append(targets)
    finally:
        model.train(was_training)
    if not logits:
        raise ValueError("the data set is empty: there is nothing to predict")
    found = EvalPrediction(_joined(logits, 0.0), _joined(labels, IGNORED))
    metrics = {} if compute_metrics is None else dict(compute_metrics(found))
    start = f"{prefix}_" if prefix else ""
    return PredictionOutput(*found, {f"{start}{name}": value for name, value in metrics.items()})


def _read(model: Any, batch: Any) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(batch, Mapping):
        inputs = {name: part for name, part in batch.items() if name != "labels"}
        output, labels = model(**inputs), batch.get("labels")
    else:
        inputs, labels = batch
        output = model(inputs)
    logits = logits_of(output).numpy()
    missing = np.full(logits.shape[:1], IGNORED)
    return logits, missing if labels is None else np.asarray(labels)


def _joined(parts: list[np.ndarray], filler: float) -> np.ndarray:
    """Join batches, filling up their time axes to the longest."""
    if parts[0].ndim > 1:
        longest = max(part.shape[1] for part in parts)
        parts = [
            np.pad(
                part,
                [(0, 0), (0, longest - part.shape[1]), *[(0, 0)] * (part.ndim - 2)],
                constant_values=filler,
            )
            for part in parts
        ]
    return np.concatenate(parts)
