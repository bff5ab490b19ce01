"""Operations along axes: sums, means, extremes, softmax.

`dim` is an axis, a tuple of axes, or None for all of them; `keepdim` keeps each as an axis of
length 1.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from minilm.rules.rule import Array, Backward, rule, to_float

Dim: TypeAlias = "int | tuple[int, ...] | None"


def _spread(g: Array, shape: tuple[int, ...], dim: Dim, keepdim: bool) -> Array:
    """Copy what belongs to a sum to each of its terms, which had this shape."""
    if dim is not None and not keepdim:
        g = np.expand_dims(g, dim)
    return np.broadcast_to(g, shape)


def _count(x: Array, dim: Dim) -> int:
    """How many elements a reduction joins into one."""
    axes = range(x.ndim) if dim is None else np.atleast_1d(dim)
    return int(np.prod([x.shape[axis] for axis in axes]))


@rule()
def sum(x: Array, *, dim: Dim, keepdim: bool) -> tuple[Array, Backward]:  # noqa: A001
    """Sum; each term gets ``g``."""
    shape = x.shape
    y = np.asarray(x.sum(axis=dim, keepdims=keepdim))
    return y, lambda g: (_spread(g, shape, dim, keepdim),)


@rule()
def mean(x: Array, *, dim: Dim, keepdim: bool) -> tuple[Array, Backward]:
    """Mean; each term gets ``g / n``."""
    if x.dtype.kind != "f":
        raise RuntimeError(f"mean: the tensor must be floating point, not {x.dtype}; use .float()")
    count, shape = _count(x, dim), x.shape
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.asarray(x.sum(axis=dim, keepdims=keepdim) / x.dtype.type(count))
    return y, lambda g: (_spread(g / count, shape, dim, keepdim),)


@rule(x="x")
def var(x: Array, *, dim: Dim, correction: int, keepdim: bool) -> tuple[Array, Backward]:
    """Mean square distance from the mean, over ``n - correction``."""
    freedom = max(_count(x, dim) - correction, 0)
    centred = x - x.mean(axis=dim, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.asarray((centred * centred).sum(axis=dim, keepdims=keepdim) / x.dtype.type(freedom))
    return y, lambda g: (_spread(g, centred.shape, dim, keepdim) * centred * (2 / freedom),)


@rule(x="x")
def amax(x: Array, *, dim: Dim, keepdim: bool) -> tuple[Array, Backward]:
    """Largest element; elements that share that place share the gradient."""
    y = np.asarray(x.max(axis=dim, keepdims=keepdim))
    return y, lambda g: (_share_among_equal(g, x, y, dim, keepdim),)


@rule(x="x")
def amin(x: Array, *, dim: Dim, keepdim: bool) -> tuple[Array, Backward]:
    """Smallest element; elements that share that place share the gradient."""
    y = np.asarray(x.min(axis=dim, keepdims=keepdim))
    return y, lambda g: (_share_among_equal(g, x, y, dim, keepdim),)


def _share_among_equal(g: Array, x: Array, y: Array, dim: Dim, keepdim: bool) -> Array:
    chosen = x == _spread(y, x.shape, dim, keepdim)
    weight = chosen / chosen.sum(axis=dim, keepdims=True)
    shared: Array = _spread(g, x.shape, dim, keepdim) * weight.astype(g.dtype)
    return shared


@rule()
def cumsum(x: Array, *, dim: int) -> tuple[Array, Backward]:
    """Sum up to each place; the gradient runs backwards."""

    def backward(g: Array) -> tuple[Array]:
        return (np.flip(np.cumsum(np.flip(g, dim), axis=dim), dim),)

    return np.cumsum(x, axis=dim), backward


@rule(x="y")
def softmax(x: Array, *, dim: int) -> tuple[Array, Backward]:
    """Turn scores into probabilities: ``exp(x) / sum(exp(x))`` along `dim`."""
    x = to_float(x)
    y = np.exp(x - x.max(axis=dim, keepdims=True))  # the largest is 0: exp cannot overflow
    y /= y.sum(axis=dim, keepdims=True)
    return y, lambda g: (y * (g - (g * y).sum(axis=dim, keepdims=True)),)


@rule(x="y")
def log_softmax(x: Array, *, dim: int) -> tuple[Array, Backward]:
    """Logarithm of softmax: ``x - log(sum(exp(x)))`` along `dim`."""
    shifted = to_float(x)
    shifted = shifted - shifted.max(axis=dim, keepdims=True)
    y = shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))
    return y, lambda g: (g - np.exp(y) * g.sum(axis=dim, keepdims=True),)
