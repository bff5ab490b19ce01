"""Schedules made of others: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from minilm.optim.lr_scheduler.base import LRScheduler, check_optimizer, set_initial_rates
from minilm.optim.lr_scheduler.plateau import ReduceLROnPlateau
from minilm.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    """What schedules made of others have in common: the state is that of all parts."""

    _schedulers: list[LRScheduler]

    def get_lr(self) -> list[float]:
        """Return the rate of each group as it is set now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return all that the schedule and its parts know but the optimizer."""
        parts = [part.state_dict() for part in self._schedulers]
        return {**super().state_dict(), "_schedulers": parts}

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        super()._check_state(state_dict)
        states = state_dict["_schedulers"]
        if len(states) != len(self._schedulers):
            raise ValueError(
                f"loaded state dict has the state of {len(states)} schedules, but "
                f"{type(self).__name__} was made of {len(self._schedulers)}"
            )
        for part, state in zip(self._schedulers, states, strict=True):
            part._check_state(state)

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        for part, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            part._load(state)
        super()._load({**state_dict, "_schedulers": self._schedulers})


class SequentialLR(_Combined):
    """One schedule after the other; each starts from the initial rates, at its own epoch 0.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    schedulers : list of LRScheduler
        In their order, all of them of `optimizer`.
    milestones : list of int
        The epochs at which the second and each further one take over.

    Raises
    ------
    ValueError
        If there are no schedules, one is of another optimizer or a `ReduceLROnPlateau`, or the
        milestones are not in order, or not one less than schedules.

    Examples
    --------
    A warm-up of 5 epochs, then a cosine:

    >>> warmup = LinearLR(optimizer, total_iters=5)  # doctest: +SKIP
    >>> cosine = CosineAnnealingLR(optimizer, T_max=95)  # doctest: +SKIP
    >>> scheduler = SequentialLR(optimizer, [warmup, cosine], milestones=[5])  # doctest: +SKIP
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._schedulers = _checked_parts(self, schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "SequentialLR: expected one milestone less than schedules, the epoch at which each "
                f"but the first takes over; got {len(schedulers)} schedules and "
                f"{len(milestones)} milestones"
            )
        if list(milestones) != sorted(milestones):
            raise ValueError(f"SequentialLR: milestones must be in order, got {list(milestones)}")
        self._milestones = list(milestones)
        super().__init__(optimizer, last_epoch)

    def step(self) -> None:
        """Set the rates of the next epoch; call it after the optimizer's step."""
        epoch = self.last_epoch + 1
        if epoch in self._milestones:
            self._restart(epoch)
            return
        self.last_epoch = epoch
        self._active.step()
        self._last_lr = self.get_lr()

    @property
    def _active(self) -> LRScheduler:
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    def _restart(self, epoch: int) -> None:
        self.last_epoch = epoch
        set_initial_rates(self.optimizer)
        index = bisect_right(self._milestones, epoch)
        self._active._restart(epoch - (self._milestones[index - 1] if index else 0))
        self._last_lr = self.get_lr()

    def _write(self, lrs: Sequence[float]) -> None:
        # It may have momentum to set, too, which a part that waits has overwritten when loaded.
        self._active._write(lrs)
        super()._write(lrs)


class ChainedScheduler(_Combined):
    """Several schedules at once: each multiplies what the ones before have made of the rate.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
        All of them of one optimizer, made in this order.
    optimizer : Optimizer, optional
        That optimizer.

    Raises
    ------
    ValueError
        If there are no schedules, or one is of another optimizer or a `ReduceLROnPlateau`.

    Notes
    -----
    As in PyTorch, `LambdaLR`, `CosineAnnealingWarmRestarts` and `OneCycleLR` set the rate whatever
    it was: they make sense as the first of a chain.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._schedulers = _checked_parts(self, schedulers, optimizer)
        self.optimizer = self._schedulers[0].optimizer
        self.base_lrs = list(self._schedulers[0].base_lrs)
        self.last_epoch = self._schedulers[0].last_epoch
        self._last_lr: list[float] = self.get_lr()

    def step(self) -> None:
        """Set the rates of the next epoch; call it after the optimizer's step."""
        self.last_epoch += 1
        for part in self._schedulers:
            part.step()
        self._last_lr = self.get_lr()

    def _restart(self, epoch: int) -> None:
        self.last_epoch = epoch
        for part in self._schedulers:
            part._restart(epoch)
        self._last_lr = self.get_lr()


def _checked_parts(
    whole: LRScheduler, parts: Sequence[LRScheduler], optimizer: Optimizer | None
) -> list[LRScheduler]:
    """Return the parts, if all of them are schedules of one optimizer that step on their own."""
    kind = type(whole).__name__
    if not parts:
        raise ValueError(f"{kind} expects at least one schedule, got none")
    for index, part in enumerate(parts):
        if not isinstance(part, LRScheduler):
            raise TypeError(
                f"{kind}: schedulers[{index}] is a {type(part).__name__}, expected a schedule"
            )
        if isinstance(part, ReduceLROnPlateau):
            raise ValueError(
                f"{kind}: schedulers[{index}] is a ReduceLROnPlateau, whose step needs a result: "
                "step it on its own"
            )
    optimizer = parts[0].optimizer if optimizer is None else optimizer
    check_optimizer(whole, optimizer)
    for index, part in enumerate(parts):
        if part.optimizer is not optimizer:
            raise ValueError(
                f"{kind}: schedulers[{index}] ({type(part).__name__}) sets the rates of another "
                "optimizer: make all of them for one"
            )
    return list(parts)
