"""Methods that work on each element: arithmetic, functions, comparisons, choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minilm.methods.base import TensorBase, is_operand, values_of
from minilm.rules import elementwise as rules
from minilm.rules import products
from minilm.rules.rule import promote

if TYPE_CHECKING:
    from minilm.rules.rule import Rule
    from minilm.tensor import Tensor, TensorLike


class ElementwiseMethods(TensorBase):
    """Arithmetic, functions, comparisons and choices."""

    def _binary(self, rule: Rule, other: Any) -> Tensor:
        return self._apply(rule, self, other) if is_operand(other) else NotImplemented

    def _binary_from_right(self, rule: Rule, other: Any) -> Tensor:
        return self._apply(rule, other, self) if is_operand(other) else NotImplemented

    # --- arithmetic ---

    def __add__(self, other: TensorLike) -> Tensor:
        return self._binary(rules.add, other)

    def __radd__(self, other: TensorLike) -> Tensor:
        return self._binary_from_right(rules.add, other)

    def __sub__(self, other: TensorLike) -> Tensor:
        return self._binary(rules.sub, other)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return self._binary_from_right(rules.sub, other)

    def __mul__(self, other: TensorLike) -> Tensor:
        return self._binary(rules.mul, other)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return self._binary_from_right(rules.mul, other)

    def __truediv__(self, other: TensorLike) -> Tensor:
        return self._binary(rules.div, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return self._binary_from_right(rules.div, other)

    def __pow__(self, other: TensorLike) -> Tensor:
        return self._binary(rules.pow, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return self._binary_from_right(rules.pow, other)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return self._binary(products.matmul, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return self._binary_from_right(products.matmul, other)

    def __neg__(self) -> Tensor:
        return self.neg()

    def __abs__(self) -> Tensor:
        return self.abs()

    def add(self, other: TensorLike) -> Tensor:
        """Return ``self + other``."""
        return self._apply(rules.add, self, other)

    def sub(self, other: TensorLike) -> Tensor:
        """Return ``self - other``."""
        return self._apply(rules.sub, self, other)

    def mul(self, other: TensorLike) -> Tensor:
        """Return ``self * other``, element by element."""
        return self._apply(rules.mul, self, other)

    def div(self, other: TensorLike) -> Tensor:
        """Return ``self / other``; integers give float32."""
        return self._apply(rules.div, self, other)

    def pow(self, exponent: TensorLike) -> Tensor:
        """Return ``self ** exponent``."""
        return self._apply(rules.pow, self, exponent)

    def neg(self) -> Tensor:
        """Return ``-self``."""
        return self._apply(rules.neg, self)

    # --- whole numbers: without gradient ---

    def _whole(self, function: np.ufunc, other: Any, swapped: bool = False) -> Any:
        if not is_operand(other):
            return NotImplemented
        if self.requires_grad or getattr(other, "requires_grad", False):
            raise RuntimeError(f"{function.__name__} has no gradient; use detach()")
        operands = promote(self._array, values_of(other))
        return self._wrap(function(*(operands[::-1] if swapped else operands)))

    def __floordiv__(self, other: TensorLike) -> Any:
        return self._whole(np.floor_divide, other)

    def __rfloordiv__(self, other: TensorLike) -> Any:
        return self._whole(np.floor_divide, other, swapped=True)

    def __mod__(self, other: TensorLike) -> Any:
        return self._whole(np.remainder, other)

    def __rmod__(self, other: TensorLike) -> Any:
        return self._whole(np.remainder, other, swapped=True)

    # --- products ---

    def matmul(self, other: TensorLike) -> Tensor:
        """Multiply matrices: ``(..., n, k) @ (..., k, m)`` gives ``(..., n, m)``.

        An operand with one axis is a vector. Leading axes broadcast.
        """
        return self._apply(products.matmul, self, other)

    def mm(self, other: TensorLike) -> Tensor:
        """Multiply two matrices: ``(n, k)`` and ``(k, m)`` give ``(n, m)``."""
        return self._product_of("mm", 2, other)

    def bmm(self, other: TensorLike) -> Tensor:
        """Multiply batches of matrices: ``(b, n, k)`` and ``(b, k, m)`` give ``(b, n, m)``."""
        if len(self.shape) == 3 and np.ndim(values_of(other)) == 3:
            batches = self.shape[0], np.shape(values_of(other))[0]
            if batches[0] != batches[1]:
                raise ValueError(f"bmm: batches of {batches[0]} and {batches[1]} matrices differ")
        return self._product_of("bmm", 3, other)

    def _product_of(self, name: str, ndim: int, other: TensorLike) -> Tensor:
        shapes = self.shape, np.shape(values_of(other))
        if any(len(shape) != ndim for shape in shapes):
            raise ValueError(
                f"{name}: expected two tensors of {ndim} axes, got shapes {shapes[0]} and "
                f"{shapes[1]}; use @ where axes should broadcast"
            )
        return self._apply(products.matmul, self, other)

    # --- functions ---

    def exp(self) -> Tensor:
        """Return e to the power of each element."""
        return self._apply(rules.exp, self)

    def log(self) -> Tensor:
        """Return the natural logarithm of each element."""
        return self._apply(rules.log, self)

    def sqrt(self) -> Tensor:
        """Return the square root of each element."""
        return self._apply(rules.sqrt, self)

    def sin(self) -> Tensor:
        """Return the sine of each element (in radians)."""
        return self._apply(rules.sin, self)

    def cos(self) -> Tensor:
        """Return the cosine of each element (in radians)."""
        return self._apply(rules.cos, self)

    def tanh(self) -> Tensor:
        """Return the hyperbolic tangent of each element."""
        return self._apply(rules.tanh, self)

    def sigmoid(self) -> Tensor:
        """Return ``1 / (1 + exp(-x))`` of each element."""
        return self._apply(rules.sigmoid, self)

    def relu(self) -> Tensor:
        """Return ``max(x, 0)`` of each element."""
        return self._apply(rules.relu, self)

    def abs(self) -> Tensor:
        """Return the size of each element without its sign."""
        return self._apply(rules.abs, self)

    def clamp(self, min: float | None = None, max: float | None = None) -> Tensor:  # noqa: A002
        """Limit each element to the range from `min` to `max`."""
        return self._apply(rules.clamp, self, min=min, max=max)

    def maximum(self, other: TensorLike) -> Tensor:
        """Return the larger of each two elements."""
        return self._apply(rules.maximum, self, other)

    def minimum(self, other: TensorLike) -> Tensor:
        """Return the smaller of each two elements."""
        return self._apply(rules.minimum, self, other)

    # --- choices ---

    def masked_fill(self, mask: TensorLike, value: float) -> Tensor:
        """Replace by `value` where the boolean `mask`, which broadcasts, is true."""
        return self._apply(rules.masked_fill, self, mask, value=value)

    def where(self, condition: TensorLike, other: TensorLike) -> Tensor:
        """Take elements of this tensor where `condition` is true, of `other` elsewhere."""
        return self._apply(rules.where, condition, self, other)

    # --- comparisons: booleans, without gradient ---

    def _compare(self, compare: np.ufunc, other: Any) -> Any:
        if not is_operand(other):
            return NotImplemented
        return self._wrap(compare(self._array, values_of(other)))

    def __eq__(self, other: Any) -> Any:
        return self._compare(np.equal, other)

    def __ne__(self, other: Any) -> Any:
        return self._compare(np.not_equal, other)

    def __lt__(self, other: TensorLike) -> Any:
        return self._compare(np.less, other)

    def __le__(self, other: TensorLike) -> Any:
        return self._compare(np.less_equal, other)

    def __gt__(self, other: TensorLike) -> Any:
        return self._compare(np.greater, other)

    def __ge__(self, other: TensorLike) -> Any:
        return self._compare(np.greater_equal, other)

    def __and__(self, other: TensorLike) -> Any:
        return self._compare(np.bitwise_and, other)

    def __or__(self, other: TensorLike) -> Any:
        return self._compare(np.bitwise_or, other)

    def __xor__(self, other: TensorLike) -> Any:
        return self._compare(np.bitwise_xor, other)

    def __invert__(self) -> Tensor:
        return self._wrap(~self._array)

    def isnan(self) -> Tensor:
        """Tell for each element whether it is not a number."""
        return self._wrap(np.isnan(self._array))

    def isfinite(self) -> Tensor:
        """Tell for each element whether it is neither infinite nor not a number."""
        return self._wrap(np.isfinite(self._array))

    def equal(self, other: TensorLike) -> bool:
        """Tell whether shapes and all elements are equal."""
        return bool(np.array_equal(self._array, values_of(other)))

    def allclose(self, other: TensorLike, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
        """Tell whether all elements differ by at most ``atol + rtol * abs(other)``."""
        return bool(np.allclose(self._array, values_of(other), rtol, atol))
