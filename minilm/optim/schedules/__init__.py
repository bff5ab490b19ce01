"""Schedules with a warm-up, under Hugging Face's names.

Here an epoch of a schedule is one update: step it after every batch. In step t, from 0, the rate
is the initial one times a factor; during a warm-up of w steps the factor is t / w, so the very
first update does nothing.
"""

from minilm.optim.schedules.by_name import (
    SCHEDULES,
    get_reduce_on_plateau_schedule,
    get_scheduler,
)
from minilm.optim.schedules.cosines import (
    get_cosine_schedule_with_warmup,
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
)
from minilm.optim.schedules.decays import (
    get_constant_schedule,
    get_constant_schedule_with_warmup,
    get_exponential_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
    get_step_schedule_with_warmup,
)
from minilm.optim.schedules.phases import get_one_cycle_schedule, get_wsd_schedule

__all__ = [
    "SCHEDULES",
    "get_constant_schedule",
    "get_constant_schedule_with_warmup",
    "get_cosine_schedule_with_warmup",
    "get_cosine_with_hard_restarts_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
    "get_exponential_schedule_with_warmup",
    "get_inverse_sqrt_schedule",
    "get_linear_schedule_with_warmup",
    "get_one_cycle_schedule",
    "get_polynomial_decay_schedule_with_warmup",
    "get_reduce_on_plateau_schedule",
    "get_scheduler",
    "get_step_schedule_with_warmup",
    "get_wsd_schedule",
]
