"""Methods that move or pick elements, and do not change them."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from minilm.methods.base import TensorBase, values_of
from minilm.rules import indexing
from minilm.rules import shapes as rules

if TYPE_CHECKING:
    from minilm.tensor import Tensor, TensorLike


def sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """Read sizes given one by one, ``view(2, 3)``, or together, ``view((2, 3))``."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = tuple(given[0])
    return tuple(operator.index(size) for size in given)


class ShapeMethods(TensorBase):
    """Views, joins, cuts, and indexing."""

    # --- another order of axes ---

    def permute(self, *dims: Any) -> Tensor:
        """Put the axes in another order: ``x.permute(1, 0, 2)`` swaps the first two of three."""
        order = sizes(dims)
        if sorted(dim % max(len(self.shape), 1) for dim in order) != list(range(len(self.shape))):
            raise ValueError(
                f"permute: {order} must name each of the {len(self.shape)} axes of shape "
                f"{self.shape} once"
            )
        return self._apply(rules.permute, self, dims=order)

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Swap two axes: ``(batch, time, classes).transpose(1, 2)`` is ``(batch, classes, time)``.

        Raises
        ------
        IndexError
            If the tensor has no such axis.
        """
        ndim = len(self.shape)
        for dim in (dim0, dim1):
            if not -ndim <= dim < ndim:
                raise IndexError(
                    f"transpose: the tensor of shape {self.shape} has no axis {dim}; "
                    f"expected {-ndim} to {ndim - 1}"
                )
        order = list(range(ndim))
        order[dim0], order[dim1] = order[dim1], order[dim0]
        return self._apply(rules.permute, self, dims=tuple(order))

    def t(self) -> Tensor:
        """Transpose a matrix."""
        if len(self.shape) > 2:
            raise ValueError(f"t: expected at most 2 axes, got shape {self.shape}; use transpose()")
        return self._apply(rules.permute, self, dims=tuple(range(len(self.shape)))[::-1])

    @property
    def T(self) -> Tensor:  # noqa: N802
        """The matrix with its axes swapped."""
        return self.t()

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """The tensor with its last two axes swapped."""
        return self.transpose(-2, -1)

    # --- another shape ---

    def reshape(self, *shape: Any) -> Tensor:
        """Give the elements, in their order, another shape; one length may be -1."""
        return self._apply(rules.reshape, self, shape=sizes(shape))

    def view(self, *shape: Any) -> Tensor:
        """Give another shape to the same memory; one length may be -1.

        Raises
        ------
        RuntimeError
            If that is impossible without a copy; use `reshape`.
        """
        return self._apply(rules.view, self, shape=sizes(shape))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Join the axes from `start_dim` to `end_dim` into one."""
        ndim = max(len(self.shape), 1)
        start, end = start_dim % ndim, end_dim % ndim
        shape = self.shape or (1,)
        joined = math.prod(shape[start : end + 1])
        return self.reshape(shape[:start] + (joined,) + shape[end + 1 :])

    def squeeze(self, dim: int | None = None) -> Tensor:
        """Drop all axes of length 1, or the axis `dim` if its length is 1."""
        wanted = range(len(self.shape)) if dim is None else [dim % max(len(self.shape), 1)]
        shape = [n for axis, n in enumerate(self.shape) if n != 1 or axis not in wanted]
        return self.reshape(shape)

    def unsqueeze(self, dim: int) -> Tensor:
        """Insert an axis of length 1 at position `dim`."""
        ndim = len(self.shape)
        if not -ndim - 1 <= dim <= ndim:
            raise IndexError(
                f"unsqueeze: dim must be in {-ndim - 1} to {ndim} for shape {self.shape}; got {dim}"
            )
        position = dim % (ndim + 1)
        return self.reshape(self.shape[:position] + (1,) + self.shape[position:])

    def expand(self, *shape: Any) -> Tensor:
        """Repeat axes of length 1 without copying; -1 leaves an axis as it is."""
        return self._apply(rules.expand, self, shape=sizes(shape))

    def repeat(self, *repeats: Any) -> Tensor:
        """Lay copies side by side, as many along each axis as `repeats` says."""
        return self._apply(rules.repeat, self, repeats=sizes(repeats))

    # --- pieces ---

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Cut along `dim` into pieces of one length, or of the given lengths."""
        length = self.shape[dim]
        if isinstance(split_size, int):
            if split_size < 1:
                raise ValueError(f"split: the length of a piece must be positive, got {split_size}")
            ends = list(range(split_size, length, split_size))
        else:
            ends = list(itertools.accumulate(split_size))
            if not ends or ends.pop() != length:
                raise ValueError(
                    f"split: lengths {list(split_size)} must add up to {length}, the length of "
                    f"axis {dim} of shape {self.shape}"
                )
        pieces: Any = self._apply(rules.split, self, ends=tuple(ends), dim=dim)
        return tuple(pieces)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """Cut along `dim` into `chunks` pieces of one length; the last may be shorter."""
        return self.split(max(math.ceil(self.shape[dim] / chunks), 1), dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """Cut along `dim` into pieces of length 1, and drop that axis."""
        if self.shape[dim] == 0:
            return ()
        return tuple(piece.squeeze(dim) for piece in self.split(1, dim))

    # --- picking ---

    def __getitem__(self, key: Any) -> Tensor:
        return self._apply(indexing.index, self, key=plain_key(key))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, value: Any) -> bool:
        return bool((self._array == values_of(value)).any())

    def gather(self, dim: int, index: TensorLike) -> Tensor:
        """Pick along `dim` the element that `index`, with as many axes, names at each place."""
        return self._apply(indexing.gather, self, index, dim=dim)

    def index_select(self, dim: int, index: TensorLike) -> Tensor:
        """Pick whole slices along `dim`, by their positions ``(n,)``."""
        before = (slice(None),) * (dim % len(self.shape))
        return self._apply(indexing.index, self, key=(*before, values_of(index)))

    def scatter(self, dim: int, index: TensorLike, src: TensorLike) -> Tensor:
        """Return a copy in which the element that `index` names along `dim` is that of `src`.

        The inverse of `gather`. Where a place is named twice, any one of the two counts.
        """
        return self._apply(indexing.scatter, self, index, src, dim=dim)

    def flip(self, *dims: Any) -> Tensor:
        """Reverse the order of elements along axes."""
        return self._apply(rules.flip, self, dims=sizes(dims))

    def tril(self, diagonal: int = 0) -> Tensor:
        """Keep the lower triangle of the last two axes, up to `diagonal`; the rest is 0."""
        return self._apply(rules.tril, self, diagonal=diagonal)

    def triu(self, diagonal: int = 0) -> Tensor:
        """Keep the upper triangle of the last two axes, from `diagonal` on; the rest is 0."""
        return self._apply(rules.triu, self, diagonal=diagonal)


def plain_key(key: Any) -> Any:
    """Replace the tensors in an index by their arrays."""
    if isinstance(key, tuple):
        return tuple(values_of(part) for part in key)
    return values_of(key)
