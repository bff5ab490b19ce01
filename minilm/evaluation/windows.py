"""A text as windows that fit into memory, each token predicted once.

A source gives `runs`: sequences of windows through which a state may be carried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minilm.data.stream import IGNORED

CONTEXT_SHOWN = 8  # tokens before one that is reported


@dataclass(frozen=True)
class Window:
    """Some rows side by side, for a stretch of time.

    Attributes
    ----------
    inputs : ndarray of int64
        Token ids ``(rows, time)``.
    targets : ndarray of int64
        The token after each, ``(rows, time)``; `IGNORED` where it does not count.
    """

    inputs: np.ndarray
    targets: np.ndarray

    def place(self, row: int, column: int) -> tuple[int | None, int]:
        """Return where a target stands: number of its row, or None in a stream; position."""
        raise NotImplementedError

    def context(self, row: int, column: int) -> np.ndarray:
        """Return the last ids before a target, at most `CONTEXT_SHOWN`."""
        raise NotImplementedError


class Source(Protocol):
    """Where windows come from."""

    @property
    def terms(self) -> tuple[str, ...]:
        """Which tokens count, then what is seen before them."""

    def runs(self) -> Iterator[Iterator[Window]]:
        """Yield sequences of windows; a state is carried within each, never between two."""


@dataclass(frozen=True)
class StreamPlan:
    """How a stream is cut into lanes.

    Attributes
    ----------
    targets : int
        Tokens of the stream but the first.
    context : int
        Tokens that each lane but the first reads before its own.
    stride : int
        Tokens of its own.
    window : int
        Tokens read in one go; a lane that is longer takes several, and carries a state.
    seen : str
        What a token's prediction rests on, in words.
    """

    targets: int
    context: int
    stride: int
    window: int
    seen: str

    @classmethod
    def of_lanes(cls, targets: int, context: int, lanes: int) -> StreamPlan:
        """Cut into at most `lanes` equal lanes, none shorter than `context`."""
        own = max(targets - context, 1)
        stride = -(-own // min(lanes, -(-own // context)))
        count = -(-own // stride)
        seen = "state carried through the whole text"
        if count > 1:
            seen = f"state carried along {count} lanes after {context:,} tokens of context or more"
        return cls(targets, context, stride, 2 * context, seen)

    @classmethod
    def of_windows(cls, targets: int, context: int, stride: int) -> StreamPlan:
        """Cut into lanes of one window each."""
        seen = f"stride {stride:,} after {context:,} tokens of context or more"
        if targets <= context + stride:
            seen = "in one window"
        return cls(targets, context, stride, context + stride, seen)

    @property
    def lanes(self) -> int:
        """Number of lanes."""
        return -(-max(self.targets - self.context, 1) // self.stride)


@dataclass(frozen=True)
class StreamWindow(Window):
    """Rows of a stream: row r begins at position ``first[r]`` of `ids`."""

    ids: np.ndarray
    first: np.ndarray

    def place(self, row: int, column: int) -> tuple[int | None, int]:
        """Return None and the position in the stream."""
        return None, int(self.first[row]) + column + 1

    def context(self, row: int, column: int) -> np.ndarray:
        """Return the ids before it in the stream."""
        position = self.place(row, column)[1]
        return self.ids[max(position - CONTEXT_SHOWN, 0) : position]


class Stream:
    """A stream of token ids, read along lanes.

    Parameters
    ----------
    ids : ndarray of int
        ``(tokens,)``, at least two.
    plan : StreamPlan
        How it is cut.
    batch_size : int
        Lanes side by side.
    """

    def __init__(self, ids: np.ndarray, plan: StreamPlan, batch_size: int) -> None:
        self._ids = ids
        self._plan = plan
        self._batch_size = batch_size

    @property
    def terms(self) -> tuple[str, ...]:
        """Which tokens count, and what is seen before them."""
        return ("all but the first", self._plan.seen)

    def runs(self) -> Iterator[Iterator[Window]]:
        """Yield a run for every `batch_size` lanes."""
        starts = self._plan.stride * np.arange(self._plan.lanes)
        for row in range(0, len(starts), self._batch_size):
            yield self._windows(starts[row : row + self._batch_size])

    def _windows(self, starts: np.ndarray) -> Iterator[Window]:
        plan, last = self._plan, self._plan.targets
        length = min(plan.context + plan.stride, last)
        for begin in range(0, length, plan.window):
            offsets = np.arange(begin, min(begin + plan.window, length))
            positions = starts[:, None] + offsets
            # What comes first was counted by the lane before; the last lane may end early.
            counted = ((offsets >= plan.context) | (starts[:, None] == 0)) & (positions < last)
            positions = np.minimum(positions, last - 1)
            inputs = self._ids[positions].astype(np.int64, copy=False)
            targets = self._ids[positions + 1].astype(np.int64, copy=False)
            counts = np.where(counted, targets, IGNORED)
            yield StreamWindow(inputs, counts, self._ids, starts + begin)


@dataclass(frozen=True)
class RowsWindow(Window):
    """Rows that have nothing to do with one another, from column `begin` on."""

    rows: np.ndarray  # the ids (rows, time) from column 0 on
    first_row: int
    begin: int

    def place(self, row: int, column: int) -> tuple[int | None, int]:
        """Return the number of the row in the data, and the position in it."""
        return self.first_row + row, self.begin + column + 1

    def context(self, row: int, column: int) -> np.ndarray:
        """Return the ids before it in its row."""
        position = self.begin + column + 1
        return self.rows[row, max(position - CONTEXT_SHOWN, 0) : position]


class Rows:
    """Batches of rows, each read from its start.

    Parameters
    ----------
    batches : iterator of (ndarray, ndarray)
        Inputs and targets ``(rows, time)``, padded on the right with targets `IGNORED`.
    window : int or None
        Tokens of a row that are read in one go, where a state can be carried on.
    """

    def __init__(
        self, batches: Iterator[tuple[np.ndarray, np.ndarray]], window: int | None
    ) -> None:
        self._batches = batches
        self._window = window
        self._rows = 0

    @property
    def terms(self) -> tuple[str, ...]:
        """Which tokens count, and what is seen before them: known once all were read."""
        return f"{self._rows:,} rows, each read on its own", "padding and ignored labels excluded"

    def runs(self) -> Iterator[Iterator[Window]]:
        """Yield a run for every batch."""
        for inputs, targets in self._batches:
            yield self._windows(inputs, targets)
            self._rows += len(inputs)

    def _windows(self, inputs: np.ndarray, targets: np.ndarray) -> Iterator[Window]:
        width = inputs.shape[1]
        step = self._window or max(width, 1)
        for begin in range(0, width, step):
            part = slice(begin, begin + step)
            yield RowsWindow(inputs[:, part], targets[:, part], inputs, self._rows, begin)
