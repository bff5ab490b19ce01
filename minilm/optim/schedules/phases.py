"""Schedules of phases: warm-up, stable and decay; one cycle."""

from __future__ import annotations

from minilm.optim.lr_scheduler import LambdaLR, OneCycleLR
from minilm.optim.optimizer import Optimizer
from minilm.optim.schedules.parts import CURVES, lifted


def get_wsd_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Rise to the initial rate (warm-up), keep it (stable), and fall (decay) [1]_.

    Parameters
    ----------
    optimizer, num_warmup_steps, last_epoch
        See `get_constant_schedule_with_warmup`.
    num_decay_steps : int
        Steps that fall.
    num_training_steps, num_stable_steps : int, optional
        Steps of the whole run, or those that keep the rate; where both are given, the latter.
    warmup_type, decay_type : {"linear", "cosine", "1-sqrt"}
        Along which curve the rate rises and falls.
    min_lr_ratio : float
        What part of the initial rate the first and the last one are.
    num_cycles : float
        Waves of a falling cosine; half a one only falls.

    Raises
    ------
    ValueError
        If a curve is unknown, or the stable steps are not given, or negative.

    References
    ----------
    .. [1] Hu et al. 2024, section 4, https://arxiv.org/abs/2404.06395
    """
    for name, kind in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if kind not in CURVES:
            raise ValueError(f"{name} must be one of {', '.join(CURVES)}; got {kind!r}")
    if num_stable_steps is None:
        if num_training_steps is None:
            raise ValueError(
                "give num_training_steps or num_stable_steps: how long is the rate kept?"
            )
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps
    if num_stable_steps < 0:
        raise ValueError(
            f"{num_stable_steps} steps are left to keep the rate: num_warmup_steps "
            f"({num_warmup_steps}) and num_decay_steps ({num_decay_steps}) are together more than "
            f"num_training_steps ({num_training_steps})"
        )
    start = num_warmup_steps + num_stable_steps

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return lifted(CURVES[warmup_type](1 - step / num_warmup_steps, 0.5), min_lr_ratio)
        if step < start:
            return 1.0
        if step < start + num_decay_steps:
            done = (step - start) / num_decay_steps
            return lifted(CURVES[decay_type](done, num_cycles), min_lr_ratio)
        return min_lr_ratio

    return LambdaLR(optimizer, factor, last_epoch)


def get_one_cycle_schedule(
    optimizer: Optimizer,
    num_training_steps: int,
    num_warmup_steps: int | None = None,
    max_lr: float | list[float] | None = None,
    pct_start: float | None = None,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = True,
    base_momentum: float | list[float] = 0.85,
    max_momentum: float | list[float] = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
    last_epoch: int = -1,
) -> OneCycleLR:
    """Rise to the highest rate and fall to a very low one; see `OneCycleLR`.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get their ``"lr"`` and momentum from the schedule.
    num_training_steps : int
        Steps of the cycle.
    num_warmup_steps : int, optional
        Steps that rise.
    max_lr : float, or list of float, optional
        The highest rate; that of the optimizer if left out.
    pct_start : float, optional
        Share of the cycle that rises, instead of `num_warmup_steps`; 0.3 without either.
    anneal_strategy, cycle_momentum, base_momentum, max_momentum, div_factor, final_div_factor, \
three_phase, last_epoch
        See `OneCycleLR`.
    """
    if pct_start is None:
        pct_start = num_warmup_steps / num_training_steps if num_warmup_steps else 0.3
    return OneCycleLR(
        optimizer,
        [group["lr"] for group in optimizer.param_groups] if max_lr is None else max_lr,
        total_steps=num_training_steps,
        pct_start=pct_start,
        anneal_strategy=anneal_strategy,
        cycle_momentum=cycle_momentum,
        base_momentum=base_momentum,
        max_momentum=max_momentum,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        three_phase=three_phase,
        last_epoch=last_epoch,
    )
