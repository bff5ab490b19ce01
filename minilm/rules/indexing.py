"""Operations that pick elements by position."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm.rules.rule import Array, Backward, Operand, fit_to, rule


@rule(view=True)
def index(x: Array, *, key: Any) -> tuple[Array, Backward]:
    """Pick ``x[key]``; a position that was picked twice gets the gradients of both."""
    shape, dtype, basic = x.shape, x.dtype, _is_basic(key)

    def backward(g: Array) -> tuple[Array]:
        grad = np.zeros(shape, dtype)
        if basic:
            grad[key] = g
        else:
            np.add.at(grad, key, g)
        return (grad,)

    y = x[key]
    if basic and not isinstance(y, np.ndarray):  # a single element: NumPy would give a copy
        y = x[(*key, ...) if isinstance(key, tuple) else (key, ...)]
    return y, backward


@rule()
def put(x: Array, values: Operand, *, key: Any) -> tuple[Array, Backward]:
    """Write ``x[key] = values``, in the memory of `x`; what was overwritten gets no gradient."""
    x[key] = values
    fit = fit_to(values)

    def backward(g: Array) -> tuple[Array | None, ...]:
        of_x = g.copy()
        of_x[key] = 0
        return of_x, *fit(g[key])

    return x, backward


def _is_basic(key: Any) -> bool:
    """Tell whether a key picks every position at most once: numbers, slices, ... and None."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(
        part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice))
        for part in parts
    )


@rule(x="positions")
def gather(x: Array, positions: Array, *, dim: int) -> tuple[Array, Backward]:
    """For each element of `positions`, the element of `x` at that place along `dim`."""
    if positions.dtype.kind not in "iu":
        raise TypeError(f"gather: positions must be integers, not {positions.dtype}; use .long()")
    if positions.ndim != x.ndim:
        raise ValueError(
            f"gather: positions of shape {positions.shape} must have as many axes as {x.shape}; "
            "a likely cause is a missing unsqueeze(-1)"
        )
    length = x.shape[dim]
    if positions.size and not (0 <= positions.min() and positions.max() < length):
        raise IndexError(f"gather: positions must be in 0 to {length - 1} along axis {dim}")
    grid: list[Any] = list(np.ix_(*(np.arange(n) for n in positions.shape)))
    grid[dim] = positions
    where = tuple(grid)
    shape, dtype = x.shape, x.dtype

    def backward(g: Array) -> tuple[Array | None, ...]:
        grad = np.zeros(shape, dtype)
        np.add.at(grad, where, g)
        return grad, None

    return x[where], backward
