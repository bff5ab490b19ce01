"""What an engine measures between steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minilm.data import DataLoader, StreamLoader
from minilm.evaluation import evaluate
from minilm.grad_mode import no_grad
from minilm.models.base import LanguageModel
from minilm.models.pretrained import PretrainedModel
from minilm.training.arguments import TrainingArguments
from minilm.training.batch import batch_loss, count_targets
from minilm.training.setup import is_ids


def make_validate(
    model: Any, data: Any, args: TrainingArguments, collate: Any = None
) -> Callable[[Callable[[], object]], dict[str, float]]:
    """Return a function that measures a model on data, for an engine.

    Parameters
    ----------
    model : nn.Module
        To measure, as it will then be.
    data : array of int, Dataset, DataLoader or StreamLoader
        What on.
    args : TrainingArguments
        Their batch size for evaluation.
    collate : callable, optional
        Joins samples.

    Returns
    -------
    callable
        Returns ``loss`` (nats a token, every target counted the same) and ``perplexity``; of a
        classifier ``loss`` alone (nats a text).

    Raises
    ------
    ValueError
        If there is nothing to predict.
    """
    if is_ids(data):
        data = np.asarray(data)
        if len(data) < 2:
            raise ValueError(f"the validation text has {len(data)} tokens, at least 2 needed")
    elif hasattr(data, "__len__") and not len(data):
        raise ValueError("the validation set is empty: there is nothing to measure on")
    elif not isinstance(data, (DataLoader, StreamLoader)):
        data = DataLoader(data, args.per_device_eval_batch_size, collate_fn=collate)

    if isinstance(model, PretrainedModel) and not isinstance(model, LanguageModel):
        return lambda poll: {"loss": _loss_of_classifier(model, data, poll)}

    def validate(poll: Callable[[], object]) -> dict[str, float]:
        reached = evaluate(model, data, on_window=poll)
        return {"loss": reached.loss, "perplexity": reached.perplexity}

    return validate


def _loss_of_classifier(model: Any, loader: Any, poll: Callable[[], object]) -> float:
    """Return the mean loss of all texts."""
    was_training = model.training
    model.eval()
    total, texts = 0.0, 0
    try:
        with no_grad():
            for batch in loader:
                poll()
                count = count_targets(batch)
                total += batch_loss(model, batch)[0].item() * count
                texts += count
    finally:
        model.train(was_training)
    if not texts:
        raise ValueError("the validation set has no labels: there is nothing to measure")
    return total / texts
