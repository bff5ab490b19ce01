"""Products of matrices."""

from __future__ import annotations

import numpy as np

from minilm.rules.rule import Array, Backward, fit_to, promote, rule


@rule(a="b", b="a")
def matmul(a: Array, b: Array) -> tuple[Array, Backward]:
    """Product ``(..., n, k) @ (..., k, m) -> (..., n, m)``; what has one axis is a vector."""
    p, q = promote(a, b)
    _check_product("matmul", p, q)
    y, fit = np.asarray(p @ q), fit_to(a, b)

    def backward(g: Array) -> tuple[Array | None, ...]:
        # A vector takes part as a matrix of one row or column; its gradient loses that axis again.
        rows = p if p.ndim > 1 else p[None, :]
        columns = q if q.ndim > 1 else q[:, None]
        if p.ndim == 1:
            g = g[..., None, :] if q.ndim > 1 else g[None]
        if q.ndim == 1:
            g = g[..., None]
        of_a = g @ columns.swapaxes(-1, -2)
        of_b = rows.swapaxes(-1, -2) @ g
        return fit(
            of_a if p.ndim > 1 else of_a[..., 0, :],
            of_b if q.ndim > 1 else of_b[..., 0],
        )

    return y, backward


def _check_product(name: str, a: Array, b: Array) -> None:
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"{name}: both operands need at least one axis; use * for numbers")
    inner = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        raise ValueError(
            f"{name}: shapes {a.shape} and {b.shape}: the last axis of the first ({a.shape[-1]}) "
            f"must be as long as the {'only' if b.ndim == 1 else 'second to last'} axis of the "
            f"second ({inner}). A likely cause is a missing transpose(-2, -1)"
        )
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(
            f"{name}: shapes {a.shape} and {b.shape}: the leading (batch) axes do not broadcast"
        ) from None
