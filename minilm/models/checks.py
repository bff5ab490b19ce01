"""What models check of their arguments, so that a config that was mistyped says so."""

from __future__ import annotations

import math
import operator


def positive(name: str, value: int) -> int:
    """Return a size, or refuse what is not a positive integer.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is below 1.
    """
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1; got {number}")
    return number


def share(name: str, value: float) -> float:
    """Return a share that is dropped, or refuse what leaves nothing.

    Raises
    ------
    ValueError
        If it is not in [0, 1).
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name} is a share in [0, 1); got {value}")
    return float(value)


def not_negative(name: str, value: float) -> float:
    """Return the weight of a penalty, or refuse what would reward.

    Raises
    ------
    ValueError
        If it is negative, infinite or not a number.
    """
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a number from 0 up; got {value}")
    return float(value)
