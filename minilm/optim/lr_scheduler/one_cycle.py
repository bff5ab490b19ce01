"""The one-cycle schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

from minilm.optim.lr_scheduler.base import (
    LRScheduler,
    check_optimizer,
    check_share,
    one_for_each_group,
    positive_int,
)
from minilm.optim.optimizer import Optimizer

ANNEAL_STRATEGIES = ("cos", "linear")


class OneCycleLR(LRScheduler):
    """Rise to a high rate and fall to a very low one, with momentum moving the other way [1]_.

    Here an epoch is one update: call `step` after every batch.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    max_lr : float, or list of float
        The highest rate; one for all groups, or one for each.
    total_steps : int, optional
        Steps of the cycle; without it, ``epochs * steps_per_epoch``.
    epochs, steps_per_epoch : int, optional
        Passes over the data, and updates in each.
    pct_start : float
        Share of the cycle that rises, from 0 to 1.
    anneal_strategy : {"cos", "linear"}
        Along which curve rates and momentum move.
    cycle_momentum : bool
        Move the momentum, too: SGD's ``momentum``, or the first of Adam's ``betas``.
    base_momentum, max_momentum : float, or list of float
        Momentum at the highest rate, and at start and end.
    div_factor : float
        The rate at the start is ``max_lr / div_factor``.
    final_div_factor : float
        The rate at the end is that at the start over `final_div_factor`.
    three_phase : bool
        Fall as slowly as it rose to the rate at the start, and only then to the one at the end;
        otherwise there are two phases.

    Raises
    ------
    ValueError
        If an argument is out of its range, the length of the cycle is not given, the optimizer
        has no momentum to cycle, or `step` is called more than `total_steps` times.

    References
    ----------
    .. [1] Smith & Topin 2017, https://arxiv.org/abs/1708.07120
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 10000.0,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self, optimizer)
        if anneal_strategy not in ANNEAL_STRATEGIES:
            raise ValueError(
                f"anneal_strategy must be one of {', '.join(ANNEAL_STRATEGIES)}; got "
                f"{anneal_strategy!r}"
            )
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        self.anneal_strategy = anneal_strategy
        self.max_lrs: list[float] = one_for_each_group("max_lr", optimizer, max_lr)
        self._ends = _phase_ends(check_share("pct_start", pct_start), self.total_steps, three_phase)
        starts = [high / div_factor for high in self.max_lrs]
        lows = [start / final_div_factor for start in starts]
        turns = [starts, self.max_lrs, *([starts] if three_phase else []), lows]
        self._lr_turns = [list(turn) for turn in zip(*turns, strict=True)]

        self.cycle_momentum = cycle_momentum
        self._momentum_turns: list[list[float]] = []
        if cycle_momentum:
            _check_momentum(optimizer)
            base = one_for_each_group("base_momentum", optimizer, base_momentum)
            high = one_for_each_group("max_momentum", optimizer, max_momentum)
            momenta = [high, base, high, *([high] if three_phase else [])]
            self._momentum_turns = [list(turn) for turn in zip(*momenta, strict=True)]
        if last_epoch == -1:
            for group, start in zip(optimizer.param_groups, starts, strict=True):
                group["initial_lr"] = start
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Compute the rate of each group in the step `last_epoch`."""
        return self._between(self._lr_turns)

    def step(self) -> None:
        """Set the rates of the next update; call it after the optimizer's step."""
        if self.last_epoch >= self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {self.last_epoch + 1} is beyond total_steps={self.total_steps}: "
                "the cycle is over. Is step called once an update, and total_steps the number of "
                "updates in all epochs?"
            )
        super().step()

    def _write(self, lrs: Sequence[float]) -> None:
        super()._write(lrs)
        if not self.cycle_momentum:
            return
        momenta = self._between(self._momentum_turns)
        for group, momentum in zip(self.optimizer.param_groups, momenta, strict=True):
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum

    def _between(self, turns: list[list[float]]) -> list[float]:
        """Return for each group the value between two turning points where the cycle is now."""
        phase = sum(self.last_epoch > end for end in self._ends[:-1])
        start = self._ends[phase - 1] if phase else 0.0
        length = self._ends[phase] - start
        done = (self.last_epoch - start) / length if length else 1.0
        left = (1 + math.cos(math.pi * done)) / 2 if self.anneal_strategy == "cos" else 1 - done
        return [end + (begin - end) * left for begin, end in (v[phase : phase + 2] for v in turns)]


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        return positive_int("total_steps", total_steps)
    if epochs is None or steps_per_epoch is None:
        raise ValueError(
            "OneCycleLR needs the length of its cycle: give total_steps, or epochs and "
            "steps_per_epoch"
        )
    return positive_int("epochs", epochs) * positive_int("steps_per_epoch", steps_per_epoch)


def _phase_ends(pct_start: float, total_steps: int, three_phase: bool) -> list[float]:
    """Return the step at which each phase ends."""
    first = pct_start * total_steps
    second = [2 * first - 2] if three_phase else []
    return [first - 1, *second, float(total_steps - 1)]


def _check_momentum(optimizer: Optimizer) -> None:
    if not {"momentum", "betas"} & set(optimizer.defaults):
        raise ValueError(
            f"OneCycleLR: {type(optimizer).__name__} has neither momentum nor betas to cycle: pass "
            "cycle_momentum=False"
        )
