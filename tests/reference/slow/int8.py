"""Matrices of whole numbers: how the core rounds weights, and multiplies with them."""

from __future__ import annotations

import numpy as np

from .layers import Array

LEVELS = 2048  # a state of -1 .. 1 is read as that many levels on each side of 0


def round_weights(weights: Array) -> tuple[Array, Array]:
    """Return levels (out, in) from -127 to 127, and for each row what one of them is worth."""
    steps = np.abs(weights.astype(np.float64)).max(axis=1) / 127
    safe = np.where(steps > 0, steps, 1)[:, None]
    levels = weights / safe
    levels = np.trunc(levels + np.copysign(0.5, levels))  # halves away from 0, as C's round
    return levels.astype(np.int64), steps


def round_state(h: Array) -> Array:
    """Return the levels of a state, from -2048 to 2048."""
    scaled = np.clip(h.astype(np.float64) * LEVELS, -LEVELS, LEVELS)
    return np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)


def product(weights: Array, h: Array) -> Array:
    """Return ``W h`` (out,) as the core computes it in int8; the sum is one of whole numbers."""
    levels, steps = round_weights(weights)
    return steps * (levels @ round_state(h)) / LEVELS
