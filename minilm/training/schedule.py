"""The learning rate of each step."""

from __future__ import annotations

import math


def warmup_cosine(step: int, total: int, warmup: float = 0.05, floor: float = 0.05) -> float:
    """Return the factor on the learning rate: a short rise, then half a cosine down.

    The rise gives Adam's averages time to settle while steps are small; the slow end lets the
    weights settle.

    Parameters
    ----------
    step : int
        From 0.
    total : int
        Steps of the whole run.
    warmup : float
        Share of the run that rises.
    floor : float
        Factor at the very end.

    Returns
    -------
    float
        In (0, 1].
    """
    rise = max(1, round(warmup * total))
    if step < rise:
        return (step + 1) / rise
    done = (step - rise) / max(1, total - rise)
    return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2
