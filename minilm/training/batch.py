"""The loss of a batch, whatever form batch and model have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import minilm.nn.functional as F
from minilm.data.stream import IGNORED, Window
from minilm.models.base import logits_of
from minilm.models.output import causal_lm_loss
from minilm.models.reading import window_loss
from minilm.tensor import Tensor


def count_targets(batch: Any) -> int:
    """Return how many targets of a batch count.

    Parameters
    ----------
    batch : pair or mapping
        ``(inputs, targets)``, targets ``(batch, time)``; or a mapping with ``labels`` that stand
        where their inputs do, as Hugging Face has them: the model shifts them, so that the first
        of each sequence is no target. Labels ``(batch,)`` are of whole sequences.

    Returns
    -------
    int
        Targets that are not -100.
    """
    if not isinstance(batch, Mapping):
        _, targets = _pair(batch)
        return int((np.asarray(targets) != IGNORED).sum())
    labels = np.asarray(_labels(batch))
    return int(((labels if labels.ndim < 2 else labels[:, 1:]) != IGNORED).sum())


def batch_loss(
    model: Any, batch: Any, state: Any = None, label_smoothing: float = 0.0
) -> tuple[Tensor, Any]:
    """Run a model over a batch.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``; where it takes ``labels``, its own ``.loss`` is used.
    batch : Window, pair or mapping
        As for `count_targets`; a window of a stream is read as it asks to be. A mapping is given
        to the model by name.
    state : object
        What the last batch left, for a model that carries a state along.
    label_smoothing : float
        Share of each target that is spread over all classes.

    Returns
    -------
    loss : Tensor
        Mean over the targets that count, nats a token.
    state : object
        To go on from; None without one.
    """
    if isinstance(batch, Mapping):
        return _loss_by_name(model, batch, label_smoothing), None
    if isinstance(batch, Window):
        return _loss_of_window(model, batch, state, label_smoothing)
    inputs, targets = _pair(batch)
    logits = logits_of(model(inputs))
    loss = F.cross_entropy(logits.transpose(1, 2), targets, label_smoothing=label_smoothing)
    return loss, None


def _loss_of_window(
    model: Any, window: Window, state: Any, label_smoothing: float
) -> tuple[Tensor, Any]:
    total, count, state = window_loss(model, window, state, label_smoothing=label_smoothing)
    return total * (1 / max(count, 1)), state


def _loss_by_name(model: Any, batch: Mapping[str, Any], label_smoothing: float) -> Tensor:
    if not label_smoothing:
        loss = getattr(model(**batch), "loss", None)
        if isinstance(loss, Tensor):
            return loss
    labels = np.asarray(_labels(batch))
    logits = logits_of(model(**{name: part for name, part in batch.items() if name != "labels"}))
    if labels.ndim < 2:  # of whole sequences
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    return causal_lm_loss(logits, labels, label_smoothing)


def _labels(batch: Mapping[str, Any]) -> Any:
    if "labels" not in batch:
        raise ValueError(
            f"a batch has the columns {', '.join(map(str, batch))}, but no 'labels': add them, for "
            "a language model a copy of input_ids, or let a data collator do it"
        )
    return batch["labels"]


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        what = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise TypeError(
            "a training batch is a pair (inputs, targets), or a mapping with input_ids and labels; "
            f"got {what}"
        )
    return batch[0], batch[1]
