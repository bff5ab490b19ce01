"""Averages of weights over the steps of training: equal (SWA) or exponential (EMA).

Averages are often better than the last weights: they lie in the middle of what the last steps
jump about (Polyak & Juditsky 1992; Izmailov et al. 2018, https://arxiv.org/abs/1803.05407).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from minilm.grad_mode import no_grad
from minilm.nn.module import Module
from minilm.tensor import Tensor

AvgFn: TypeAlias = Callable[[Tensor, Tensor, int], Tensor]
"""Maps an average, the newest values and how many were averaged to the next average."""

MultiAvgFn: TypeAlias = Callable[[Sequence[Tensor], Sequence[Tensor], int], None]
"""Overwrites the averages in the first list, given the newest values and how many came before."""


class AveragedModel(Module):
    """A model whose weights are averages of another one's over time.

    Parameters
    ----------
    model : Module
        Is copied; after its steps, `update_parameters` takes its weights in.
    device : str, optional
        For code written for PyTorch; everything is on the CPU.
    avg_fn, multi_avg_fn : callable, optional
        How to average one tensor, or all of them in place; one of the two. Without either, all
        steps count the same.
    use_buffers : bool
        Average the buffers, too; otherwise, and where they are not floating point, the newest are
        copied.

    Attributes
    ----------
    module : Module
        The model with the averages.
    n_averaged : Tensor
        How many sets of weights were taken in, int64.

    Raises
    ------
    ValueError
        If both functions are given.

    Examples
    --------
    >>> averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    >>> optimizer.step()  # doctest: +SKIP
    >>> averaged.update_parameters(model)
    >>> with averaged.swapped_in(model):
    ...     loss = evaluate(model, ids).loss  # doctest: +SKIP
    """

    module: Module
    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: str | None = None,
        avg_fn: AvgFn | None = None,
        multi_avg_fn: MultiAvgFn | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("give one of avg_fn and multi_avg_fn: each says how to average")
        self.module = copy.deepcopy(model)
        self.module.zero_grad()
        self.register_buffer("n_averaged", Tensor(np.zeros((), np.int64)))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers
        if device is not None:
            self.to(device)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model with the averages."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the weights of the model in; the first ones are copied.

        Parameters
        ----------
        model : Module
            The one that is trained.

        Raises
        ------
        ValueError
            If its parameters have other names or shapes; nothing changes then.
        """
        averaged, current = self._pairs(model)
        count = int(self.n_averaged)
        with no_grad():
            if count == 0:
                _copy(averaged, current)
            elif self.avg_fn is not None:
                for average, values in zip(averaged, current, strict=True):
                    average.copy_(self.avg_fn(average, values, count))
            else:
                (self.multi_avg_fn or get_swa_multi_avg_fn())(averaged, current, count)
            _copy(*self._copied_pairs(model))
            self.n_averaged.add_(1)

    @contextmanager
    def swapped_in(self, model: Module) -> Iterator[Module]:
        """Put the averages into the model for a while, such as to evaluate or save it.

        Afterwards the model has its own weights again, to the last bit, whatever happened.

        Parameters
        ----------
        model : Module
            The one that is trained. What changes its weights meanwhile is lost.

        Yields
        ------
        Module
            The same model.

        Raises
        ------
        ValueError
            If its parameters have other names or shapes.
        """
        averaged, current = self._pairs(model)
        own = [values.detach().clone() for values in current]
        try:
            _copy(current, averaged)
            yield model
        finally:
            _copy(current, own)

    def _pairs(self, model: Module) -> tuple[list[Tensor], list[Tensor]]:
        """Return the averages, and what they are averages of."""
        ours, theirs = self._averaged_tensors(self.module), self._averaged_tensors(model)
        shapes, given = ({name: t.shape for name, t in each.items()} for each in (ours, theirs))
        if shapes != given:
            wrong = next(n for n in {**shapes, **given} if shapes.get(n) != given.get(n))
            raise ValueError(
                f"the model is not of the kind that was copied: {wrong} has shape "
                f"{given.get(wrong)} in it and {shapes.get(wrong)} in the copy. Was a layer "
                "replaced, or a weight tied, after AveragedModel was made?"
            )
        return list(ours.values()), list(theirs.values())

    def _averaged_tensors(self, model: Module) -> dict[str, Tensor]:
        buffers = {n: b for n, b in model.named_buffers() if self._averages_buffer(b)}
        return {**dict(model.named_parameters()), **buffers}

    def _copied_pairs(self, model: Module) -> tuple[list[Tensor], list[Tensor]]:
        ours, theirs = (
            [buffer for buffer in each.buffers() if not self._averages_buffer(buffer)]
            for each in (self.module, model)
        )
        return ours, theirs

    def _averages_buffer(self, buffer: Tensor) -> bool:
        return self.use_buffers and buffer.dtype.kind == "f"


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """Return what moves averages towards new values by ``1 - decay`` of the way.

    Parameters
    ----------
    decay : float
        What is kept of the average in each step, from 0 to 1.

    Raises
    ------
    ValueError
        If it is out of its range.
    """
    _check_decay(decay)

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], _: int) -> None:
        _move(averaged, current, 1 - decay)

    return update


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """Return what makes averages in which all steps count the same."""

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: int) -> None:
        _move(averaged, current, 1 / (count + 1))

    return update


def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """Return the same as `get_ema_multi_avg_fn` for one tensor."""
    _check_decay(decay)
    return lambda average, values, _: decay * average + (1 - decay) * values


def get_swa_avg_fn() -> AvgFn:
    """Return the same as `get_swa_multi_avg_fn` for one tensor."""
    return lambda average, values, count: average + (values - average) / (count + 1)


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(
            f"decay must be between 0 and 1, got {decay}: it is what is kept of the average"
        )


def _move(averaged: Sequence[Tensor], current: Sequence[Tensor], share: float) -> None:
    """Move averages towards new values by a share of the way, in place."""
    for average, values in zip(averaged, current, strict=True):
        difference = values._array - average._array
        difference *= share
        average._before_write()
        average._array[...] += difference


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    with no_grad():
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source)
