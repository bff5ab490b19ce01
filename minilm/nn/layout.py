"""Rows of scores, in whatever shape a tensor gives them."""

from __future__ import annotations

import math
from typing import NamedTuple


class Layout(NamedTuple):
    """How rows of scores, which keep their order, lie in a tensor.

    Attributes
    ----------
    lead : tuple of int
        The axes that count rows.
    classes : int
        The length of the axis of classes.
    class_axis : int
        Where, among the axes of `lead`, the axis of classes stands.
    """

    lead: tuple[int, ...]
    classes: int
    class_axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor."""
        return (*self.lead[: self.class_axis], self.classes, *self.lead[self.class_axis :])

    def permuted(self, dims: tuple[int, ...]) -> Layout | None:
        """Put the axes in another order; None if that changes the order of the rows."""
        order = [dim % len(self.shape) for dim in dims]
        rows = [axis for axis in order if axis != self.class_axis]
        if rows != sorted(rows):
            return None
        return self._replace(class_axis=order.index(self.class_axis))

    def reshaped(self, shape: tuple[int, ...]) -> Layout | None:
        """Group the rows otherwise; None if that would tear rows apart."""
        known = math.prod(length for length in shape if length != -1)
        if shape.count(-1) > 1 or known == 0:
            return None
        full = tuple(math.prod(self.shape) // known if n == -1 else n for n in shape)
        fits = math.prod(full) == math.prod(self.shape) and full[-1:] == (self.classes,)
        if not fits or self.class_axis != len(self.lead):
            return None
        return Layout(full[:-1], self.classes, len(full) - 1)
