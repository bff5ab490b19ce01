"""Checks that several arguments of this package share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def token_ids(ids: Any) -> np.ndarray:
    """Return a stream of token ids ``(tokens,)`` as an array, without a copy where it is one.

    Raises
    ------
    ValueError
        If there are none, or they have several axes.
    TypeError
        If they are not whole numbers.
    """
    array = np.asarray(ids)
    if array.size == 0:
        raise ValueError("the text is empty: it holds no tokens")
    if array.ndim != 1:
        raise ValueError(f"token ids have one axis (tokens,); got the shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"token ids are whole numbers; got {array.dtype}")
    return array


def same_settings(
    loader: str, saved: Mapping[str, Any], own: Mapping[str, Any], position: Iterable[str]
) -> None:
    """Check that the state of a loader was saved by one with the settings of this one.

    Parameters
    ----------
    loader : str
        What to call it.
    saved : mapping
        What ``state_dict`` returned.
    own : mapping
        The settings of this loader, which stand in the state, too.
    position : iterable of str
        What else stands there.

    Raises
    ------
    ValueError
        If something is missing, or a setting differs.
    """
    missing = [name for name in (*position, *own) if name not in saved]
    if missing:
        raise ValueError(
            f"this is not the state of a {loader}: it lacks {', '.join(map(repr, missing))}"
        )
    different = [name for name, value in own.items() if saved[name] != value]
    if different:
        were = ", ".join(f"{name} {saved[name]}" for name in different)
        are = ", ".join(f"{name} {own[name]}" for name in different)
        raise ValueError(
            f"the state was saved by a {loader} with {were}; this one has {are}. To go on "
            "exactly, give it the same data and settings"
        )
