"""Methods that overwrite a tensor; their names end in ``_``.

The new values are computed first and then written into the same memory, so gradients are those of
the operation without the underscore. Writing is refused where the tape could not follow it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from minilm.methods.base import TensorBase
from minilm.methods.shapes import plain_key
from minilm.random import Generator, default_generator
from minilm.rules import elementwise, indexing, shapes

if TYPE_CHECKING:
    from minilm.rules.rule import Rule
    from minilm.tensor import Tensor, TensorLike


class InPlaceMethods(TensorBase):
    """Writing into a tensor."""

    if TYPE_CHECKING:

        def _prepare_write(self, source: Any) -> None:
            """Refuse or announce that values, made from `source`, are written into this tensor."""

        def _take_history(self, result: Tensor) -> None:
            """Stand on the tape where `result` stands, whose values were written here."""

    def _replace(self, rule: Rule, *others: Any, **settings: Any) -> Self:
        return self._overwrite(self._apply(rule, self, *others, **settings))

    def _scaled(self, other: Any, alpha: float) -> Any:
        return other if alpha == 1 else other * alpha

    def add_(self, other: TensorLike, *, alpha: float = 1) -> Self:
        """Add ``alpha * other``."""
        return self._replace(elementwise.add, self._scaled(other, alpha))

    def sub_(self, other: TensorLike, *, alpha: float = 1) -> Self:
        """Subtract ``alpha * other``."""
        return self._replace(elementwise.sub, self._scaled(other, alpha))

    def mul_(self, other: TensorLike) -> Self:
        """Multiply by `other`."""
        return self._replace(elementwise.mul, other)

    def div_(self, other: TensorLike) -> Self:
        """Divide by `other`."""
        return self._replace(elementwise.div, other)

    def clamp_(self, min: float | None = None, max: float | None = None) -> Self:  # noqa: A002
        """Limit each element to the range from `min` to `max`."""
        return self._replace(elementwise.clamp, min=min, max=max)

    def masked_fill_(self, mask: TensorLike, value: float) -> Self:
        """Write `value` where the boolean `mask` is true."""
        return self._replace(elementwise.masked_fill, mask, value=value)

    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_

    def copy_(self, source: TensorLike) -> Self:
        """Copy the values of `source`, which broadcasts, into this tensor."""
        copied = self._apply(shapes.expand, source, shape=self.shape)
        return self._overwrite(copied.to(self.dtype))

    def fill_(self, value: float) -> Self:
        """Make every element `value`."""
        return self._overwrite(self._wrap(np.broadcast_to(self.dtype.type(value), self.shape)))

    def zero_(self) -> Self:
        """Make every element 0."""
        return self.fill_(0)

    def uniform_(
        self, low: float = 0.0, high: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Draw every element from the uniform distribution on ``[low, high)``."""
        draws = (generator or default_generator).uniform(low, high, self.shape)
        return self._overwrite(self._wrap(draws.astype(self.dtype, copy=False)))

    def normal_(
        self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Draw every element from the normal distribution."""
        draws = (generator or default_generator).normal(mean, std, self.shape)
        return self._overwrite(self._wrap(draws.astype(self.dtype, copy=False)))

    def __setitem__(self, key: Any, value: TensorLike) -> None:
        self._prepare_write(value)
        self._take_history(self._apply(indexing.put, self, value, key=plain_key(key)))

    def _overwrite(self, result: Tensor) -> Self:
        """Write the values and the history of `result` into this tensor."""
        if result.shape != self.shape:
            raise ValueError(
                f"in-place: the result of shape {result.shape} does not fit this tensor of shape "
                f"{self.shape}"
            )
        if self.dtype.kind != "f" and result.dtype.kind == "f":
            raise TypeError(
                f"in-place: a result of {result.dtype} cannot be written into a tensor of "
                f"{self.dtype}"
            )
        self._prepare_write(result)
        self._array[...] = result._array
        self._take_history(result)
        return self
