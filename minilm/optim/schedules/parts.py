"""What schedules with a warm-up are made of."""

from __future__ import annotations

import math
from collections.abc import Callable

from minilm.optim.lr_scheduler import LambdaLR
from minilm.optim.optimizer import Optimizer

CURVES: dict[str, Callable[[float, float], float]] = {
    "linear": lambda done, _: 1 - done,
    "cosine": lambda done, cycles: 0.5 * (1 + math.cos(math.pi * cycles * 2 * done)),
    "1-sqrt": lambda done, _: 1 - math.sqrt(done),
}
"""Factors that fall from 1 to 0, by the share that is done and the waves of a cosine."""


def after_warmup(
    optimizer: Optimizer, warmup: int, factor: Callable[[int], float], last_epoch: int
) -> LambdaLR:
    """Make a schedule that rises along a line for some steps, and then follows a function.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    warmup : int
        Steps that rise.
    factor : callable
        Maps the step, from 0, to what the initial rate is multiplied with.

    Raises
    ------
    ValueError
        If `warmup` is negative.
    """
    if warmup < 0:
        raise ValueError(f"num_warmup_steps must not be negative, got {warmup}")
    return LambdaLR(
        optimizer, lambda step: step / warmup if step < warmup else factor(step), last_epoch
    )


def progress_after(warmup: int, total: int) -> Callable[[int], float]:
    """Return a function that tells which share of the steps after the warm-up is done."""
    return lambda step: (step - warmup) / max(1, total - warmup)


def lifted(factor: float, low: float) -> float:
    """Bring a factor in [0, 1] to [low, 1]."""
    return max(0.0, factor * (1 - low) + low)
