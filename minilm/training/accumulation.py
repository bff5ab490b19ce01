"""Gradient accumulation: what several batches give together is what one large batch would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minilm.data.stream import Window
from minilm.models.base import LanguageModel
from minilm.tensor import Tensor
from minilm.training.batch import batch_loss, count_targets


def accumulate_gradients(
    model: Any,
    batches: Sequence[Any],
    carried: Any = None,
    label_smoothing: float = 0.0,
    on_substep_end: Callable[[], None] = lambda: None,
) -> tuple[float, int, Any]:
    """Add the gradients of the mean loss over all batches, every target of which counts the same.

    Parameters
    ----------
    model : nn.Module
        As for :func:`minilm.training.batch.batch_loss`.
    batches : sequence
        Batches of one step, in their order.
    carried : object
        The state that the last batch of the step before left.
    label_smoothing : float
        Share of each target that is spread over all classes.
    on_substep_end : callable
        Called between two batches.

    Returns
    -------
    loss : float
        Mean over the targets, nats a token; without what the model adds to it in training.
    tokens : int
        Targets that count.
    carried : object
        The state to go on from.
    """
    counts = [count_targets(batch) for batch in batches]
    tokens, loss = sum(counts), 0.0
    for number, (batch, count) in enumerate(zip(batches, counts, strict=True)):
        if number > 0:
            on_substep_end()
        if _is_read(batch, count):
            share = count / max(tokens, 1)
            part, carried = batch_loss(model, batch, carried, label_smoothing)
            penalty = model.penalty() if isinstance(model, LanguageModel) else None
            total = part if penalty is None else part + penalty
            (total if share == 1 else total * share).backward()
            loss += float(part.item()) * share
    return loss, tokens, carried


def losses_of(model: Any, batches: Sequence[Any], carried: Any = None) -> tuple[Tensor, ...]:
    """Return the loss of each batch of a step, as `accumulate_gradients` reads them."""
    losses = []
    for batch in batches:
        if _is_read(batch, count_targets(batch)):
            loss, carried = batch_loss(model, batch, carried)
            losses.append(loss)
    return tuple(losses)


def _is_read(batch: Any, count: int) -> bool:
    """Tell whether a batch of so many targets is read.

    The mean over no targets is no number; only the state that a stream carries has to go on.
    """
    return count > 0 or isinstance(batch, Window)
