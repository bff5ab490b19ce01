"""What all learning rate schedules share: initial rates, steps, and the state they keep."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from minilm.optim.optimizer import Optimizer


class LRScheduler:
    """Base class of all schedules; a subclass defines `get_lr`.

    Making a schedule sets the rates of epoch 0; each `step` sets those of the next epoch. An epoch
    is whatever a step is taken after: a pass over the data, or one update.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get their ``"lr"`` from the schedule. Their rates of now are kept under
        ``"initial_lr"``, unless an earlier schedule has done so.
    last_epoch : int
        The epoch before the one to start with; -1 starts at the beginning.

    Attributes
    ----------
    base_lrs : list of float
        The initial rate of each group.
    last_epoch : int
        The epoch whose rates are set, from 0.

    Raises
    ------
    TypeError
        If `optimizer` is none.
    ValueError
        If `last_epoch` is not -1 and the groups have no ``"initial_lr"``.
    """

    optimizer: Optimizer

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(self, optimizer)
        self.optimizer = optimizer
        if last_epoch == -1:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
        else:
            set_initial_rates(optimizer, last_epoch)
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._restart(last_epoch + 1)

    def get_lr(self) -> list[float]:
        """Compute the rate of each group in the epoch `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr(self)")

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group as the schedule has set it last."""
        return list(self._last_lr)

    def step(self) -> None:
        """Set the rates of the next epoch; call it after the optimizer's step.

        Raises
        ------
        ValueError
            If the optimizer has other groups than when the schedule was made.
        """
        self.last_epoch += 1
        self._write(self.get_lr())

    def _restart(self, epoch: int) -> None:
        """Stand at `epoch`, as if it was reached from the rates that the groups have now."""
        self.last_epoch = epoch
        self._write(self.get_lr())

    def _write(self, lrs: Sequence[float]) -> None:
        """Hand each group its rate."""
        self._check_groups(len(lrs))
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
        self._last_lr = list(lrs)

    def _check_groups(self, rates: int) -> None:
        groups = len(self.optimizer.param_groups)
        if rates != groups:
            raise ValueError(
                f"{type(self).__name__}: expected an optimizer of {rates} parameter groups, got "
                f"{groups}: add groups before the schedule is made"
            )

    # --- what is saved ---

    def state_dict(self) -> dict[str, Any]:
        """Return all that the schedule knows but the optimizer: numbers, text and lists."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state, and set its rates; nothing changes if it does not fit.

        Unlike PyTorch's, this sets the rates of the groups, too: whether the optimizer's state is
        loaded before, afterwards or not at all, the next rates are those of a run that never
        stopped, to the last bit.

        Parameters
        ----------
        state_dict : dict
            From `state_dict` of a schedule of the same kind.

        Raises
        ------
        ValueError
            If it is of another kind of schedule, or for another number of groups.
        """
        self._check_state(state_dict)
        self._load(state_dict)

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        own = self.state_dict().keys()
        missing = sorted(own - state_dict.keys())
        if missing:
            raise ValueError(
                f"loaded state dict is not one of {type(self).__name__}: it lacks "
                f"{', '.join(missing)}. Was it saved from another kind of schedule?"
            )
        self._check_groups(len(state_dict["_last_lr"]))

    def _load(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state that was checked."""
        vars(self).update({name: state_dict[name] for name in self.state_dict()})
        self._write(self._last_lr)


class ClosedFormLR(LRScheduler):
    """A schedule whose rate in epoch t is ``floor + (base - floor) * factor_at(t)``.

    So rounding errors do not add up from step to step. As PyTorch's schedules can be chained, so
    can these: where the rate of a group was changed since the last step, by hand or by another
    schedule, `base` becomes the one that would have led to the changed rate.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    """

    @property
    def floor(self) -> float:
        """The rate where the factor is 0."""
        return 0.0

    def factor_at(self, epoch: int) -> float:
        """Return what the base rate is multiplied with in an epoch, from 0."""
        raise NotImplementedError(f"{type(self).__name__} must define factor_at(self, epoch)")

    def get_lr(self) -> list[float]:
        """Compute the rate of each group in the epoch `last_epoch`."""
        factor, floor = self.factor_at(self.last_epoch), self.floor
        return [floor + (base - floor) * factor for base in self._bases]

    def step(self) -> None:
        """Set the rates of the next epoch; call it after the optimizer's step."""
        self._keep_changes()
        super().step()

    def _restart(self, epoch: int) -> None:
        self._bases: list[float] = [group["lr"] for group in self.optimizer.param_groups]
        super()._restart(epoch)

    def _keep_changes(self) -> None:
        """Go on from rates that somebody else has set since the last step."""
        factor, floor = self.factor_at(self.last_epoch), self.floor
        if factor == 0:
            return  # whatever the base was, the rate would have been `floor`
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self._check_groups(len(self._bases))
        self._bases = [
            base if lr == last else floor + (lr - floor) / factor
            for base, lr, last in zip(self._bases, rates, self._last_lr, strict=True)
        ]


def set_initial_rates(optimizer: Optimizer, last_epoch: int = -1) -> None:
    """Give each group the rate that it had before any schedule.

    Raises
    ------
    ValueError
        If a group has no ``"initial_lr"``.
    """
    for index, group in enumerate(optimizer.param_groups):
        if "initial_lr" not in group:
            raise ValueError(
                f"last_epoch={last_epoch} goes on with a schedule, but param_groups[{index}] has "
                "no 'initial_lr': load the optimizer's state first, or leave last_epoch out and "
                "use the schedule's load_state_dict"
            )
        group["lr"] = group["initial_lr"]


def check_optimizer(schedule: LRScheduler, optimizer: object) -> None:
    """Raise TypeError for what is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{type(schedule).__name__}: expected an Optimizer, got {type(optimizer).__name__}"
        )


def positive_int(name: str, value: Any) -> int:
    """Return a whole number from 1 up.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"{name} must be a whole number from 1 up, got {value!r}")
    return number


def check_share(name: str, value: float) -> float:
    """Return a number from 0 to 1.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value}")
    return value


def check_gamma(gamma: float) -> float:
    """Return what a rate is multiplied with.

    Raises
    ------
    ValueError
        If it is negative or NaN.
    """
    if not gamma >= 0:
        raise ValueError(f"gamma must not be negative: rates are multiplied with it; got {gamma}")
    return gamma


def one_for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """Return a list with one value for each group.

    Raises
    ------
    ValueError
        If `value` is a list of another length.
    """
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"{name} has {len(value)} values, expected one for each of the optimizer's {groups} "
            "parameter groups"
        )
    return list(value)
