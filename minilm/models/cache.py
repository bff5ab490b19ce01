"""Keys and values of what a model has read, so that it reads on without reading all again."""

from __future__ import annotations

import numpy as np

from minilm.operations import cat
from minilm.tensor import Tensor


class DynamicCache:
    """Keys and values of each block, which grow with every call (Hugging Face's name).

    Attributes
    ----------
    layers : list of tuple of Tensor
        For each block keys and values, ``(batch, key and value heads, time, head size)``, cut from
        the tape: gradients flow within a call, never into the one before.
    """

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []

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
            ``(batch, heads, past and time, head size)``; the new positions stand on the tape.

        Raises
        ------
        ValueError
            If the batch is another than that of the past.
        """
        if layer < len(self.layers):
            past_keys, past_values = self.layers[layer]
            if past_keys.shape[0] != keys.shape[0]:
                raise ValueError(
                    f"past_key_values are of {past_keys.shape[0]} texts, input_ids of "
                    f"{keys.shape[0]}: a cache goes on with the batch that it was made with"
                )
            keys, values = cat([past_keys, keys], dim=2), cat([past_values, values], dim=2)
            self.layers[layer] = keys.detach(), values.detach()
        else:
            self.layers.append((keys.detach(), values.detach()))
        return keys, values

    def reorder_cache(self, rows: np.ndarray) -> None:
        """Go on with these rows of the batch: one may come again, or not at all.

        Parameters
        ----------
        rows : ndarray of int
            Which, ``(new batch,)``.
        """
        self.layers = [
            (Tensor(np.take(keys.numpy(), rows, 0)), Tensor(np.take(values.numpy(), rows, 0)))
            for keys, values in self.layers
        ]

    def get_seq_length(self) -> int:
        """Return how many positions are kept."""
        return self.layers[0][0].shape[2] if self.layers else 0

    def __len__(self) -> int:
        return len(self.layers)
