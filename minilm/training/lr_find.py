"""Find a learning rate: train for a moment at rates from far too low to far too high.

The test is Smith's (2017, section 3.3, https://arxiv.org/abs/1506.01186); the loss against the
rate is flat, then falls, and at last explodes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minilm import optim
from minilm.data import Dataset
from minilm.grad_mode import no_grad
from minilm.models.base import read_on
from minilm.tensor import Tensor
from minilm.training.arguments import TrainingArguments
from minilm.training.batch import batch_loss
from minilm.training.diagnose import NonFiniteError
from minilm.training.lr_finding import LRFinding
from minilm.training.setup import is_ids, make_loader
from minilm.training.snapshot import random_streams_kept


def lr_find(
    model: Any,
    loader: Any,
    criterion: Callable[[Tensor, Any], Tensor] | None = None,
    optimizer: optim.Optimizer | None = None,
    *,
    start_lr: float = 1e-7,
    end_lr: float = 10,
    num_iter: int = 100,
    smooth: float = 0.98,
    stop_factor: float = 4,
) -> LRFinding:
    """Train for a moment while the learning rate grows, and suggest one.

    Model, optimizer, loader and random streams are left exactly as they were, to the last bit,
    also after an error or Ctrl-C.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``. One that carries a state starts every batch from none.
    loader : iterable, Dataset or array of int
        Gives batches, again and again: pairs of inputs and targets, ids ``(batch, time)``, or
        mappings with ``input_ids`` and ``labels``. Of a data set or a text's ids batches of 32 are
        made, as `fit` does.
    criterion : callable, optional
        Maps logits ``(batch, vocab, time)`` and targets to a loss, where batches are pairs;
        cross-entropy by default.
    optimizer : optim.Optimizer, optional
        The one to be used, over the model's parameters: the best rate depends on it. By default
        `AdamW`, decay on matrices only. All groups get the same rate.
    start_lr, end_lr : float
        The lowest rate and the highest; in between they grow by the same factor each step.
    num_iter : int
        Steps; a loader of fewer batches is passed over several times.
    smooth : float
        What a running mean of the losses keeps in each step, from 0 to below 1.
    stop_factor : float
        The test ends when the running mean is this many times its lowest value, or a loss is not
        finite.

    Returns
    -------
    LRFinding
        Rates and losses, and what they suggest.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the loader has no batches.
    TypeError
        If the loader can be iterated only once, so that it could not be left as it was.
    NonFiniteError
        If the very first loss is NaN or infinite.

    Examples
    --------
    >>> finding = lr_find(model, loader)  # doctest: +SKIP
    >>> optimizer = AdamW(model.parameters(), lr=finding.suggestion)  # doctest: +SKIP
    """
    _check_settings(start_lr, end_lr, num_iter, smooth, stop_factor)
    rates = [start_lr * (end_lr / start_lr) ** (step / (num_iter - 1)) for step in range(num_iter)]
    batches = _endless(_copied(_as_loader(loader, model)))
    losses: list[float] = []
    running: list[float] = []
    with _left_as_it_was(model, optimizer):
        if optimizer is None:
            optimizer = optim.AdamW(optim.decay_groups(model, 0.01))
        model.train()
        mean = 0.0
        for step, rate in enumerate(rates):
            loss = _loss_of(model, next(batches), criterion)
            value = loss.item()
            if not math.isfinite(value):
                if step == 0:
                    raise NonFiniteError(
                        f"the loss is {value} before any step: look for NaN or infinity in the "
                        "weights and in the data"
                    )
                break
            losses.append(value)
            mean = smooth * mean + (1 - smooth) * value
            running.append(mean / (1 - smooth ** (step + 1)))  # for the mean began with 0
            if running[-1] > stop_factor * min(running):
                break
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
    return LRFinding(rates[: len(losses)], losses, running)


def _check_settings(
    start_lr: float, end_lr: float, num_iter: int, smooth: float, stop_factor: float
) -> None:
    if not 0 < start_lr < end_lr:
        raise ValueError(
            f"rates grow from start_lr to end_lr: expected 0 < start_lr < end_lr, got {start_lr} "
            f"and {end_lr}"
        )
    if num_iter < 2:
        raise ValueError(f"num_iter must be at least 2, better 100; got {num_iter}")
    if not 0 <= smooth < 1:
        raise ValueError(f"smooth must be in [0, 1), got {smooth}")
    if not stop_factor > 1:
        raise ValueError(f"stop_factor must be above 1, got {stop_factor}")


def _as_loader(data: Any, model: Any) -> Any:
    if not (is_ids(data) or isinstance(data, Dataset)):
        return data
    return make_loader(data, TrainingArguments(per_device_train_batch_size=32), model)


def _loss_of(model: Any, batch: Any, criterion: Callable[[Tensor, Any], Tensor] | None) -> Tensor:
    if criterion is None:
        return batch_loss(model, batch)[0]
    inputs, targets = batch
    return criterion(read_on(model, inputs, None)[0].transpose(1, 2), targets)


# --- leaving things as they were ------------------------------------------------------------------


def _copied(loader: Any) -> Any:
    """Return a loader that gives the same batches; the data themselves are shared."""
    data = [getattr(loader, name, None) for name in ("dataset", "ids")]
    try:
        if iter(loader) is loader:
            raise TypeError("it is an iterator")
        return copy.deepcopy(loader, {id(part): part for part in data if part is not None})
    except TypeError as error:
        raise TypeError(
            f"lr_find leaves the loader as it was, and a {type(loader).__name__} cannot be copied "
            f"for that ({error}): give a DataLoader, or a list of batches"
        ) from None


def _endless(loader: Any) -> Iterator[Any]:
    """Pass over a loader again and again."""
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise ValueError(
                "the loader has no batches: the text is not longer than the sequence length, or "
                "drop_last drops its only batch"
            )


@contextmanager
def _left_as_it_was(model: Any, optimizer: optim.Optimizer | None) -> Iterator[None]:
    """Put weights, gradients, modes, optimizer and random streams back in any case."""
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    grads = [tensor.grad for tensor in tensors]
    modes = [(module, module.training) for module in model.modules()]
    state = None if optimizer is None else copy.deepcopy(optimizer.state_dict())
    for tensor in tensors:
        tensor.grad = None  # the old ones are kept, and not added to
    try:
        with random_streams_kept():
            yield
    finally:
        with no_grad():
            for tensor, value, grad in zip(tensors, values, grads, strict=True):
                tensor.copy_(value)
                tensor.grad = grad
        for module, training in modes:
            module.training = training
        if optimizer is not None and state is not None:
            optimizer.load_state_dict(state)
