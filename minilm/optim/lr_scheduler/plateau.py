"""The schedule that looks at the results."""

from __future__ import annotations

import math
from typing import SupportsFloat

from minilm.optim.lr_scheduler.base import (
    LRScheduler,
    check_optimizer,
    one_for_each_group,
)
from minilm.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Reduce the rate when a result, such as the validation loss, no longer gets better.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups get their ``"lr"`` from the schedule.
    mode : {"min", "max"}
        Whether smaller or larger results are better.
    factor : float
        What the rate is multiplied with, below 1.
    patience : int
        Epochs without a better result that are let pass; the next one reduces the rate.
    threshold : float
        By how much a result must be better to count.
    threshold_mode : {"rel", "abs"}
        Whether `threshold` is a share of the best result, or a difference.
    cooldown : int
        Epochs after a reduction in which results are not judged.
    min_lr : float, or list of float
        Rates are not reduced below; one for all groups, or one for each.
    eps : float
        A reduction by less than this is left out.

    Attributes
    ----------
    best : float
        The best result so far.
    num_bad_epochs : int
        Epochs since, without those in a cooldown.
    cooldown_counter : int
        Epochs that are left of a cooldown.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    PyTorch's word language model divides its rate by 4 after each epoch without a better loss:

    >>> scheduler = ReduceLROnPlateau(
    ...     optimizer, factor=0.25, patience=0, threshold=0
    ... )  # doctest: +SKIP
    >>> scheduler.step(valid_loss)  # doctest: +SKIP
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer(self, optimizer)
        if not 0 <= factor < 1:
            raise ValueError(f"factor must be in [0, 1), so that rates get smaller; got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be one of min, max; got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold_mode must be one of rel, abs; got {threshold_mode!r}")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs: list[float] = one_for_each_group("min_lr", optimizer, min_lr)
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._last_lr: list[float] = [group["lr"] for group in optimizer.param_groups]

    @property
    def in_cooldown(self) -> bool:
        """Whether results are not judged for now."""
        return self.cooldown_counter > 0

    def step(self, metrics: SupportsFloat) -> None:  # type: ignore[override]
        """Judge the result of an epoch, and reduce the rate if it is time.

        Parameters
        ----------
        metrics : float, or Tensor of one element
            The result. NaN is no better one.
        """
        current = float(metrics)
        self.last_epoch += 1
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        lrs = [group["lr"] for group in self.optimizer.param_groups]
        if self.num_bad_epochs > self.patience:
            lrs = self._reduced(lrs)
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._write(lrs)

    def _is_better(self, current: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            return sign * current < sign * self.best * (1 - sign * self.threshold)
        return sign * current < sign * self.best - self.threshold

    def _reduced(self, lrs: list[float]) -> list[float]:
        self._check_groups(len(self.min_lrs))
        lower = [max(lr * self.factor, low) for lr, low in zip(lrs, self.min_lrs, strict=True)]
        return [new if lr - new > self.eps else lr for lr, new in zip(lrs, lower, strict=True)]
