"""From a list of samples to one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minilm.creation import tensor
from minilm.operations import stack
from minilm.tensor import Tensor


class UnevenItemsError(ValueError):
    """Items of a batch differ in shape, so they cannot be stacked.

    Attributes
    ----------
    position : int
        Place in the batch of the first item that differs from item 0.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def default_collate(samples: Sequence[Any]) -> Any:
    """Join samples into one batch, as PyTorch's ``default_collate`` does.

    Parameters
    ----------
    samples : sequence
        At least one; all of one kind.

    Returns
    -------
    Tensor, list or mapping
        Tensors and arrays of one shape are stacked along a new first axis, ``(batch, ...)``.
        Python numbers become a tensor ``(batch,)``: int64, bool, or float32 (PyTorch would make
        float64, which no layer takes). Strings stay a list. Tuples and lists give a list with one
        batch for each field, named tuples and mappings the like of themselves.

    Raises
    ------
    UnevenItemsError
        If shapes, or numbers of fields, differ; the message names the item and both shapes.
    TypeError
        If samples are of a kind that cannot be joined.

    Examples
    --------
    >>> default_collate([([1, 2], "a"), ([3, 4], "b")])
    [[tensor([1, 3]), tensor([2, 4])], ['a', 'b']]
    """
    return _collate(samples, "")


def _collate(samples: Sequence[Any], field: str) -> Any:
    """Join samples, or what stands at `field` of each sample."""
    first = samples[0]
    if isinstance(first, Tensor | np.ndarray):
        _check_even("shape", [sample.shape for sample in samples], field)
        if any(isinstance(sample, Tensor) and sample.requires_grad for sample in samples):
            return stack(samples)  # slower, and on the tape
        return tensor(np.stack([np.asarray(sample) for sample in samples]))
    if isinstance(first, bool | int | float | np.generic):
        return tensor(list(samples))
    if isinstance(first, str | bytes):
        return list(samples)
    if isinstance(first, Mapping):
        return {
            key: _collate([sample[key] for sample in samples], f"{field}[{key!r}]") for key in first
        }
    if isinstance(first, Sequence):
        _check_even("length", [len(sample) for sample in samples], field)
        fields = [
            _collate(values, f"{field}[{i}]") for i, values in enumerate(zip(*samples, strict=True))
        ]
        return type(first)(*fields) if hasattr(first, "_fields") else fields
    raise TypeError(
        f"cannot make a batch of {type(first).__name__} (item 0{field}): expected tensors, arrays, "
        "numbers, strings, or tuples, lists and dicts of these. Pass collate_fn= to the "
        "DataLoader to join samples in your own way"
    )


def _check_even(what: str, sizes: Sequence[Any], field: str) -> None:
    for position, size in enumerate(sizes):
        if size != sizes[0]:
            raise UnevenItemsError(
                f"cannot stack a batch: item {position}{field} has {what} {size}, but "
                f"item 0{field} has {what} {sizes[0]}. Cut or pad items to one {what} in "
                "__getitem__, or pass collate_fn= to the DataLoader to do so for each batch",
                position,
            )
