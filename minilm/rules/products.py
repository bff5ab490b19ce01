"""Products of matrices."""

from __future__ import annotations

import math

import numpy as np

from minilm.rules.rule import Array, Backward, fit_to, promote, rule


@rule(a="b", b="a")
def matmul(a: Array, b: Array) -> tuple[Array, Backward]:
    """Product ``(..., n, k) @ (..., k, m) -> (..., n, m)``; what has one axis is a vector."""
    p, q = promote(a, b)
    _check_product("matmul", p, q)
    fit = fit_to(a, b)
    # A vector takes part as a matrix of one row or column; result and gradient lose it again.
    rows = p if p.ndim > 1 else p[None, :]
    columns = q if q.ndim > 1 else q[:, None]
    extra = (-2,) * (p.ndim == 1) + (-1,) * (q.ndim == 1)

    def backward(g: Array) -> tuple[Array | None, ...]:
        g = np.expand_dims(g, extra)
        of_a = _product(g, columns.swapaxes(-1, -2))
        if columns.ndim == 2:  # the same matrix for all: one product of all rows sums it up
            of_b = _product(_all_rows(rows).T, _all_rows(g))
        else:
            of_b = _product(rows.swapaxes(-1, -2), g)
        return fit(
            of_a if p.ndim > 1 else of_a[..., 0, :],
            of_b if q.ndim > 1 else of_b[..., 0],
        )

    return np.asarray(_product(rows, columns).squeeze(extra)), backward


def _product(p: Array, q: Array) -> Array:
    """Multiply stacks of matrices: float32 on the core's threads, other numbers in NumPy."""
    product: Array
    if not p.dtype == q.dtype == np.float32:
        product = p @ q
        return product
    from minilm import _core  # here, since `import minilm` does not load the core

    if q.ndim == 2:
        product = _core.matmul(_all_rows(p)[None], q[None])
        return product.reshape(*p.shape[:-1], q.shape[-1])
    stack = np.broadcast_shapes(p.shape[:-2], q.shape[:-2])
    each = [
        np.broadcast_to(x, (*stack, *x.shape[-2:])).reshape(math.prod(stack), *x.shape[-2:])
        for x in (p, q)
    ]
    product = _core.matmul(*each)
    return product.reshape(*stack, p.shape[-2], q.shape[-1])


def _all_rows(p: Array) -> Array:
    """Lay the matrices of a stack below one another."""
    return p if p.ndim == 2 else p.reshape(math.prod(p.shape[:-1]), p.shape[-1])


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
