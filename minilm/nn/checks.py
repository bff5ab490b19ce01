"""What layers check before they compute, so that an error says what was passed by mistake."""

from __future__ import annotations

import operator
from typing import Any

from minilm.tensor import Tensor, TensorLike, as_tensor


def floats(layer: str, name: str, value: TensorLike) -> Tensor:
    """Return `value` as a float32 tensor, or say what it is instead.

    NumPy makes float64 by default, so an array of it is converted. A tensor of float64 was made on
    purpose, and may want a gradient: it is refused, as in PyTorch.

    Raises
    ------
    TypeError
        If it is of another dtype, or not an array at all.
    """
    tensor = _tensor(layer, name, value)
    if tensor.dtype == "float32":
        return tensor
    if tensor.dtype.kind == "f":
        if not isinstance(value, Tensor):
            return tensor.float()
        raise TypeError(
            f"{layer}: {name} is {tensor.dtype}, expected float32: convert with .float(), or make "
            "it with dtype=minilm.float32"
        )
    raise TypeError(
        f"{layer}: {name} is {tensor.dtype}, expected float32. If these are token ids, pass them "
        "through nn.Embedding first; else convert with .float()"
    )


def matrix(layer: str, name: str, value: TensorLike, axes: str) -> Tensor:
    """Return `value` as a float32 tensor of two axes, or say what it is instead.

    Raises
    ------
    TypeError
        If it is of another dtype, or not an array at all.
    ValueError
        If it has another number of axes.
    """
    tensor = floats(layer, name, value)
    if tensor.dim() != 2:
        raise ValueError(f"{layer}: expected {name} {axes}, got shape {tensor.shape}")
    return tensor


def ids(layer: str, name: str, value: TensorLike) -> Tensor:
    """Return `value` as a tensor of integers, or say what it is instead.

    Raises
    ------
    TypeError
        If it is not made of integers.
    """
    tensor = _tensor(layer, name, value)
    if tensor.dtype.kind not in "iu":
        raise TypeError(
            f"{layer}: {name} is {tensor.dtype}, expected integers (int64): token ids, not "
            "vectors. Convert with .long(), or make it with dtype=minilm.long"
        )
    return tensor


def flags(layer: str, name: str, value: TensorLike) -> Tensor:
    """Return booleans, or integers of which 0 is false, as a tensor of integers.

    Raises
    ------
    TypeError
        If it is made of neither.
    """
    tensor = _tensor(layer, name, value)
    return tensor.long() if tensor.dtype == bool else ids(layer, name, tensor)


def last_axis(layer: str, name: str, tensor: Tensor, axes: str, length: int) -> None:
    """Refuse a tensor whose last axis has another length.

    Raises
    ------
    ValueError
        The message names the axes, like ``(batch, time, in_features=8)``.
    """
    if not tensor.shape or tensor.shape[-1] != length:
        raise ValueError(
            f"{layer}: expected {name} {axes}={length}), got shape {tensor.shape}. Is the layer "
            "before it as wide, and is that the last axis?"
        )


def _tensor(layer: str, name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, tuple):
        raise TypeError(
            f"{layer}: {name} is a tuple, expected a tensor. Recurrent layers return "
            "(output, state): take the first with `output, _ = rnn(x)`"
        )
    return as_tensor(value)


def probability(layer: str, p: float) -> float:
    """Return `p`, or refuse what is not a probability.

    Raises
    ------
    ValueError
        If it lies outside 0 to 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"{layer}: dropout probability has to be between 0 and 1, but got {p}")
    return float(p)


def size(layer: str, name: str, value: int) -> int:
    """Return a number of features, or refuse what is not a positive integer.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is not positive.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{layer}: {name} must be an integer, got {value!r}") from None
    if number < 1:
        raise ValueError(f"{layer}: {name} must be positive, got {number}")
    return number
