"""Schedules that multiply the initial rate with a factor: steps, constants, lines, powers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from minilm.optim.lr_scheduler.base import (
    ClosedFormLR,
    LRScheduler,
    check_gamma,
    check_share,
    one_for_each_group,
    positive_int,
)
from minilm.optim.optimizer import Optimizer


class LambdaLR(LRScheduler):
    """The initial rate times a function of the epoch.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    lr_lambda : callable, or list of callable
        Maps the epoch, from 0, to a factor; one for all groups, or one for each.

    Raises
    ------
    TypeError
        If `lr_lambda` cannot be called.
    ValueError
        If there is another number of functions than of groups.

    Notes
    -----
    A state holds the attributes of objects that can be called, but no functions: make the schedule
    with the same functions before loading one.

    Examples
    --------
    >>> scheduler = LambdaLR(optimizer, lambda epoch: 0.95**epoch)  # doctest: +SKIP
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas: list[Callable[[int], float]] = one_for_each_group(
            "lr_lambda", optimizer, lr_lambda
        )
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(
                    "lr_lambda must be a function of the epoch that returns a factor, got "
                    f"{function!r}"
                )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Compute the rate of each group in the epoch `last_epoch`."""
        return [
            base * function(self.last_epoch)
            for base, function in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return all that the schedule knows but the optimizer and functions."""
        attributes = [
            None if isinstance(function, FunctionType) else dict(getattr(function, "__dict__", {}))
            for function in self.lr_lambdas
        ]
        return {**super().state_dict(), "lr_lambdas": attributes}

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes:
                vars(function).update(attributes)
        super()._load({**state_dict, "lr_lambdas": self.lr_lambdas})


class StepLR(ClosedFormLR):
    """Multiply the rate with `gamma` every `step_size` epochs.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    step_size : int
        Epochs from one change to the next.
    gamma : float
        What the rate is multiplied with.

    Raises
    ------
    ValueError
        If `step_size` is not positive, or `gamma` is negative.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = positive_int("step_size", step_size)
        self.gamma = check_gamma(gamma)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """Return what the base rate is multiplied with in an epoch, from 0."""
        return float(self.gamma ** (epoch // self.step_size))


class MultiStepLR(ClosedFormLR):
    """Multiply the rate with `gamma` at each milestone.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    milestones : iterable of int
        Epochs at which it changes; one that is there twice counts twice.
    gamma : float
        What the rate is multiplied with.

    Raises
    ------
    ValueError
        If `gamma` is negative.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = check_gamma(gamma)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """Return what the base rate is multiplied with in an epoch, from 0."""
        return float(self.gamma ** bisect_right(self.milestones, epoch))


class ConstantLR(ClosedFormLR):
    """Multiply the rate with a constant for the first epochs.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    factor : float
        The constant, from 0 to 1.
    total_iters : int
        Epochs until the full rate.

    Raises
    ------
    ValueError
        If `factor` is not between 0 and 1, or `total_iters` is not positive.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor = check_share("factor", factor)
        self.total_iters = positive_int("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """Return what the base rate is multiplied with in an epoch, from 0."""
        return self.factor if epoch < self.total_iters else 1.0


class LinearLR(ClosedFormLR):
    """Multiply the rate with a factor that moves along a line, such as a warm-up.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    start_factor, end_factor : float
        The factor in epoch 0, above 0 and at most 1, and from `total_iters` on, from 0 to 1.
    total_iters : int
        Epochs from the one to the other.

    Raises
    ------
    ValueError
        If a factor is out of its range, or `total_iters` is not positive.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(
                f"start_factor must be above 0 and at most 1, got {start_factor}: the factor of "
                "the highest rate is 1"
            )
        self.start_factor = start_factor
        self.end_factor = check_share("end_factor", end_factor)
        self.total_iters = positive_int("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """Return what the base rate is multiplied with in an epoch, from 0."""
        done = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ExponentialLR(ClosedFormLR):
    """Multiply the rate with `gamma` every epoch.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    gamma : float
        What the rate is multiplied with.

    Raises
    ------
    ValueError
        If `gamma` is negative.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = check_gamma(gamma)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """Return what the base rate is multiplied with in an epoch, from 0."""
        return float(self.gamma**epoch)


class PolynomialLR(ClosedFormLR):
    """Let the rate fall to 0 as a power of the share of epochs that are left.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    total_iters : int
        Epochs until the rate is 0.
    power : float
        1 is a straight line; larger ones fall fast first.

    Raises
    ------
    ValueError
        If `total_iters` or `power` is not positive.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        if not power > 0:
            raise ValueError(f"power must be positive, or the rate would not fall; got {power}")
        self.total_iters = positive_int("total_iters", total_iters)
        self.power = power
        super().__init__(optimizer, last_epoch)

    def factor_at(self, epoch: int) -> float:
        """Return what the base rate is multiplied with in an epoch, from 0."""
        left = 1 - min(epoch, self.total_iters) / self.total_iters
        return float(left**self.power)
