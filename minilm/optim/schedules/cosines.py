"""Schedules that rise, and then fall along a cosine."""

from __future__ import annotations

import math

from minilm.optim.lr_scheduler import LambdaLR
from minilm.optim.optimizer import Optimizer
from minilm.optim.schedules.parts import CURVES, after_warmup, lifted, progress_after


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Rise to the initial rate, and fall along a cosine to 0.

    Parameters
    ----------
    optimizer, num_warmup_steps, num_training_steps, last_epoch
        See `get_linear_schedule_with_warmup`.
    num_cycles : float
        Waves of the cosine; half a one only falls.
    """
    return get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, num_warmup_steps, num_training_steps, num_cycles, last_epoch, min_lr_rate=0.0
    )


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: int = 1,
    last_epoch: int = -1,
) -> LambdaLR:
    """Rise to the initial rate, and fall along half a cosine to 0, several times.

    Parameters
    ----------
    optimizer, num_warmup_steps, num_training_steps, last_epoch
        See `get_linear_schedule_with_warmup`.
    num_cycles : int
        How many times.
    """
    progress = progress_after(num_warmup_steps, num_training_steps)

    def factor(step: int) -> float:
        done = progress(step)
        return 0.0 if done >= 1 else 0.5 * (1 + math.cos(math.pi * ((num_cycles * done) % 1.0)))

    return after_warmup(optimizer, num_warmup_steps, factor, last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> LambdaLR:
    """Rise to the initial rate, and fall along a cosine to a lowest one.

    Parameters
    ----------
    optimizer, num_warmup_steps, num_training_steps, num_cycles, last_epoch
        See `get_cosine_schedule_with_warmup`.
    min_lr, min_lr_rate : float, optional
        The lowest rate, or what part of the optimizer's rate it is; one of the two.

    Raises
    ------
    ValueError
        If both are given, or none.
    """
    low = _min_lr_rate(optimizer, min_lr, min_lr_rate)
    progress = progress_after(num_warmup_steps, num_training_steps)

    def factor(step: int) -> float:
        return lifted(CURVES["cosine"](progress(step), num_cycles), low)

    return after_warmup(optimizer, num_warmup_steps, factor, last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> LambdaLR:
    """Rise from some rate above 0, and fall along a cosine that the last step ends.

    Parameters
    ----------
    optimizer, num_warmup_steps, num_training_steps, num_cycles, last_epoch, min_lr, min_lr_rate
        See `get_cosine_with_min_lr_schedule_with_warmup`.
    warmup_lr_rate : float, optional
        What part of the initial rate the first step has; ``1 / num_warmup_steps`` if left out.

    Raises
    ------
    ValueError
        If `min_lr` and `min_lr_rate` are given, or none of them.
    """
    low = _min_lr_rate(optimizer, min_lr, min_lr_rate)
    progress = progress_after(num_warmup_steps, num_training_steps)

    def factor(step: int) -> float:
        if step >= num_warmup_steps:
            return lifted(CURVES["cosine"](progress(step + 1), num_cycles), low)
        if warmup_lr_rate is None:
            return (step + 1) / num_warmup_steps
        return warmup_lr_rate + (1 - warmup_lr_rate) * step / max(1, num_warmup_steps - 1)

    return LambdaLR(optimizer, factor, last_epoch)


def _min_lr_rate(optimizer: Optimizer, min_lr: float | None, min_lr_rate: float | None) -> float:
    if (min_lr is None) == (min_lr_rate is None):
        raise ValueError(
            "give one of min_lr, the lowest rate, and min_lr_rate, its ratio to the initial one; "
            f"got min_lr={min_lr} and min_lr_rate={min_lr_rate}"
        )
    if min_lr_rate is not None:
        return min_lr_rate
    return float(min_lr / optimizer.defaults["lr"])
