"""What an engine measures between steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minilm.data import DataLoader, StreamLoader
from minilm.evaluation import evaluate
from minilm.training.arguments import TrainingArguments
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
        Returns ``loss`` (nats a token, every target counted the same) and ``perplexity``.

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

    def validate(poll: Callable[[], object]) -> dict[str, float]:
        reached = evaluate(model, data, on_window=poll)
        return {"loss": reached.loss, "perplexity": reached.perplexity}

    return validate
