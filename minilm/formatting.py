"""How a tensor is printed: as PyTorch prints it, by NumPy's means."""

from __future__ import annotations

from typing import Any

import numpy as np

_LAYOUT: dict[str, Any] = {"separator": ", ", "threshold": 1000, "edgeitems": 3}
_LINE_WIDTH = 80
_PREFIX = "tensor("
_DEFAULT_DTYPES = ("float32", "int64", "bool")


def format_tensor(array: np.ndarray[Any, Any], requires_grad: bool, node: object | None) -> str:
    """Write a tensor as ``tensor([1., 2.], requires_grad=True)``.

    Parameters
    ----------
    array : ndarray
        The values.
    requires_grad : bool
        Whether to say so.
    node : object or None
        The operation that made the tensor; shown in place of ``requires_grad``.
    """
    notes = [f"size={array.shape}"] if array.size == 0 and array.ndim > 1 else []
    if array.dtype.name not in _DEFAULT_DTYPES:
        notes.append(f"dtype={array.dtype.name}")
    if node is not None:
        notes.append(f"grad_fn={node!r}")
    elif requires_grad:
        notes.append("requires_grad=True")
    return f"{_PREFIX}{', '.join([_format_values(array), *notes])})"


def _format_values(array: np.ndarray[Any, Any]) -> str:
    if array.size == 0:
        return "[]"
    numbers = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    whole = bool((numbers == np.round(numbers)).all()) if array.dtype.kind == "f" else True
    return np.array2string(
        array,
        precision=4,
        floatmode="maxprec" if whole else "fixed",
        max_line_width=_LINE_WIDTH,
        prefix=_PREFIX,
        **_LAYOUT,
    )
