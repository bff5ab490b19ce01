"""What the methods of a tensor rest on; `minilm.tensor.Tensor` supplies it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from minilm.rules.rule import Array, Rule
    from minilm.tensor import Tensor

Dim: TypeAlias = "int | tuple[int, ...] | list[int] | None"


class TensorBase:
    """The few things that methods need to know of a tensor."""

    if TYPE_CHECKING:

        @property
        def shape(self) -> tuple[int, ...]:
            """The length of each axis."""

        @property
        def dtype(self) -> np.dtype[Any]:
            """The type of the elements."""

        @property
        def requires_grad(self) -> bool:
            """Whether gradients are wanted."""

        @property
        def _array(self) -> Array:
            """The values."""

        @staticmethod
        def _apply(rule: Rule, *operands: Any, **settings: Any) -> Tensor:
            """Apply a rule and record it; the first operand need not be a tensor."""

        @staticmethod
        def _wrap(array: Any) -> Tensor:
            """Make a tensor that is not on the tape."""


def values_of(operand: Any) -> Any:
    """Return the array of a tensor; anything else as it is."""
    return operand._array if isinstance(operand, TensorBase) else operand


def is_operand(value: object) -> bool:
    """Tell whether an operator can work with `value`, so that Python may ask `value` otherwise."""
    return isinstance(value, (TensorBase, np.ndarray, np.generic, bool, int, float))


def axes(dim: Dim) -> int | tuple[int, ...] | None:
    """Bring a choice of axes to the form that NumPy takes."""
    return tuple(dim) if isinstance(dim, list) else dim
