"""Sums of arrays, as residual streams and their gradients are: large, and many."""

from __future__ import annotations

import numpy as np

from minilm.rules.rule import Array

LARGE = 1 << 16  # numbers from which a second thread helps


def new_sum(p: Array, q: Array) -> Array:
    """Return the sum of two float32 arrays, in memory that is used again."""
    from minilm import _core  # here, since `import minilm` does not load the core

    if _lie_alike(p, q):
        return _core.add(p, q)
    return np.add(p, q, out=_core.empty(np.broadcast(p, q).shape))


def add_to(total: Array, more: Array) -> None:
    """Add an array to another, in place."""
    if _lie_alike(total, more):
        from minilm import _core

        _core.add(total, more, total)
    else:
        total += more


def _lie_alike(p: Array, q: Array) -> bool:
    """Tell whether the core can add two arrays, and it is worth it."""
    return (
        p.size >= LARGE
        and p.shape == q.shape
        and p.dtype == q.dtype == np.float32
        and p.ndim <= 8
        and all(x.flags.c_contiguous and x.flags.aligned for x in (p, q))
    )
