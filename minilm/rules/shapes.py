"""Operations that move elements and do not change them."""

from __future__ import annotations

import itertools

import numpy as np

from minilm.rules.rule import Array, Backward, fit_to, rule


@rule(view=True)
def permute(x: Array, *, dims: tuple[int, ...]) -> tuple[Array, Backward]:
    """Axes in another order; the gradient is put back."""
    back = np.argsort([dim % x.ndim for dim in dims]) if x.ndim else ()
    return x.transpose(dims), lambda g: (g.transpose(back),)


@rule(view=True)
def reshape(x: Array, *, shape: tuple[int, ...]) -> tuple[Array, Backward]:
    """Elements in another shape; the gradient is put back."""
    before = x.shape
    try:
        y = x.reshape(shape)
    except ValueError:
        raise ValueError(
            f"reshape: shape {shape} cannot hold the {x.size} elements of shape {x.shape}"
        ) from None
    return y, lambda g: (g.reshape(before),)


@rule(view=True)
def view(x: Array, *, shape: tuple[int, ...]) -> tuple[Array, Backward]:
    """As `reshape`, and refuse where that needs a copy."""
    y, backward = reshape(x, shape=shape)
    if x.size and not np.may_share_memory(x, y):
        raise RuntimeError(
            f"view size {shape} is not compatible with the order in which the elements of this "
            f"tensor of shape {x.shape} lie in memory (after a transpose, perhaps). "
            "Use .reshape(...) instead"
        )
    return y, backward


@rule(view=True)
def expand(x: Array, *, shape: tuple[int, ...]) -> tuple[Array, Backward]:
    """Repeat axes of length 1; -1 leaves an axis as it is."""
    offset = len(shape) - x.ndim
    full = tuple(
        x.shape[axis - offset] if length == -1 and axis >= offset else length
        for axis, length in enumerate(shape)
    )
    try:
        y = np.broadcast_to(x, full)
    except ValueError:
        raise ValueError(
            f"expand: shape {x.shape} cannot become {shape}: only axes of length 1 can be repeated"
        ) from None
    return y, fit_to(x)


@rule()
def repeat(x: Array, *, repeats: tuple[int, ...]) -> tuple[Array, Backward]:
    """Lay copies of `x` side by side, ``repeats[i]`` of them along axis i."""
    before = x.shape
    padded = (1,) * (len(repeats) - x.ndim) + x.shape
    apart = tuple(itertools.chain(*zip(repeats, padded, strict=True)))

    def backward(g: Array) -> tuple[Array]:
        return (g.reshape(apart).sum(axis=tuple(range(0, len(apart), 2))).reshape(before),)

    return np.tile(x, repeats), backward


@rule()
def cat(*xs: Array, dim: int) -> tuple[Array, Backward]:
    """Arrays end to end; the gradient is cut where they met."""
    try:
        y = np.concatenate(xs, axis=dim)
    except ValueError:
        raise ValueError(
            f"cat: shapes {', '.join(str(x.shape) for x in xs)} must be equal except along axis "
            f"{dim}"
        ) from None
    ends, fit = list(itertools.accumulate(x.shape[dim] for x in xs)), fit_to(*xs)
    return y, lambda g: fit(*np.split(g, ends[:-1], axis=dim))


@rule(view=True)
def split(x: Array, *, ends: tuple[int, ...], dim: int) -> tuple[list[Array], Backward]:
    """Cut `x` along `dim`; `ends` says where each piece but the last one ends."""
    pieces = np.split(x, ends, axis=dim)
    shapes, dtype = [piece.shape for piece in pieces], x.dtype

    def backward(*grads: Array | None) -> tuple[Array]:
        filled = [
            np.zeros(shape, dtype) if g is None else g
            for g, shape in zip(grads, shapes, strict=True)
        ]
        return (np.concatenate(filled, axis=dim),)

    return pieces, backward


@rule()
def flip(x: Array, *, dims: tuple[int, ...]) -> tuple[Array, Backward]:
    """Reverse order; so is the gradient."""
    return np.flip(x, dims).copy(), lambda g: (np.flip(g, dims),)


@rule()
def tril(x: Array, *, diagonal: int) -> tuple[Array, Backward]:
    """Lower triangle, up to a diagonal; the gradient too."""
    return np.tril(x, diagonal), lambda g: (np.tril(g, diagonal),)


@rule()
def triu(x: Array, *, diagonal: int) -> tuple[Array, Backward]:
    """Upper triangle, from a diagonal on; the gradient too."""
    return np.triu(x, diagonal), lambda g: (np.triu(g, diagonal),)
