"""The tutorial's training and validation loops, as it prints them."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from functools import partial
from typing import Any, Protocol

from minilm.grad_mode import no_grad
from minilm.models.base import logits_of
from minilm.tensor import Tensor
from minilm.training.diagnose import refuse_non_finite

ADVICE = "the learning rate is too high, or gradients need nn.utils.clip_grad_norm_"


class Batches(Iterable[tuple[Any, Any]], Sized, Protocol):
    """Pairs of ids and targets, both ``(batch, time)``, and how many there are."""


def train(
    model: Any, data_loader: Batches, criterion: Any, optimizer: Any, num_epochs: int
) -> None:
    """Train a model, and print each epoch's average loss.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``.
    data_loader : iterable with a length
        Gives pairs of inputs and targets, ids ``(batch, time)``.
    criterion : callable
        Maps logits ``(batch, vocab, time)`` and targets to a loss, such as
        :class:`minilm.nn.CrossEntropyLoss`.
    optimizer : optim.Optimizer
        Holds the model's parameters.
    num_epochs : int
        Passes over the data.

    Raises
    ------
    ValueError
        If the loader has no batches.
    NonFiniteError
        If a loss is NaN or infinite; the message names the step and the first bad tensor.
    """
    batches = _length(data_loader)
    model.train()
    step = 1
    for epoch in range(num_epochs):
        total_loss = 0.0
        for inputs, targets in data_loader:
            loss = _loss(model, criterion, inputs, targets)
            forward = partial(model, inputs)
            refuse_non_finite(model, forward, loss.item(), 0.0, f"step {step}", ADVICE)
            step += 1
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total_loss += loss.item()
        print(f"Epoch {epoch + 1}, Average Loss: {total_loss / batches}")


def validate(model: Any, data_loader: Batches, criterion: Any) -> float:
    """Return a model's average loss over the batches of a loader, in evaluation mode.

    Every batch counts the same, as in the tutorial; :func:`minilm.training.evaluate` counts every
    token the same. The model is left in evaluation mode.

    Parameters
    ----------
    model, data_loader, criterion
        As in :func:`train`.

    Returns
    -------
    float
        Mean over batches of what `criterion` gives; nats a token for cross-entropy.

    Raises
    ------
    ValueError
        If the loader has no batches.
    """
    batches = _length(data_loader)
    model.eval()
    total_loss = 0.0
    with no_grad():
        for inputs, targets in data_loader:
            total_loss += _loss(model, criterion, inputs, targets).item()
    return total_loss / batches


def _loss(model: Any, criterion: Any, inputs: Any, targets: Any) -> Tensor:
    loss: Tensor = criterion(logits_of(model(inputs)).transpose(1, 2), targets)
    return loss


def _length(data_loader: Batches) -> int:
    batches = len(data_loader)
    if batches == 0:
        raise ValueError(
            "the data loader has no batches: the text is not longer than the sequence length, "
            "or drop_last drops its only batch"
        )
    return batches
