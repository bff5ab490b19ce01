"""One long text cut into lanes that are read side by side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class StreamLoader:
    """Batches of consecutive windows, for models that carry their state along.

    The stream is cut into `batch_size` lanes; batch k holds window k of every lane, so that each
    row goes on where the same row of the batch before ended. Each pass starts at another offset,
    so that windows are cut at other places; what is left over changes with it.

    Parameters
    ----------
    ids : ndarray of int
        The stream of token ids ``(tokens,)``.
    batch_size : int
        Lanes; fewer when the stream is too short to fill them.
    seq_len : int
        Tokens of a window, through which gradients flow.
    seed : int
        Picks the offsets.

    Raises
    ------
    ValueError
        If the stream holds no window of `seq_len` tokens and their next ones.

    Examples
    --------
    >>> inputs, targets = next(iter(StreamLoader(np.arange(9), batch_size=2, seq_len=4)))
    >>> inputs.tolist(), targets.tolist()
    ([[0, 1, 2, 3], [4, 5, 6, 7]], [[1, 2, 3, 4], [5, 6, 7, 8]])
    """

    def __init__(self, ids: np.ndarray, batch_size: int, seq_len: int, seed: int = 0) -> None:
        windows = (len(ids) - 1) // seq_len
        if windows < 1:
            raise ValueError(
                f"the training text has {len(ids)} tokens, but a window takes {seq_len + 1} "
                f"(sequence length {seq_len} and the next token); give more text or a shorter "
                "sequence length"
            )
        self.ids = ids
        self.seq_len = seq_len
        self.lanes = min(batch_size, windows)
        self.steps = windows // self.lanes
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        """Return the number of batches of a pass."""
        return self.steps

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Make one pass, as pairs of inputs and targets ``(batch, time)``."""
        lane = self.steps * self.seq_len
        slack = len(self.ids) - 1 - self.lanes * lane
        first = int(self._rng.integers(min(slack, self.seq_len) + 1))
        last = first + self.lanes * lane
        inputs = self.ids[first:last].reshape(self.lanes, lane)
        targets = self.ids[first + 1 : last + 1].reshape(self.lanes, lane)
        for start in range(0, lane, self.seq_len):
            window = slice(start, start + self.seq_len)
            yield inputs[:, window], targets[:, window]
