"""Philox4x32-10: random numbers as a function of (key, counter), with no state to carry.

Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
https://doi.org/10.1145/2063384.2063405.
"""

from __future__ import annotations

import numpy as np

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # golden ratio and sqrt(3) - 1, as fractions of 2^32
MASK = 0xFFFFFFFF


def philox4x32(counter: np.ndarray, key: tuple[int, int], rounds: int = 10) -> np.ndarray:
    """Return four random words for each counter: (..., 4) -> (..., 4), uint32 values in uint64."""
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter, dtype=np.uint64), -1, 0)
    k0, k1 = key
    for _ in range(rounds):
        product0, product1 = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])
        high0, low0 = product0 >> 32, product0 & MASK
        high1, low1 = product1 >> 32, product1 & MASK
        c0, c1, c2, c3 = high1 ^ c1 ^ np.uint64(k0), low1, high0 ^ c3 ^ np.uint64(k1), low0
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return np.stack([c0, c1, c2, c3], axis=-1)


def dropout_mask(
    seed: int, offset: int, index: int, shape: tuple[int, ...], p: float
) -> np.ndarray:
    """Return mask ``index`` of a layer: 1 with probability 1 - p, else 0.

    Elements come in blocks of 64, whose numbers are the words of 16 counters in the stream
    ``offset + 2^32 index``: the first word of each, then the second and so on. An element is kept
    when its number, as a fraction of 2^32, is not below p.
    """
    size = int(np.prod(shape))
    counters = np.arange(16 * -(-size // 64), dtype=np.uint64)
    stream = np.full_like(counters, offset + (index << 32))
    counters = np.stack([counters & MASK, counters >> 32, stream & MASK, stream >> 32], axis=-1)
    numbers = philox4x32(counters, (seed & MASK, seed >> 32)).reshape(-1, 16, 4)
    numbers = numbers.swapaxes(1, 2).ravel()[:size]
    return (numbers >= np.uint64(p * 2**32)).astype(np.float64).reshape(shape)
