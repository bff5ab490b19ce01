"""Schedules that rise, and then keep the rate or let it fall."""

from __future__ import annotations

import math

from minilm.optim.lr_scheduler import LambdaLR
from minilm.optim.lr_scheduler.base import check_gamma, positive_int
from minilm.optim.optimizer import Optimizer
from minilm.optim.schedules.parts import after_warmup, progress_after


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """Keep the initial rate.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get their ``"lr"`` from the schedule.
    last_epoch : int
        The step before the one to start with; -1 starts at the beginning.
    """
    return LambdaLR(optimizer, lambda _: 1.0, last_epoch)


def get_constant_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Rise to the initial rate, and keep it.

    Parameters
    ----------
    optimizer, last_epoch
        See `get_constant_schedule`.
    num_warmup_steps : int
        Steps that rise.
    """
    return after_warmup(optimizer, num_warmup_steps, lambda _: 1.0, last_epoch)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Rise to the initial rate, and fall along a line to 0.

    Parameters
    ----------
    optimizer, num_warmup_steps, last_epoch
        See `get_constant_schedule_with_warmup`.
    num_training_steps : int
        Steps of the whole run, the warm-up included.
    """
    falling = max(1, num_training_steps - num_warmup_steps)

    def factor(step: int) -> float:
        return max(0.0, (num_training_steps - step) / falling)

    return after_warmup(optimizer, num_warmup_steps, factor, last_epoch)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> LambdaLR:
    """Rise to the initial rate, and fall to `lr_end` as a power of the share of steps left.

    Parameters
    ----------
    optimizer, num_warmup_steps, num_training_steps, last_epoch
        See `get_linear_schedule_with_warmup`.
    lr_end : float
        The last rate; of a group with another rate than the optimizer's own, in proportion.
    power : float
        1 is a straight line; larger ones fall fast first.

    Raises
    ------
    ValueError
        If `lr_end` is not below the optimizer's rate.
    """
    initial: float = optimizer.defaults["lr"]
    if not initial > lr_end:
        raise ValueError(f"lr_end must be below the optimizer's rate {initial}, got {lr_end}")
    progress = progress_after(num_warmup_steps, num_training_steps)

    def factor(step: int) -> float:
        left = 1 - min(1.0, progress(step))
        return float(((initial - lr_end) * left**power + lr_end) / initial)

    return after_warmup(optimizer, num_warmup_steps, factor, last_epoch)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    timescale: int | None = None,
    last_epoch: int = -1,
) -> LambdaLR:
    """Rise to the initial rate, and fall as one over the root of the steps [1]_.

    Parameters
    ----------
    optimizer, num_warmup_steps, last_epoch
        See `get_constant_schedule_with_warmup`.
    timescale : int, optional
        Steps after the warm-up until the rate has fallen by the root of 2; as many as the warm-up
        has, or 10,000 without one.

    References
    ----------
    .. [1] Vaswani et al. 2017, section 5.3, https://arxiv.org/abs/1706.03762
    """
    scale = positive_int("timescale", timescale or num_warmup_steps or 10_000)

    def factor(step: int) -> float:
        return 1 / math.sqrt((step + scale - num_warmup_steps) / scale)

    return after_warmup(optimizer, num_warmup_steps, factor, last_epoch)


def get_step_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    step_size: int,
    gamma: float = 0.1,
    last_epoch: int = -1,
) -> LambdaLR:
    """Rise to the initial rate, and multiply it with `gamma` every `step_size` steps.

    Parameters
    ----------
    optimizer, num_warmup_steps, last_epoch
        See `get_constant_schedule_with_warmup`.
    step_size : int
        Steps from one change to the next, counted from the end of the warm-up.
    gamma : float
        What the rate is multiplied with.

    Raises
    ------
    ValueError
        If `step_size` is not positive, or `gamma` is negative.
    """
    positive_int("step_size", step_size)
    check_gamma(gamma)

    def factor(step: int) -> float:
        return float(gamma ** ((step - num_warmup_steps) // step_size))

    return after_warmup(optimizer, num_warmup_steps, factor, last_epoch)


def get_exponential_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, gamma: float, last_epoch: int = -1
) -> LambdaLR:
    """Rise to the initial rate, and multiply it with `gamma` every step.

    Parameters
    ----------
    optimizer, num_warmup_steps, last_epoch
        See `get_constant_schedule_with_warmup`.
    gamma : float
        What the rate is multiplied with; to fall to 1 % in n steps, ``0.01 ** (1 / n)``.

    Raises
    ------
    ValueError
        If `gamma` is negative.
    """
    return get_step_schedule_with_warmup(optimizer, num_warmup_steps, 1, gamma, last_epoch)
