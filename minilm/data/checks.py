"""Checks that several arguments of this package share."""

from __future__ import annotations

from typing import Any

import numpy as np


def positive_int(name: str, value: Any) -> int:
    """Return `value` as an int.

    Raises
    ------
    ValueError
        If it is not a whole number from 1 on; the message starts with `name`.
    """
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 on, got {value!r}")
    return int(value)
