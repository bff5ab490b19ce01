"""Operations on each element: arithmetic, functions, choices.

Letters: `a`, `b`, `x` operands, `y` the result, `g` the gradient of the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm.rules.rule import Array, Backward, Operand, describe, fit_to, promote, rule, to_float
from minilm.rules.sums import new_sum


def _pair(name: str, a: Operand, b: Operand) -> tuple[Any, Any]:
    """Bring two operands to one dtype, and explain it if their shapes do not broadcast."""
    try:
        np.broadcast_shapes(np.shape(a), np.shape(b))
    except ValueError:
        raise ValueError(
            f"{name}: {describe(a)} and {describe(b)} do not broadcast: counted from the last "
            "axis, each pair of lengths must be equal, or one of them 1. A likely cause is a "
            "missing unsqueeze() or transpose(), say (batch, time) against (time, batch)"
        ) from None
    return promote(a, b)


# --- arithmetic -----------------------------------------------------------------------------------


@rule()
def add(a: Operand, b: Operand) -> tuple[Array, Backward]:
    """Sum ``a + b``; gradients ``g`` and ``g``."""
    p, q = _pair("add", a, b)
    fit = fit_to(a, b)
    return _sum(p, q), lambda g: fit(g, g)


def _sum(p: Operand, q: Operand) -> Array:
    """Add, into memory that is used again where the sum is large, as residual streams are."""
    arrays = isinstance(p, np.ndarray) and isinstance(q, np.ndarray)
    if arrays and p.dtype == q.dtype == np.float32 and max(p.ndim, q.ndim) > 0:
        return new_sum(p, q)
    total: Array = p + q
    return total


@rule()
def sub(a: Operand, b: Operand) -> tuple[Array, Backward]:
    """Difference ``a - b``; gradients ``g`` and ``-g``."""
    p, q = _pair("sub", a, b)
    if getattr(p, "dtype", None) == np.bool_:
        raise TypeError("sub: booleans cannot be subtracted; convert them with .long() or use ~")
    fit = fit_to(a, b)
    return p - q, lambda g: fit(g, -g)


@rule(a="b", b="a")
def mul(a: Operand, b: Operand) -> tuple[Array, Backward]:
    """Product ``a b``; gradients ``g b`` and ``g a``."""
    p, q = _pair("mul", a, b)
    fit = fit_to(a, b)
    return p * q, lambda g: fit(g * q, g * p)


@rule()
def scale(x: Array, *, factor: Array) -> tuple[Array, Backward]:
    """Product of `x` and a constant array, such as a mask, that broadcasts to its shape."""
    return x * factor, lambda g: (g * factor,)


@rule(a="b", b="a b")
def div(a: Operand, b: Operand) -> tuple[Array, Backward]:
    """Quotient ``a / b``; gradients ``g / b`` and ``-g a / b^2``."""
    p, q = (to_float(operand) for operand in _pair("div", a, b))
    fit = fit_to(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        return p / q, lambda g: fit(g / q, -g * p / (q * q))


@rule(a="a b", b="a y")
def pow(a: Operand, b: Operand) -> tuple[Array, Backward]:  # noqa: A001
    """Power ``a^b``; gradients ``g b a^(b - 1)`` and ``g y log a``."""
    p, q = _pair("pow", a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = p**q
    fit = fit_to(a, b)

    def backward(g: Array) -> tuple[Array | None, ...]:
        flat = np.equal(q, 0)  # x ** 0 is flat, also at 0, where x ** -1 is infinite
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(flat, 0, q * p ** np.where(flat, 1, q - 1))
            of_exponent = np.where(np.equal(p, 0), 0, y * np.log(p))
        return fit(g * slope, g * of_exponent)

    return y, backward


@rule()
def neg(x: Array) -> tuple[Array, Backward]:
    """Negative ``-x``; gradient ``-g``."""
    return -x, lambda g: (-g,)


@rule(a="a b", b="a b")
def maximum(a: Operand, b: Operand) -> tuple[Array, Backward]:
    """Larger of `a` and `b`; the gradient goes to the larger."""
    p, q = _pair("maximum", a, b)
    return np.maximum(p, q), _to_the_chosen(a, b, np.greater(p, q), np.equal(p, q))


@rule(a="a b", b="a b")
def minimum(a: Operand, b: Operand) -> tuple[Array, Backward]:
    """Smaller of `a` and `b`; the gradient goes to the smaller."""
    p, q = _pair("minimum", a, b)
    return np.minimum(p, q), _to_the_chosen(a, b, np.less(p, q), np.equal(p, q))


def _to_the_chosen(a: Operand, b: Operand, first: Any, equal: Any) -> Backward:
    """Send the gradient to the operand that was chosen, half to each where they are equal."""
    fit = fit_to(a, b)
    share = first + 0.5 * equal
    return lambda g: fit(g * share, g * (1 - share))


# --- functions ------------------------------------------------------------------------------------


@rule(x="y")
def exp(x: Array) -> tuple[Array, Backward]:
    """Exponential; gradient ``g y``."""
    y = np.exp(to_float(x))
    return y, lambda g: (g * y,)


@rule(x="x")
def log(x: Array) -> tuple[Array, Backward]:
    """Natural logarithm; gradient ``g / x``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(to_float(x)), lambda g: (g / x,)


@rule(x="y")
def sqrt(x: Array) -> tuple[Array, Backward]:
    """Square root; gradient ``g / 2y``."""
    with np.errstate(invalid="ignore"):
        y = np.sqrt(to_float(x))

    def backward(g: Array) -> tuple[Array]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (g / (2 * y),)

    return y, backward


@rule(x="x")
def sin(x: Array) -> tuple[Array, Backward]:
    """Sine; gradient ``g cos x``."""
    return np.sin(to_float(x)), lambda g: (g * np.cos(x),)


@rule(x="x")
def cos(x: Array) -> tuple[Array, Backward]:
    """Cosine; gradient ``-g sin x``."""
    return np.cos(to_float(x)), lambda g: (-g * np.sin(x),)


@rule(x="y")
def tanh(x: Array) -> tuple[Array, Backward]:
    """Hyperbolic tangent; gradient ``g (1 - y^2)``."""
    y = np.tanh(to_float(x))
    return y, lambda g: (g * (1 - y * y),)


@rule(x="y")
def sigmoid(x: Array) -> tuple[Array, Backward]:
    """Sigmoid ``1 / (1 + exp(-x))``; gradient ``g y (1 - y)``."""
    y = 0.5 * (np.tanh(0.5 * to_float(x)) + 1)  # does not overflow, as 1 / (1 + exp(-x)) does
    return y, lambda g: (g * y * (1 - y),)


@rule(x="y")
def relu(x: Array) -> tuple[Array, Backward]:
    """Positive part ``max(x, 0)``; the gradient passes where ``x > 0``."""
    y = np.maximum(x, 0)
    return y, lambda g: (g * (y > 0),)


@rule(x="x")
def abs(x: Array) -> tuple[Array, Backward]:  # noqa: A001
    """Size without sign; gradient ``g sign x``."""
    return np.abs(x), lambda g: (g * np.sign(x),)


@rule(x="x")
def clamp(x: Array, *, min: float | None, max: float | None) -> tuple[Array, Backward]:  # noqa: A002
    """Limit `x`; the gradient passes where the limits did not act."""
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    y = np.clip(x, min, max)
    return y, lambda g: (g * (x == y),)


# --- copies and choices ---------------------------------------------------------------------------


@rule()
def copy(x: Array) -> tuple[Array, Backward]:
    """Copy of `x`; gradient ``g``."""
    return x.copy(), lambda g: (g,)


@rule()
def cast(x: Array, *, dtype: np.dtype[Any]) -> tuple[Array, Backward]:
    """Values of `x` in another dtype; gradient ``g`` in the former one."""
    before = x.dtype
    return x.astype(dtype), lambda g: (g.astype(before),)


@rule(a="condition", b="condition")
def where(condition: Array, a: Operand, b: Operand) -> tuple[Array, Backward]:
    """Choose `a` where the condition is true, else `b`; the gradient goes to the chosen."""
    chosen = _boolean("where", condition)
    p, q = _pair("where", a, b)
    _pair("where", chosen, np.broadcast_to(False, np.broadcast_shapes(np.shape(p), np.shape(q))))
    fit = fit_to(chosen, a, b)
    return np.where(chosen, p, q), lambda g: fit(None, g * chosen, g * ~chosen)


@rule(x="mask")
def masked_fill(x: Array, mask: Array, *, value: float) -> tuple[Array, Backward]:
    """Keep `x`, replaced by `value` where the mask is true; no gradient there."""
    chosen = _boolean("masked_fill", mask)
    _pair("masked_fill", x, chosen)
    fit = fit_to(x, mask)
    return np.where(chosen, x.dtype.type(value), x), lambda g: fit(g * ~chosen, None)


def _boolean(name: str, condition: Array) -> Array:
    condition = np.asarray(condition)
    if condition.dtype != np.bool_:
        raise TypeError(
            f"{name}: the condition must be boolean, not {condition.dtype}; use .bool()"
        )
    return condition
