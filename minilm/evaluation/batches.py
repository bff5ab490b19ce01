"""Batches of all kinds as inputs and targets, with padding where it cannot do harm.

Padding moves to the right end of each row, where a model that reads from left to right has
predicted all that counts before it gets there. So padding on the left changes nothing either,
whether or not a model knows of attention masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minilm.data.loader import DataLoader
from minilm.data.stream import IGNORED, StreamLoader
from minilm.tensor import Tensor

Pair = tuple[np.ndarray, np.ndarray]  # inputs and targets, (rows, time)

ACCEPTED = (
    "a pair (inputs, targets), a mapping with input_ids and, where there are, labels and "
    "attention_mask, or a row of ids"
)


class Documents:
    """The documents of a stream, each a row of ids.

    Parameters
    ----------
    loader : StreamLoader
        Knows where documents start. Where a separator opens them, the one that follows a document
        ends it and is predicted, too.
    """

    def __init__(self, loader: StreamLoader) -> None:
        self._ids = loader.ids
        self._ending = 0 if loader.document_start is None else 1  # tokens that end a document
        starts = loader.document_starts
        if starts is None:
            starts = np.flatnonzero(loader.ids == loader.document_start)
        self._bounds = np.unique(np.concatenate([[0], starts, [len(loader.ids)]]))

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        begin, end = self._bounds[number : number + 2]
        return self._ids[begin : end + self._ending]


def whole_text(loader: StreamLoader) -> np.ndarray | Documents:
    """Return all that a loader takes its windows from: a stream, or documents.

    Its windows are made for training: they leave tokens out and begin at other places each time.
    """
    plain = loader.document_start is None and loader.document_starts is None
    return loader.ids if plain else Documents(loader)


def is_stream(data: Any) -> bool:
    """Tell whether `data` is one sequence of ids, rather than batches or samples."""
    if isinstance(data, list | tuple | range):
        return all(isinstance(one, int | np.integer) for one in data[:1])
    return hasattr(data, "__array__") and not isinstance(data, Mapping)


def integers(name: str, values: Any) -> np.ndarray:
    """Return ids as an array of whole numbers, without a copy where that can be.

    Raises
    ------
    TypeError
        If they are not whole numbers.
    """
    array = values.numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name}: token ids are whole numbers; got {array.dtype}")
    return array


def batches(data: Any, batch_size: int) -> Iterator[Pair]:
    """Yield the batches of a loader, or make them of the samples of a dataset.

    Parameters
    ----------
    data : DataLoader, Dataset or iterable
        Of `ACCEPTED`, each with the axes ``(rows, time)``, or ``(time,)`` for a single row.
    batch_size : int
        Samples of a batch, where `data` is a dataset.

    Yields
    ------
    inputs, targets : ndarray of int64
        ``(rows, time)``.

    Raises
    ------
    TypeError, ValueError
        If a batch is nothing of the kind; a note says which one.
    """
    for number, items in enumerate(_groups(data, batch_size)):
        try:
            pairs = [_pair_of(item) for item in items]
        except (TypeError, ValueError) as error:
            error.add_note(f"In batch {number} of the data, from 0.")
            raise
        yield pairs[0] if len(pairs) == 1 else _joined(pairs)


def _groups(data: Any, batch_size: int) -> Iterator[list[Any]]:
    """Yield lists of what is to be read side by side."""
    if isinstance(data, Mapping):
        yield [data]
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        yield from DataLoader(data, batch_size, collate_fn=list)
    elif hasattr(data, "__iter__"):
        for batch in data:
            yield [batch]
    else:
        raise TypeError(
            "evaluate takes a text, a sequence of ids, a DataLoader or a Dataset; got "
            f"{type(data).__name__}"
        )


def _pair_of(item: Any) -> Pair:
    if isinstance(item, Mapping):
        return _from_mapping(item)
    if isinstance(item, list | tuple) and item and not np.isscalar(item[0]):
        if len(item) != 2:
            raise TypeError(f"expected {ACCEPTED}; got {len(item)} fields")
        return _from_pair(*item)
    return _from_mapping({"input_ids": item})


def _from_pair(inputs: Any, targets: Any) -> Pair:
    """Read PyTorch's way: the target at each position is the token after it."""
    ids, wanted = _rows("inputs", inputs), _rows("targets", targets)
    _check_same("targets", wanted, "inputs", ids)
    return ids, wanted


def _from_mapping(item: Mapping[str, Any]) -> Pair:
    """Read Hugging Face's way: labels stand where their tokens stand, and are shifted here."""
    if "input_ids" not in item:
        raise TypeError(f"expected {ACCEPTED}; got a mapping with {', '.join(map(str, item))}")
    ids = _rows("input_ids", item["input_ids"])
    mask, labels = item.get("attention_mask"), item.get("labels")
    attended = np.ones(ids.shape, bool) if mask is None else np.asarray(mask) != 0
    attended = attended.reshape(1, -1) if attended.ndim == 1 else attended
    wanted = ids if labels is None else _rows("labels", labels)
    _check_same("attention_mask", attended, "input_ids", ids)
    _check_same("labels", wanted, "input_ids", ids)
    if not attended.all():
        order = np.argsort(~attended, axis=1, kind="stable")  # what is attended to comes first
        order = order[:, : attended.sum(1).max(initial=0)]
        attended = np.take_along_axis(attended, order, 1)
        ids = np.where(attended, np.take_along_axis(ids, order, 1), 0)
        wanted = np.where(attended, np.take_along_axis(wanted, order, 1), IGNORED)
    return ids[:, :-1], wanted[:, 1:]


def _rows(name: str, values: Any) -> np.ndarray:
    array = integers(name, values)
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} have the axes (rows, time); got the shape {array.shape}")
    return np.atleast_2d(array).astype(np.int64, copy=False)


def _check_same(name: str, array: np.ndarray, other: str, expected: np.ndarray) -> None:
    if array.shape != expected.shape:
        raise ValueError(
            f"{name} of shape {array.shape} and {other} of shape {expected.shape} differ: a "
            "language model has a target for each position, (rows, time)"
        )


def _joined(pairs: list[Pair]) -> Pair:
    """Put rows of different lengths under each other, padded on the right."""
    width = max(inputs.shape[1] for inputs, _ in pairs)

    def join(which: int, padding: int) -> np.ndarray:
        return np.concatenate(
            [
                np.pad(
                    pair[which],
                    ((0, 0), (0, width - pair[which].shape[1])),
                    constant_values=padding,
                )
                for pair in pairs
            ]
        )

    return join(0, 0), join(1, IGNORED)
