"""Methods that join elements along axes: sums, means, extremes, softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from minilm.methods.base import Dim, TensorBase, axes
from minilm.rules import elementwise, indexing
from minilm.rules import reductions as rules

if TYPE_CHECKING:
    from minilm.tensor import Tensor


class Extremes(NamedTuple):
    """What ``max(dim)``, ``min(dim)``, ``topk`` and ``sort`` return."""

    values: Tensor
    indices: Tensor


class ReductionMethods(TensorBase):
    """Sums, means, extremes and softmax; all axes where `dim` is left out."""

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Add up the elements; booleans are counted."""
        return self._apply(rules.sum, self, dim=axes(dim), keepdim=keepdim)

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the mean of the elements.

        Raises
        ------
        RuntimeError
            If the tensor is not floating point.
        """
        return self._apply(rules.mean, self, dim=axes(dim), keepdim=keepdim)

    def var(
        self,
        dim: Dim = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: int | None = None,
    ) -> Tensor:
        """Return the variance: mean square distance from the mean.

        Parameters
        ----------
        dim : int or tuple of int, optional
            Axes to join.
        unbiased : bool
            Divide by n - 1 instead of n.
        keepdim : bool
            Keep the joined axes with length 1.
        correction : int, optional
            Divide by ``n - correction``, whatever `unbiased` says.
        """
        correction = int(unbiased) if correction is None else correction
        return self._apply(rules.var, self, dim=axes(dim), correction=correction, keepdim=keepdim)

    def std(
        self,
        dim: Dim = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: int | None = None,
    ) -> Tensor:
        """Return the standard deviation: the square root of `var`."""
        return self.var(dim, unbiased, keepdim, correction=correction).sqrt()

    def norm(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the Euclidean norm: the square root of the sum of squares."""
        squares = self._apply(elementwise.mul, self, self)
        return squares.sum(dim, keepdim).sqrt()

    @overload
    def max(self) -> Tensor: ...
    @overload
    def max(self, dim: int, keepdim: bool = False) -> Extremes: ...
    def max(self, dim: int | None = None, keepdim: bool = False) -> Tensor | Extremes:
        """Return the largest element, or along `dim` the largest elements and their positions."""
        if dim is None:
            return self._apply(rules.amax, self, dim=None, keepdim=False)
        return self._pick(self.argmax(dim, keepdim=True), dim, keepdim)

    @overload
    def min(self) -> Tensor: ...
    @overload
    def min(self, dim: int, keepdim: bool = False) -> Extremes: ...
    def min(self, dim: int | None = None, keepdim: bool = False) -> Tensor | Extremes:
        """Return the smallest element, or along `dim` the smallest elements and their positions."""
        if dim is None:
            return self._apply(rules.amin, self, dim=None, keepdim=False)
        return self._pick(self.argmin(dim, keepdim=True), dim, keepdim)

    def _pick(self, indices: Tensor, dim: int, keepdim: bool) -> Extremes:
        values = self._apply(indexing.gather, self, indices, dim=dim)
        if not keepdim:
            values, indices = values.squeeze(dim), indices.squeeze(dim)
        return Extremes(values, indices)

    def amax(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the largest elements along one or several axes."""
        return self._apply(rules.amax, self, dim=axes(dim), keepdim=keepdim)

    def amin(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the smallest elements along one or several axes."""
        return self._apply(rules.amin, self, dim=axes(dim), keepdim=keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the position of the largest element, along `dim` or among all elements."""
        return self._wrap(np.argmax(self._array, axis=dim, keepdims=keepdim))

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Return the position of the smallest element, along `dim` or among all elements."""
        return self._wrap(np.argmin(self._array, axis=dim, keepdims=keepdim))

    def topk(self, k: int, dim: int = -1) -> Extremes:
        """Return the `k` largest elements along `dim`, largest first, and their positions."""
        length = self.shape[dim]
        if not 0 <= k <= length:
            raise ValueError(f"topk: k must be in 0 to {length}, the length of axis {dim}; got {k}")
        order = np.argsort(-self._array, axis=dim, kind="stable")
        return self._pick(self._wrap(np.take(order, range(k), axis=dim)), dim, keepdim=True)

    def sort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Extremes:
        """Return the elements in order along `dim`, and their positions; equals stay as they were.

        It is stable whatever `stable` says.
        """
        return self._pick(self.argsort(dim, descending), dim, keepdim=True)

    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
        """Return the positions of the elements in order along `dim`; equals stay as they were."""
        values = self._array
        if descending:  # of the reverse, equals in reverse
            order = np.argsort(np.flip(values, dim), axis=dim, kind="stable")
            return self._wrap(np.flip(values.shape[dim] - 1 - order, dim))
        return self._wrap(np.argsort(values, axis=dim, kind="stable"))

    def any(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Tell whether any element is true (not zero)."""
        return self._wrap(self._array.any(axis=dim, keepdims=keepdim))

    def all(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Tell whether all elements are true (not zero)."""
        return self._wrap(self._array.all(axis=dim, keepdims=keepdim))

    def cumsum(self, dim: int) -> Tensor:
        """Return running sums along `dim`."""
        return self._apply(rules.cumsum, self, dim=dim)

    def softmax(self, dim: int) -> Tensor:
        """Turn scores into probabilities: ``exp(x) / sum(exp(x))`` along `dim`."""
        return self._apply(rules.softmax, self, dim=dim)

    def log_softmax(self, dim: int) -> Tensor:
        """Return the logarithm of `softmax` along `dim`, without loss of precision."""
        return self._apply(rules.log_softmax, self, dim=dim)
