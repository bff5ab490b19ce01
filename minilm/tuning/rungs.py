"""Successive halving: how far trials train before they are compared, and which go on."""

from __future__ import annotations

from collections.abc import Mapping


def rungs(min_epochs: int, reduction: int, epochs: int) -> list[int]:
    """Return the epochs after which trials are compared, and the last one.

    Parameters
    ----------
    min_epochs : int
        Epochs before the first comparison.
    reduction : int
        How many times more epochs until the next one; 0 compares never.
    epochs : int
        Those of a whole run.

    Examples
    --------
    >>> rungs(1, 3, 10)
    [1, 3, 9, 10]
    """
    found = []
    rung = min_epochs
    while reduction and rung < epochs:
        found.append(rung)
        rung *= reduction
    return [*found, epochs]


def survivors(losses: Mapping[int, float], reduction: int) -> set[int]:
    """Return the trials that go on from a rung: the best one of each `reduction`, at least one.

    All trials of a rung are there before any goes on, so the answer does not depend on which
    finished first: the synchronous algorithm of Jamieson and Talwalkar, "Non-stochastic Best Arm
    Identification and Hyperparameter Optimization", 2016, algorithm 1.

    Parameters
    ----------
    losses : mapping
        For each trial's number its best validation loss so far. Of two that are equal, the one
        with the lower number is better.
    reduction : int
        How many are compared for each that goes on.
    """
    ranked = sorted(losses, key=lambda number: (losses[number], number))
    return set(ranked[: max(1, len(ranked) // reduction)])
