"""Numbers that follow from a name: the same on every machine and for every NumPy.

Weights, inputs and gradients are made here again whenever they are needed, so that only PyTorch's
answers have to be stored. The raw words of NumPy's Philox never change (NEP 19), while its
distributions may.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

Array = np.ndarray


def words(name: str, n: int) -> Array:
    """Return n random 64-bit words."""
    return np.random.Philox(key=zlib.crc32(name.encode())).random_raw(n)


def uniform(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Array:
    """Return float64 numbers in [-scale, scale), which float32 holds exactly."""
    unit = (words(name, math.prod(shape)) >> np.uint64(11)) * 2.0**-53
    return np.float32(scale * (2.0 * unit - 1.0)).astype(np.float64).reshape(shape)


def ids(name: str, shape: tuple[int, ...], below: int) -> Array:
    """Return int64 numbers in [0, below)."""
    return (words(name, math.prod(shape)) % np.uint64(below)).astype(np.int64).reshape(shape)


def digest(array: Array, entries: int = 112, projections: int = 16) -> Array:
    """Return a vector that stands for an array: all of it, or a part when it is large.

    The part is a number of elements, evenly spread, and the array's projections on random
    vectors of signs, which an error in any element moves.
    """
    flat = np.ravel(array).astype(np.float64)
    if flat.size <= entries + projections:
        return flat
    spread = np.linspace(0, flat.size - 1, entries).astype(int)
    return np.concatenate([flat[spread], signs(projections, flat.size) @ flat])


def signs(n: int, size: int) -> Array:
    """Return n random vectors of length 1 whose elements have one magnitude."""
    bits = np.unpackbits(words("signs", math.ceil(size / 64) * n).view(np.uint8))
    return (2.0 * bits.reshape(n, -1)[:, :size] - 1.0) / math.sqrt(size)
