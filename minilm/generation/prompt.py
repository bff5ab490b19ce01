"""What a model writes on from: the ids of a batch of texts, and which of them are padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.tensor import Tensor

PADDING = -1  # in ids: no token


@dataclass(frozen=True)
class Prompt:
    """The ids that texts begin with.

    Attributes
    ----------
    given : ndarray of int64
        ``(batch, time)``, as they came.
    ids : ndarray of int64
        ``(batch, time)``; padding, -1, stands on the left, and no column is all of it.
    """

    given: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_padded(self) -> bool:
        """Whether the texts differ in length."""
        return bool((self.ids == PADDING).any())

    def repeated(self, times: int) -> Prompt:
        """Return each text several times, one after the other."""
        return Prompt(self.given.repeat(times, axis=0), self.ids.repeat(times, axis=0))


def prompt_of(input_ids: Any, attention_mask: Any = None, may_be_empty: bool = False) -> Prompt:
    """Check ids and mask, and bring the padding to the left.

    Parameters
    ----------
    input_ids : Tensor, ndarray or nested sequence of int
        ``(time,)`` or ``(batch, time)``.
    attention_mask : Tensor, ndarray or nested sequence, optional
        As many, 1 for a token and 0 for padding, on whichever side.
    may_be_empty : bool
        Whether a text may begin with nothing.

    Raises
    ------
    TypeError
        If the ids are not integers.
    ValueError
        If the axes are others, or a text has no token.
    """
    given = np.atleast_2d(_checked_ids(input_ids, may_be_empty))
    if attention_mask is None:
        return Prompt(given, given)
    mask = _checked_mask(attention_mask, given)
    lengths = mask.sum(axis=1)
    if not may_be_empty and not lengths.all():
        raise ValueError(
            f"attention_mask: text {int(lengths.argmin())} is all padding; give at least one token "
            "to start from"
        )
    ids = np.full((len(given), int(lengths.max(initial=0))), PADDING, np.int64)
    places = np.arange(ids.shape[1]) >= ids.shape[1] - lengths[:, None]
    ids[places] = given[mask]  # both go through the texts in order
    return Prompt(given, ids)


def by_length(rows: list[np.ndarray]) -> Iterator[tuple[list[int], np.ndarray]]:
    """Group rows of ids by their lengths, so that a model can read each group at once.

    Yields
    ------
    places : list of int
        Which rows.
    ids : ndarray of int64
        ``(rows, time)``.
    """
    for length in sorted({len(row) for row in rows}):
        places = [place for place, row in enumerate(rows) if len(row) == length]
        yield places, np.array([rows[place] for place in places], np.int64)


def _array(name: str, values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        return values.detach().numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name}: the texts differ in length, so they do not stack into one array; tokenize "
            "with padding=True, and pass the attention_mask"
        ) from None


def _checked_ids(input_ids: Any, may_be_empty: bool) -> np.ndarray:
    ids = _array("input_ids", input_ids)
    if ids.ndim not in (1, 2):
        raise ValueError(
            f"a prompt has the axes (time,) or (batch, time); got the shape {ids.shape}"
        )
    if ids.size == 0:
        if not may_be_empty or ids.ndim == 2 and len(ids) == 0:
            raise ValueError("the prompt is empty; give at least one token to start from")
        return ids.astype(np.int64)
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f"token ids are integers; got {ids.dtype}")
    if ids.min() < 0:
        raise IndexError(f"input_ids: id {ids.min()} is negative; padding needs an attention_mask")
    return ids.astype(np.int64)


def _checked_mask(attention_mask: Any, given: np.ndarray) -> np.ndarray:
    values = np.atleast_2d(_array("attention_mask", attention_mask))
    if values.shape != given.shape:
        raise ValueError(
            f"attention_mask has the shape {values.shape}, expected {given.shape} (batch, time), "
            "that of input_ids"
        )
    mask: np.ndarray = values != 0
    if not (mask == values).all():
        raise ValueError("attention_mask holds 1 for a token and 0 for padding, nothing else")
    return mask
