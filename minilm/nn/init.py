"""How parameters start. Each function overwrites a tensor, and returns it."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator

import numpy as np

from minilm.grad_mode import no_grad
from minilm.random import Generator, default_generator
from minilm.tensor import Tensor


class _Mode(threading.local):
    skips = False


_mode = _Mode()


@contextlib.contextmanager
def skipped() -> Iterator[None]:
    """Leave what is made in a ``with`` block as its memory was found: no draw, no page touched.

    For modules whose parameters are read from a file right after.
    """
    before, _mode.skips = _mode.skips, True
    try:
        yield
    finally:
        _mode.skips = before


def skipping() -> bool:
    """Tell whether parameters are left as their memory was found: see `skipped`."""
    return _mode.skips


@no_grad
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from the uniform distribution on ``[a, b)``."""
    return tensor if _mode.skips else tensor.uniform_(a, b, generator=generator)


@no_grad
def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from the normal distribution."""
    return tensor if _mode.skips else tensor.normal_(mean, std, generator=generator)


@no_grad
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Make every element `val`."""
    return tensor if _mode.skips else tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Make every element 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Make every element 1."""
    return constant_(tensor, 1.0)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return by how much weights should be larger because of the function that follows them.

    Parameters
    ----------
    nonlinearity : {"linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"}
        The function.
    param : float, optional
        The negative slope of ``"leaky_relu"``; 0.01 if left out.

    Raises
    ------
    ValueError
        If the function is not one of these.
    """
    slope = 0.01 if param is None else param
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5.0 / 3,
        "relu": math.sqrt(2.0),
        "leaky_relu": math.sqrt(2.0 / (1 + slope**2)),
        "selu": 3.0 / 4,
    }
    if nonlinearity not in gains:
        raise ValueError(
            f"calculate_gain: expected one of {', '.join(gains)}; got {nonlinearity!r}"
        )
    return gains[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    """Return how many inputs and outputs a weight (out, in, ...) connects."""
    if tensor.dim() < 2:
        raise ValueError(
            f"fan in and fan out need a weight of at least 2 axes (out, in), got {tensor.shape}; "
            "biases are usually set by zeros_"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draw from U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from N(0, std), std = gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from U(-b, b), b = gain sqrt(3 / fan) (He et al., 2015).

    Parameters
    ----------
    tensor : Tensor
        The weight ``(out, in)``.
    a : float
        The negative slope of ``"leaky_relu"``.
    mode : {"fan_in", "fan_out"}
        Whether to keep the size of values forward, or of gradients backward.
    nonlinearity : str
        The function that follows; see `calculate_gain`.
    generator : Generator, optional
        The stream to draw from.
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(0, std), std = gain / sqrt(fan) (He et al., 2015); see `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes = ("fan_in", "fan_out")
    if mode not in modes:
        raise ValueError(f"kaiming: mode must be one of {', '.join(modes)}; got {mode!r}")
    fan = _fans(tensor)[modes.index(mode)]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


@no_grad
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Draw a matrix whose rows (or columns, if fewer) are orthogonal (Saxe et al., 2013)."""
    if tensor.dim() < 2:
        raise ValueError(f"orthogonal_: expected at least 2 axes, got {tensor.shape}")
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr((generator or default_generator).normal(0, 1, tall))
    q *= np.sign(np.diag(r))  # else qr's habits would make some matrices more likely
    matrix = q if rows >= columns else q.T
    return tensor.copy_(gain * matrix.reshape(tensor.shape))
