"""Schedules along a cosine (Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983)."""

from __future__ import annotations

import math

from minilm.optim.lr_scheduler.base import ClosedFormLR, LRScheduler, positive_int
from minilm.optim.optimizer import Optimizer


class CosineAnnealingLR(ClosedFormLR):
    r"""Let the rate swing along a cosine between the initial one and `eta_min`.

    In epoch t it is
    :math:`\eta_{min} + (\eta_0 - \eta_{min}) (1 + \cos(\pi t / T_{max})) / 2`: at its lowest after
    `T_max` epochs, and at its highest again after as many more.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    T_max : int
        Epochs of half a swing.
    eta_min : float
        The lowest rate.

    Raises
    ------
    ValueError
        If `T_max` is not positive.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = positive_int("T_max", T_max)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    @property
    def floor(self) -> float:
        """The rate where the factor is 0."""
        return self.eta_min

    def factor_at(self, epoch: int) -> float:
        """Return how far the rate is above `eta_min`, as a share of its way, in an epoch from 0."""
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    r"""Let the rate fall along half a cosine, again and again from the initial one.

    :math:`\eta_{min} + (\eta_0 - \eta_{min}) (1 + \cos(\pi T_{cur} / T_i)) / 2`, where `T_cur`
    counts the epochs since the last restart.

    Parameters
    ----------
    optimizer, last_epoch
        See `LRScheduler`.
    T_0 : int
        Epochs until the first restart.
    T_mult : int
        How many times as long as the one before each further fall takes.
    eta_min : float
        The lowest rate.

    Attributes
    ----------
    T_cur, T_i : int
        Epochs since the last restart, and from it to the next.

    Raises
    ------
    ValueError
        If `T_0` or `T_mult` is not a positive whole number.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0 = positive_int("T_0", T_0)
        self.T_mult = positive_int("T_mult", T_mult)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Compute the rate of each group where the schedule stands."""
        high = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * high for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next epoch, or of any point in time.

        Parameters
        ----------
        epoch : float, optional
            Where to go, such as ``epoch + batch / batches`` within an epoch.

        Raises
        ------
        ValueError
            If `epoch` is negative.
        """
        if epoch is not None and not epoch >= 0:
            raise ValueError(f"expected an epoch from 0 up, got {epoch}")
        # Steps of one epoch, from wherever a fraction has led to.
        self._go_to(self._position + 1 if epoch is None else epoch)
        self._write(self.get_lr())

    def _restart(self, epoch: int) -> None:
        self._go_to(epoch)
        super()._restart(epoch)

    def _go_to(self, position: float) -> None:
        """Find the fall in which a point in time lies."""
        self.last_epoch = math.floor(position)
        self._position = position
        self.T_cur: float = position
        self.T_i = self.T_0
        if self.T_mult == 1:
            self.T_cur = position % self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
