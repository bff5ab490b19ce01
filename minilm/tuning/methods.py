"""The ways to search, a function each."""

from __future__ import annotations

from typing import Any

from minilm.tuning.search import Plan, tune
from minilm.tuning.study import Study


def grid(
    space: Any, objective: Any, folder: Any, *, trials: int | None = None, **options: Any
) -> Study:
    """Try all combinations, in an order that is drawn; `trials` of them, if given.

    Parameters
    ----------
    space, objective, folder
        As for :func:`tune`. Ranges need a step, unless they are of integers.
    trials : int, optional
        How many combinations; all without it.
    **options
        ``jobs`` and ``say`` of :func:`tune`; ``seed``, ``pruning``, ``reduction`` and
        ``min_epochs`` of :class:`Plan`.

    Returns
    -------
    Study
        See :func:`tune` for what is raised, too.

    Examples
    --------
    >>> study = grid({"lr": [0.003, 0.01], "hidden": [64, 128]}, Recipe("my.txt", "char"), "tuning")
    >>> study.best.hyperparameters
    """
    return _search("grid", space, objective, folder, trials, options)


def random(space: Any, objective: Any, folder: Any, *, trials: int = 20, **options: Any) -> Study:
    """Draw each value at random: Bergstra and Bengio 2012.

    Parameters
    ----------
    space, objective, folder
        As for :func:`tune`.
    trials : int
        How many.
    **options
        As for :func:`grid`.

    Returns
    -------
    Study
    """
    return _search("random", space, objective, folder, trials, options)


def halving(space: Any, objective: Any, folder: Any, *, trials: int = 20, **options: Any) -> Study:
    """Draw at random, and let only the best third go on from rung to rung.

    Parameters
    ----------
    space, objective, folder
        As for :func:`tune`.
    trials : int
        How many.
    **options
        As for :func:`grid`.

    Returns
    -------
    Study
    """
    return _search("halving", space, objective, folder, trials, options)


def tpe(space: Any, objective: Any, folder: Any, *, trials: int = 20, **options: Any) -> Study:
    """Draw where earlier trials did well: the tree-structured Parzen estimator, Bergstra 2011.

    Trials are drawn four at a time, however many jobs there are, so that what is drawn does not
    depend on them.

    Parameters
    ----------
    space, objective, folder
        As for :func:`tune`.
    trials : int
        How many.
    **options
        As for :func:`grid`.

    Returns
    -------
    Study
    """
    return _search("tpe", space, objective, folder, trials, options)


def _search(
    method: str, space: Any, objective: Any, folder: Any, trials: int | None, options: Any
) -> Study:
    rest = {name: options.pop(name) for name in ("jobs", "say") if name in options}
    return tune(space, objective, folder, Plan(method, trials, **options), **rest)
