"""A schedule by its name, as settings and the command line give it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minilm.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from minilm.optim.optimizer import Optimizer
from minilm.optim.schedules import cosines, decays, phases

SCHEDULES: dict[str, Callable[..., LRScheduler]] = {
    "linear": decays.get_linear_schedule_with_warmup,
    "cosine": cosines.get_cosine_schedule_with_warmup,
    "cosine_with_restarts": cosines.get_cosine_with_hard_restarts_schedule_with_warmup,
    "polynomial": decays.get_polynomial_decay_schedule_with_warmup,
    "constant": decays.get_constant_schedule,
    "constant_with_warmup": decays.get_constant_schedule_with_warmup,
    "inverse_sqrt": decays.get_inverse_sqrt_schedule,
    "reduce_lr_on_plateau": ReduceLROnPlateau,
    "cosine_with_min_lr": cosines.get_cosine_with_min_lr_schedule_with_warmup,
    "cosine_warmup_with_min_lr": cosines.get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
    "warmup_stable_decay": phases.get_wsd_schedule,
    # Not in Hugging Face's list:
    "one_cycle": phases.get_one_cycle_schedule,
    "step": decays.get_step_schedule_with_warmup,
    "exponential": decays.get_exponential_schedule_with_warmup,
}
"""What each ``lr_scheduler_type`` makes."""


def get_scheduler(
    name: str,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
) -> LRScheduler:
    """Make a schedule by its name.

    Parameters
    ----------
    name : str
        One of `SCHEDULES`: Hugging Face's ``linear``, ``cosine``, ``cosine_with_restarts``,
        ``polynomial``, ``constant``, ``constant_with_warmup``, ``inverse_sqrt``,
        ``reduce_lr_on_plateau``, ``cosine_with_min_lr``, ``cosine_warmup_with_min_lr`` and
        ``warmup_stable_decay``, and ``one_cycle``, ``step`` and ``exponential``.
    optimizer : Optimizer
        Whose groups get their ``"lr"`` from the schedule.
    num_warmup_steps, num_training_steps : int, optional
        Steps that rise, and steps of the whole run; a schedule that needs none takes no notice.
    scheduler_specific_kwargs : mapping, optional
        Further arguments of the function that `SCHEDULES` names.

    Returns
    -------
    LRScheduler
        To be stepped after every update; ``reduce_lr_on_plateau`` after every evaluation, with its
        result.

    Raises
    ------
    ValueError
        If the name is unknown, or a number of steps that the schedule needs is left out.
    TypeError
        If the schedule has no such argument, or needs another one.

    Examples
    --------
    >>> scheduler = get_scheduler("cosine", optimizer, 100, 2000)  # doctest: +SKIP
    """
    name = str(getattr(name, "value", name))  # Hugging Face's enumeration, too
    if name not in SCHEDULES:
        raise ValueError(
            f"unknown learning rate schedule {name!r}{_nearest(name, SCHEDULES)}; there are "
            f"{', '.join(SCHEDULES)}"
        )
    make = SCHEDULES[name]
    parameters = inspect.signature(make).parameters
    options = dict(scheduler_specific_kwargs or {})
    steps = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    for option in options:
        if option not in parameters or option in ("optimizer", *steps):
            known = [each for each in parameters if each not in ("optimizer", *steps)]
            raise TypeError(
                f"the schedule {name!r} has no argument {option!r}{_nearest(option, known)}; it "
                f"has {', '.join(known)}"
            )
    options |= {key: n for key, n in steps.items() if key in parameters and n is not None}
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in ("optimizer", *options):
            if key in steps:
                raise ValueError(f"the schedule {name!r} requires `{key}`, which was left out")
            raise TypeError(
                f"the schedule {name!r} requires `{key}`: give it in scheduler_specific_kwargs"
            )
    return make(optimizer, **options)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **kwargs: Any) -> ReduceLROnPlateau:
    """Reduce the rate when a result no longer gets better; see `ReduceLROnPlateau`."""
    return ReduceLROnPlateau(optimizer, **kwargs)


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    matches = get_close_matches(name, list(known), 1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
