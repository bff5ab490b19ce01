"""Schedules with a warm-up: Hugging Face's rates, names and messages."""

from __future__ import annotations

import json
from enum import Enum

import numpy as np
import pytest
from reference import stored
from reference.schedules import WARMUPS, follow, optimizer, warmup_key

import minilm
from minilm import optim
from minilm.optim import schedules
from minilm.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau
from minilm.optim.schedules import SCHEDULES, get_scheduler


def first_rates(scheduler, steps: int) -> list[float]:
    """Return the rate of the first group in each step."""
    return [float(row[0]) for row in follow(scheduler.optimizer, scheduler, steps)]


@pytest.mark.parametrize("case", WARMUPS, ids=warmup_key)
def test_rates_are_those_of_transformers(case):
    name, warmup, options = case
    opt = optimizer(minilm)
    ours = follow(opt, get_scheduler(name, opt, warmup, 55, options))
    expected = stored.load("schedules")[warmup_key(case)]
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("case", WARMUPS, ids=warmup_key)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_they_follow_transformers_live(case):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers.optimization")
    name, warmup, options = case
    theirs, ours = optimizer(torch), optimizer(minilm)
    expected = follow(theirs, transformers.get_scheduler(name, theirs, warmup, 55, options))
    got = follow(ours, get_scheduler(name, ours, warmup, 55, options))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-16)


def test_plateau_by_name():
    opt = optimizer(minilm)
    scheduler = get_scheduler(
        "reduce_lr_on_plateau", opt, 5, 10, {"factor": 0.25, "patience": 0, "threshold": 0}
    )
    assert isinstance(scheduler, ReduceLROnPlateau)
    for loss in (1.0, 1.0):
        scheduler.step(loss)
    assert opt.param_groups[0]["lr"] == 0.025
    assert schedules.get_reduce_on_plateau_schedule(opt, patience=3).patience == 3


def test_step_and_exponential_wait_for_the_warm_up():
    scheduler = get_scheduler("step", optimizer(minilm), 4, None, {"step_size": 2, "gamma": 0.5})
    expected = [0, 0.025, 0.05, 0.075, 0.1, 0.1, 0.05, 0.05, 0.025]
    assert first_rates(scheduler, 9) == pytest.approx(expected)
    scheduler = get_scheduler("exponential", optimizer(minilm), 2, None, {"gamma": 0.5})
    assert first_rates(scheduler, 5) == pytest.approx([0, 0.05, 0.1, 0.05, 0.025])


def test_one_cycle_rises_during_the_warm_up_to_the_optimizers_rates():
    opt = optimizer(minilm)
    scheduler = get_scheduler("one_cycle", opt, 10, 40)
    other = optimizer(minilm)
    same = OneCycleLR(other, [0.1, 0.03], total_steps=40, pct_start=0.25)
    np.testing.assert_array_equal(follow(opt, scheduler, 40), follow(other, same, 40))
    assert max(first_rates(get_scheduler("one_cycle", optimizer(minilm), 0, 40), 40)) == (
        pytest.approx(0.1, rel=1e-2)
    )
    given = get_scheduler("one_cycle", optimizer(minilm), 0, 40, {"max_lr": 0.7, "pct_start": 0.5})
    rates = first_rates(given, 40)
    assert rates[19] == pytest.approx(0.7) == max(rates)


def test_cosine_with_min_lr_ends_at_its_floor():
    total, rise, floor = 60, 6, 0.05
    opt = optim.SGD([minilm.ones(1, requires_grad=True)], lr=2.0)
    scheduler = get_scheduler("cosine_with_min_lr", opt, rise, total, {"min_lr_rate": floor})
    rates = first_rates(scheduler, total + 1)
    assert rates[: rise + 1] == pytest.approx([2 * k / rise for k in range(rise + 1)])
    middle = rise + (total - rise) // 2
    assert rates[middle] == pytest.approx(2 * (1 + floor) / 2)
    assert rates[total] == pytest.approx(2 * floor)


@pytest.mark.parametrize("case", [*WARMUPS, ("one_cycle", 8, {})], ids=warmup_key)
def test_a_resumed_run_has_the_same_rates_to_the_bit(case):
    name, warmup, options = case
    opt = optimizer(minilm)
    scheduler = get_scheduler(name, opt, warmup, 55, options)
    expected = follow(opt, scheduler, 20)
    state = json.dumps(scheduler.state_dict())
    rest = follow(opt, scheduler, 20)
    other = optimizer(minilm)
    resumed = get_scheduler(name, other, warmup, 55, options)
    resumed.load_state_dict(json.loads(state))
    np.testing.assert_array_equal(follow(other, resumed, 20), rest)
    assert name == "constant" or not np.array_equal(rest, expected)


def test_a_name_may_come_from_an_enumeration():
    class SchedulerType(Enum):
        LINEAR = "linear"

    assert isinstance(get_scheduler(SchedulerType.LINEAR, optimizer(minilm), 1, 9), LambdaLR)


# --- what is refused ---


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="unknown .* 'cosin'; did you mean 'cosine'.*exponential"):
        get_scheduler("cosin", optimizer(minilm), 1, 10)
    with pytest.raises(ValueError, match="schedule 'xyz'; there are linear,"):
        get_scheduler("xyz", optimizer(minilm), 1, 10)


NEEDS_WARMUP = set(SCHEDULES) - {"constant", "reduce_lr_on_plateau", "one_cycle"}


@pytest.mark.parametrize("name", sorted(NEEDS_WARMUP))
def test_a_missing_number_of_steps_is_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' requires `num_warmup_steps`"):
        get_scheduler(name, optimizer(minilm))


def test_a_missing_length_is_refused():
    for name in ("linear", "cosine", "polynomial", "one_cycle"):
        with pytest.raises(ValueError, match=f"'{name}' requires `num_training_steps`"):
            get_scheduler(name, optimizer(minilm), 3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cosine", {"num_cycle": 1}, "no argument 'num_cycle'; did you mean 'num_cycles'"),
        ("reduce_lr_on_plateau", {"patient": 1}, "did you mean 'patience'.*it has mode, factor"),
        ("linear", {"num_warmup_steps": 3}, "no argument 'num_warmup_steps'"),
        ("step", {}, "'step' requires `step_size`: give it in scheduler_specific_kwargs"),
        ("warmup_stable_decay", {}, "requires `num_decay_steps`"),
    ],
)
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(TypeError, match=message):
        get_scheduler(name, optimizer(minilm), 2, 20, options)


@pytest.mark.parametrize(
    ("name", "warmup", "options", "message"),
    [
        ("linear", -1, {}, "num_warmup_steps must not be negative"),
        ("polynomial", 1, {"lr_end": 0.1}, "lr_end must be below the optimizer's rate 0.1"),
        ("inverse_sqrt", 1, {"timescale": -3}, "timescale must be a whole number from 1 up"),
        ("cosine_with_min_lr", 1, {}, "give one of min_lr.*min_lr=None and min_lr_rate=None"),
        ("cosine_warmup_with_min_lr", 1, {"min_lr": 0.1, "min_lr_rate": 0.1}, "give one of"),
        ("warmup_stable_decay", 9, {"num_decay_steps": 12}, "-1 steps are left to keep the rate"),
        ("warmup_stable_decay", 1, {"num_decay_steps": 2, "decay_type": "sqrt"}, "decay_type must"),
        ("step", 1, {"step_size": 0}, "step_size must be a whole number"),
        ("exponential", 1, {"gamma": -1}, "gamma must not be negative"),
    ],
)
def test_wrong_values_are_refused(name, warmup, options, message):
    with pytest.raises(ValueError, match=message):
        get_scheduler(name, optimizer(minilm), warmup, 20, options)


def test_wsd_without_a_length_is_refused():
    with pytest.raises(ValueError, match="give num_training_steps or num_stable_steps"):
        schedules.get_wsd_schedule(optimizer(minilm), 1, 2)
