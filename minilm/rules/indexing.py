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
    where = _places("gather", x.shape, positions, dim)
    shape, dtype = x.shape, x.dtype

    def backward(g: Array) -> tuple[Array | None, ...]:
        grad = np.zeros(shape, dtype)
        np.add.at(grad, where, g)
        return grad, None

    return x[where], backward


@rule(x="positions", values="positions")
def scatter(x: Array, positions: Array, values: Operand, *, dim: int) -> tuple[Array, Backward]:
    """Copy `x`, with `values` at the places that `gather` would read."""
    where = _places("scatter", x.shape, positions, dim)
    if isinstance(values, np.ndarray) and values.shape != positions.shape:
        raise ValueError(
            f"scatter: src of shape {values.shape} must have the shape of index, {positions.shape}"
        )
    y = x.copy()
    y[where] = values
    fit = fit_to(values)

    def backward(g: Array) -> tuple[Array | None, ...]:
        of_x = g.copy()
        of_x[where] = 0
        return of_x, None, *fit(g[where])

    return y, backward


def _places(name: str, shape: tuple[int, ...], positions: Array, dim: int) -> tuple[Any, ...]:
    """Return the index of what `positions` names along `dim`, at each place."""
    if positions.dtype.kind not in "iu":
        raise TypeError(f"{name}: positions must be integers, not {positions.dtype}; use .long()")
    if positions.ndim != len(shape):
        raise ValueError(
            f"{name}: positions of shape {positions.shape} must have as many axes as {shape}; "
            "a likely cause is a missing unsqueeze(-1)"
        )
    length = shape[dim]
    if positions.size and not (0 <= positions.min() and positions.max() < length):
        raise IndexError(f"{name}: positions must be in 0 to {length - 1} along axis {dim}")
    grid: list[Any] = list(np.ix_(*(np.arange(n) for n in positions.shape)))
    grid[dim] = positions
    return tuple(grid)
