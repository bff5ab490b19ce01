"""Random numbers: one default stream for the whole package, and streams of one's own.

Numbers come from NumPy's Philox, so that a seed gives the same numbers on every platform. They are
not the numbers that PyTorch draws from the same seed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minilm.rules.rule import Array
    from minilm.tensor import Tensor

_DEFAULT_SEED = 67280421310721  # PyTorch's: without manual_seed, every run draws the same
_STATE = struct.Struct("<14Q")
_WORD = 1 << 64


class Generator:
    """A stream of random numbers.

    Parameters
    ----------
    seed : int
        Where the stream starts.

    Examples
    --------
    >>> generator = minilm.Generator().manual_seed(0)
    >>> minilm.randperm(3, generator=generator)
    """

    def __init__(self, seed: int = _DEFAULT_SEED) -> None:
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream again from `seed`, and return the generator."""
        self._seed = int(seed) % _WORD  # as PyTorch: negative seeds count from the end
        self._dropout_calls = 0
        self._stream: np.random.Generator | None = None
        return self

    @property
    def _draws(self) -> np.random.Generator:
        """NumPy's generator, made at first use: importing it takes longer than all of minilm."""
        if self._stream is None:
            self._stream = np.random.Generator(np.random.Philox(self._seed))
        return self._stream

    def seed(self) -> int:
        """Start the stream from a seed that the system supplies, and return that seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """Return the seed that the stream started from."""
        return self._seed

    def get_state(self) -> Tensor:
        """Return where the stream stands, as a tensor of bytes for `set_state`."""
        from minilm.tensor import Tensor

        state: Any = self._draws.bit_generator.state
        words = (
            self._seed,
            self._dropout_calls,
            *state["state"]["counter"],
            *state["state"]["key"],
            *state["buffer"],
            state["buffer_pos"],
            state["has_uint32"] << 32 | state["uinteger"],
        )
        return Tensor(np.frombuffer(_STATE.pack(*map(int, words)), np.uint8).copy())

    def set_state(self, state: Tensor | Array) -> Generator:
        """Continue from where `get_state` was called.

        Raises
        ------
        ValueError
            If `state` is not what `get_state` returned.
        """
        packed = np.asarray(state)
        if packed.dtype != np.uint8 or packed.shape != (_STATE.size,):
            raise ValueError(
                f"the state of a generator is a tensor of {_STATE.size} bytes (uint8), got "
                f"{packed.dtype} of shape {packed.shape}"
            )
        words = _STATE.unpack(packed.tobytes())
        self._seed, self._dropout_calls = words[:2]
        self._draws.bit_generator.state = {
            "bit_generator": "Philox",
            "state": {
                "counter": np.array(words[2:6], np.uint64),
                "key": np.array(words[6:8], np.uint64),
            },
            "buffer": np.array(words[8:12], np.uint64),
            "buffer_pos": words[12],
            "has_uint32": words[13] >> 32,
            "uinteger": words[13] & 0xFFFFFFFF,
        }
        return self

    def next_dropout_key(self) -> tuple[int, int]:
        """Return ``(seed, offset)`` for one call of one dropout layer.

        A mask is a function of the seed, the offset and the position of the element. The offset
        counts the calls, so a run that continues from a saved state sees the same masks.
        """
        with self._draws.bit_generator.lock:
            offset = self._dropout_calls
            self._dropout_calls += 1
        return self._seed, offset

    # --- draws, as NumPy arrays ---

    def uniform(self, low: float, high: float, shape: Sequence[int]) -> Array:
        """Draw float32 numbers from ``[low, high)``."""
        unit = self._draws.random(tuple(shape), dtype=np.float32)
        return np.asarray(unit * np.float32(high - low) + np.float32(low))

    def normal(self, mean: float, std: float, shape: Sequence[int]) -> Array:
        """Draw normally distributed float32 numbers."""
        standard = self._draws.standard_normal(tuple(shape), dtype=np.float32)
        return np.asarray(standard * np.float32(std) + np.float32(mean))

    def integers(self, low: int, high: int, shape: Sequence[int]) -> Array:
        """Draw int64 numbers from `low` to ``high - 1``."""
        return np.asarray(self._draws.integers(low, high, tuple(shape), dtype=np.int64))

    def permutation(self, n: int) -> Array:
        """Draw an order of the numbers 0 to ``n - 1``, as int64."""
        return self._draws.permutation(n).astype(np.int64, copy=False)


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default stream of random numbers from `seed`, and return its generator."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Start the default stream from a seed that the system supplies, and return that seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """Return the seed that the default stream started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """Return where the default stream stands."""
    return default_generator.get_state()


def set_rng_state(state: Tensor | Array) -> None:
    """Continue the default stream from where `get_rng_state` was called."""
    default_generator.set_state(state)


def next_dropout_key() -> tuple[int, int]:
    """Return the next ``(seed, offset)`` for dropout from the default stream."""
    return default_generator.next_dropout_key()
