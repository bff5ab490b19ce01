"""What an operation's rule is, and the helpers that rules share.

A rule is a NumPy function that returns its result and the function that turns the gradient of the
result into the gradients of the operands::

    @rule(a="b", b="a")
    def mul(a, b):
        return a * b, lambda g: (g * b, g * a)

The decorator's arguments say what each gradient reads: here the gradient of ``a`` reads ``b``. The
name ``y`` stands for the result. The tape needs to know, so that it can refuse to run backward
after one of those arrays was overwritten in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
Operand: TypeAlias = Any  # an array or a Python number
Backward: TypeAlias = Callable[..., tuple[Array | None, ...]]

RESULT = -1
"""The position that stands for the result among the positions of the operands."""


class Rule:
    """One operation on arrays, together with its gradient.

    Parameters
    ----------
    function : callable
        Takes arrays (operands) and keyword settings; returns the result and its backward.
    reads : dict of str to str
        For the operand of each name, the names of the operands that its gradient reads
        (``"y"`` is the result).
    view : bool
        The result may share the memory of the first operand.
    """

    def __init__(self, function: Callable[..., Any], reads: dict[str, str], view: bool) -> None:
        code = function.__code__
        names = list(code.co_varnames[: code.co_argcount])
        self.function = function
        self.name = function.__name__
        self.view = view
        self.reads = {
            names.index(name): [RESULT if r == "y" else names.index(r) for r in read.split()]
            for name, read in reads.items()
        }
        self.__doc__ = function.__doc__

    def __call__(self, *operands: Operand, **settings: Any) -> tuple[Any, Backward]:
        """Compute the result and the function that gives the operands' gradients."""
        result, backward = self.function(*operands, **settings)
        return result, backward

    def __repr__(self) -> str:
        return f"<rule {self.name}>"


def rule(*, view: bool = False, **reads: str) -> Callable[[Callable[..., Any]], Rule]:
    """Make a `Rule` of a function; see the head of this file."""
    return lambda function: Rule(function, reads, view)


def fit_to(*operands: Operand) -> Callable[..., tuple[Array | None, ...]]:
    """Return a function that brings gradients to the shapes and dtypes of these operands.

    The function keeps shapes, not the operands: a tape that holds a sum needs no terms. It gives
    None for an operand that is a Python number.
    """
    wanted = [
        (operand.shape, operand.dtype) if isinstance(operand, np.ndarray) else None
        for operand in operands
    ]

    def fit(*grads: Array | None) -> tuple[Array | None, ...]:
        return tuple(
            None
            if grad is None or like is None
            else _undo_broadcast(grad, like[0]).astype(like[1], copy=False)
            for grad, like in zip(grads, wanted, strict=True)
        )

    return fit


def _undo_broadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which an operand of `shape` was copied."""
    extra = grad.ndim - len(shape)
    copied = tuple(
        axis
        for axis in range(grad.ndim)
        if axis < extra or (shape[axis - extra] == 1 and grad.shape[axis] != 1)
    )
    return grad.sum(axis=copied).reshape(shape) if copied else grad


def promote(a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """Bring two operands to the dtype that PyTorch would give the result.

    NumPy would widen int64 with float32 to float64. In PyTorch integers never widen floats, and
    an array without axes does not widen an array with axes of the same kind.
    """
    if not isinstance(a, np.ndarray):
        return a, _meet_number(b, a)
    if not isinstance(b, np.ndarray):
        return _meet_number(a, b), b
    if a.dtype == b.dtype or _rank(a) == _rank(b):
        return a, b
    if _rank(a) > _rank(b):
        return a, b.astype(a.dtype)
    return a.astype(b.dtype), b


def _meet_number(array: Operand, number: Operand) -> Operand:
    """Convert an array of integers that meets a Python float; other numbers adapt by themselves."""
    return to_float(array) if isinstance(number, float) else array


def _rank(array: Array) -> tuple[int, bool]:
    """Which of two arrays decides the dtype: floats before integers, then arrays with axes."""
    return {"b": 0, "i": 1, "u": 1, "f": 2}[array.dtype.kind], array.ndim > 0


def to_float(x: Operand) -> Operand:
    """Convert integers and booleans to float32, PyTorch's default; leave floats alone."""
    if not isinstance(x, np.ndarray) or x.dtype.kind == "f":
        return x
    return x.astype(np.float32)


def describe(operand: Operand) -> str:
    """Name an operand's shape for an error message."""
    return f"shape {operand.shape}" if isinstance(operand, np.ndarray) else repr(operand)
