"""Keys and values of what a model has read, so that it reads on without reading all again."""

from __future__ import annotations

import numpy as np

from minilm.operations import cat
from minilm.tensor import Tensor

LEAST_ROOM = 32  # positions


class _Rows:
    """Keys or values of a block, which grow along time.

    The first that come are kept as they lie: most caches are made, and never gone on with. From the
    second on there is a block of memory with room for as many positions again, so that each is
    copied about twice in all, however long the text becomes.
    """

    def __init__(self, first: np.ndarray) -> None:
        self._memory = first
        self._length = first.shape[2]

    @property
    def array(self) -> np.ndarray:
        """What there is, ``(batch, heads, time, head size)``."""
        return self._memory[:, :, : self._length]

    def append(self, new: np.ndarray) -> None:
        """Add positions behind those that there are; these stay where others may see them."""
        end = self._length + new.shape[2]
        if end > self._memory.shape[2]:
            self._memory = self._copy(max(2 * end, LEAST_ROOM))
        self._memory[:, :, self._length : end] = new
        self._length = end

    def reorder(self, rows: np.ndarray) -> None:
        """Take rows of the batch, with as much room."""
        self._memory = self._copy(self._memory.shape[2], rows)

    def _copy(self, capacity: int, rows: np.ndarray | None = None) -> np.ndarray:
        picked = range(len(self._memory)) if rows is None else rows
        _, heads, _, size = self._memory.shape
        memory = np.empty((len(picked), heads, capacity, size), self._memory.dtype)
        for new, old in enumerate(picked):
            memory[new, :, : self._length] = self.array[old]
        return memory


class DynamicCache:
    """Keys and values of each block, which grow with every call (Hugging Face's name).

    They are cut from the tape: gradients flow within a call, never into the one before.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[_Rows, _Rows]] = []

    @property
    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """For each block keys and values, ``(batch, key and value heads, time, head size)``."""
        return [(Tensor(keys.array), Tensor(values.array)) for keys, values in self._rows]

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Add what a block computed, and return all that it has so far.

        Parameters
        ----------
        keys, values : Tensor
            ``(batch, heads, time, head size)`` of the new positions.
        layer : int
            The number of the block, from 0.

        Returns
        -------
        keys, values : Tensor
            ``(batch, heads, past and time, head size)``. Where the new positions stand on the tape,
            they do so here, and the whole is a copy; else it is the cache's own memory.

        Raises
        ------
        ValueError
            If the batch is another than that of the past.
        """
        if layer >= len(self._rows):
            self._rows.append((_Rows(keys.detach().numpy()), _Rows(values.detach().numpy())))
            return keys, values
        before = [rows.array for rows in self._rows[layer]]
        if len(before[0]) != keys.shape[0]:
            raise ValueError(
                f"past_key_values are of {len(before[0])} texts, input_ids of {keys.shape[0]}: a "
                "cache goes on with the batch that it was made with"
            )
        grown = []
        for rows, past, new in zip(self._rows[layer], before, (keys, values), strict=True):
            rows.append(new.detach().numpy())
            on_tape = new.requires_grad
            grown.append(cat([Tensor(past), new], dim=2) if on_tape else Tensor(rows.array))
        return grown[0], grown[1]

    def reorder_cache(self, rows: np.ndarray) -> None:
        """Go on with these rows of the batch: one may come again, or not at all.

        Parameters
        ----------
        rows : ndarray of int
            Which, ``(new batch,)``.
        """
        rows = np.asarray(rows)
        for part in (part for layer in self._rows for part in layer):
            if not np.array_equal(rows, np.arange(len(part.array))):
                part.reorder(rows)

    def get_seq_length(self) -> int:
        """Return how many positions are kept."""
        return self._rows[0][0].array.shape[2] if self._rows else 0

    def __len__(self) -> int:
        return len(self._rows)
