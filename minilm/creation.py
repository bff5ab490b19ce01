"""Making tensors: from data, filled, and random.

All but `from_numpy` and `multinomial` take ``device=``, which must be the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minilm import dtypes
from minilm.device import on_device
from minilm.methods.shapes import sizes
from minilm.random import Generator, default_generator
from minilm.tensor import Tensor, TensorLike, as_tensor

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


# --- from data ------------------------------------------------------------------------------------


@on_device
def tensor(data: Any, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Copy data into a tensor.

    Parameters
    ----------
    data : number, nested list, NumPy array or Tensor
        Python floats become float32, integers int64, booleans bool; arrays keep their dtype.
    dtype : dtype, optional
        Another dtype: ``minilm.long``, ``minilm.float32`` ...
    requires_grad : bool
        Whether ``backward`` shall compute the gradient.

    Raises
    ------
    ValueError
        If rows of a nested list differ in length.
    TypeError
        If the data are not numbers.

    Examples
    --------
    >>> minilm.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    if isinstance(data, Tensor):
        data = data._array
    try:
        array = np.array(data, dtype=dtype)
    except ValueError as error:
        raise ValueError(
            f"tensor: the nested lists are not a block: rows differ in length ({error})"
        ) from None
    if array.dtype.kind not in "biuf":
        hint = "; words must be turned into ids first" if array.dtype.kind in "US" else ""
        raise TypeError(
            f"tensor: expected numbers, got {array.dtype} from {type(data).__name__}{hint}"
        )
    if dtype is None and array.dtype == np.float64 and not _holds_numpy(data):
        array = array.astype(dtypes.float32)
    return Tensor(array, requires_grad)


def _holds_numpy(data: Any) -> bool:
    """Tell whether data, or the first element of nested lists, came from NumPy with a dtype."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic))


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """Wrap a NumPy array without copying: writing into one writes into the other."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}")
    return Tensor(array)


# --- filled ---------------------------------------------------------------------------------------


@on_device
def zeros(*size: Any, dtype: DTypeLike = dtypes.float32, requires_grad: bool = False) -> Tensor:
    """Make a tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return Tensor(np.zeros(sizes(size), dtype), requires_grad)


@on_device
def ones(*size: Any, dtype: DTypeLike = dtypes.float32, requires_grad: bool = False) -> Tensor:
    """Make a tensor of ones: ``ones(2, 3)`` or ``ones((2, 3))``."""
    return Tensor(np.ones(sizes(size), dtype), requires_grad)


@on_device
def empty(*size: Any, dtype: DTypeLike = dtypes.float32, requires_grad: bool = False) -> Tensor:
    """Make a tensor of whatever is in memory: fill it before use."""
    return Tensor(np.empty(sizes(size), dtype), requires_grad)


@on_device
def full(
    size: Sequence[int],
    fill_value: float,
    *,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Make a tensor that is `fill_value` everywhere; its dtype follows from the value."""
    value = tensor(fill_value, dtype=dtype)._array
    return Tensor(np.full(tuple(size), value, value.dtype), requires_grad)


@on_device
def zeros_like(input: TensorLike, *, dtype: DTypeLike | None = None) -> Tensor:  # noqa: A002
    """Make a tensor of zeros, of the shape and dtype of another."""
    return full_like(input, 0, dtype=dtype)


@on_device
def ones_like(input: TensorLike, *, dtype: DTypeLike | None = None) -> Tensor:  # noqa: A002
    """Make a tensor of ones, of the shape and dtype of another."""
    return full_like(input, 1, dtype=dtype)


@on_device
def full_like(input: TensorLike, fill_value: float, *, dtype: DTypeLike | None = None) -> Tensor:  # noqa: A002
    """Make a tensor that is `fill_value` everywhere, of the shape and dtype of another."""
    like = as_tensor(input)
    return Tensor(np.full(like.shape, fill_value, like.dtype if dtype is None else dtype))


@on_device
def eye(n: int, m: int | None = None, *, dtype: DTypeLike = dtypes.float32) -> Tensor:
    """Make a matrix ``(n, m)`` of zeros with ones on its diagonal."""
    return Tensor(np.eye(n, m, dtype=dtype))


@on_device
def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Count from `start` (0 if only one bound is given) up to, without, `end`.

    Integers give int64, floats float32.
    """
    first, last = (0, start) if end is None else (start, end)
    if step == 0 or (last - first) * step < 0:
        raise ValueError(f"arange: a step of {step} does not lead from {first} to {last}")
    if dtype is None and any(isinstance(bound, float) for bound in (first, last, step)):
        dtype = dtypes.float32
    return Tensor(np.arange(first, last, step, dtype=dtype), requires_grad)


@on_device
def linspace(start: float, end: float, steps: int, *, dtype: DTypeLike = dtypes.float32) -> Tensor:
    """Make `steps` numbers at equal distances, from `start` to `end`, both included."""
    return Tensor(np.linspace(start, end, steps, dtype=dtype))


# --- random ---------------------------------------------------------------------------------------


@on_device
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: DTypeLike = dtypes.float32,
    requires_grad: bool = False,
) -> Tensor:
    """Draw numbers from the uniform distribution on [0, 1)."""
    draws = (generator or default_generator).uniform(0, 1, sizes(size))
    return Tensor(draws.astype(dtype, copy=False), requires_grad)


@on_device
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: DTypeLike = dtypes.float32,
    requires_grad: bool = False,
) -> Tensor:
    """Draw numbers from the normal distribution with mean 0 and standard deviation 1."""
    draws = (generator or default_generator).normal(0, 1, sizes(size))
    return Tensor(draws.astype(dtype, copy=False), requires_grad)


@on_device
def rand_like(input: TensorLike, *, generator: Generator | None = None) -> Tensor:  # noqa: A002
    """Draw as `rand`, in the shape and dtype of another tensor."""
    like = as_tensor(input)
    return rand(like.shape, generator=generator, dtype=like.dtype)


@on_device
def randn_like(input: TensorLike, *, generator: Generator | None = None) -> Tensor:  # noqa: A002
    """Draw as `randn`, in the shape and dtype of another tensor."""
    like = as_tensor(input)
    return randn(like.shape, generator=generator, dtype=like.dtype)


@on_device
def randint(
    low: int,
    high: int | Sequence[int],
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike = dtypes.int64,
) -> Tensor:
    """Draw integers from `low` (0 if left out) to ``high - 1``: ``randint(0, 10, (2, 3))``."""
    if size is None:
        if isinstance(high, int):
            raise TypeError("randint: size is missing; expected randint(low, high, size)")
        return randint(0, low, high, generator=generator, dtype=dtype)
    if not isinstance(high, int) or not low < high:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    draws = (generator or default_generator).integers(low, high, size)
    return Tensor(draws.astype(dtype, copy=False))


@on_device
def randperm(n: int, *, generator: Generator | None = None) -> Tensor:
    """Draw an order of the numbers 0 to ``n - 1``."""
    return Tensor((generator or default_generator).permutation(n))


def multinomial(
    input: TensorLike,  # noqa: A002
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Draw positions with the given probabilities.

    Parameters
    ----------
    input : Tensor
        Weights ``(classes,)`` or ``(rows, classes)``, not negative; they need not add up to 1.
    num_samples : int
        How many positions to draw from each row.
    replacement : bool
        Whether a position may be drawn again.
    generator : Generator, optional
        The stream to draw from; the default stream if left out.

    Returns
    -------
    Tensor
        int64, ``(num_samples,)`` or ``(rows, num_samples)``.

    Raises
    ------
    ValueError
        If weights are negative or not finite, a row sums to 0, or has too few positive weights.
    """
    weights = as_tensor(input).detach()._array.astype(np.float64)
    if weights.ndim not in (1, 2):
        raise ValueError(f"multinomial: expected 1 or 2 axes, got shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any() or (weights.sum(-1) <= 0).any():
        raise ValueError("multinomial: weights must be finite, not negative, and not all zero")
    if not replacement and ((weights > 0).sum(-1) < num_samples).any():
        raise ValueError(
            f"multinomial: cannot draw {num_samples} different positions from so few with a "
            "positive weight; pass replacement=True"
        )
    stream = generator or default_generator
    if replacement:
        ends = np.cumsum(weights, axis=-1)
        points = stream.uniform(0, 1, (*weights.shape[:-1], num_samples)) * ends[..., -1:]
        chosen = (points[..., :, None] >= ends[..., None, :]).sum(-1)
    else:  # the smallest of exponential waiting times, at these rates, are such a draw
        with np.errstate(divide="ignore"):
            waits = -np.log1p(-stream.uniform(0, 1, weights.shape).astype(np.float64)) / weights
        chosen = np.argsort(waits, axis=-1, kind="stable")[..., :num_samples]
    return Tensor(chosen.astype(np.int64))
