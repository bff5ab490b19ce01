"""Schedules: PyTorch's rates, the same bits after a resume, and what is refused."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
from reference import stored
from reference.schedules import SCHEDULES, STEPS, advance, follow, optimizer, settings

import minilm
from minilm import optim
from minilm.optim import lr_scheduler
from minilm.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)


def rates(opt) -> list[float]:
    return [group["lr"] for group in opt.param_groups]


# --- values ---


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_and_momenta_are_those_of_pytorch(name):
    opt = optimizer(minilm)
    ours = follow(opt, SCHEDULES[name](lr_scheduler, opt))
    expected = stored.load("schedules")[name]
    assert len(np.unique(expected[:, 0])) > 1, "a rate that never changes would prove nothing"
    np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_they_follow_pytorch_live(name, kind):
    torch = pytest.importorskip("torch")
    theirs, ours = optimizer(torch, kind), optimizer(minilm, kind)
    expected = follow(theirs, SCHEDULES[name](torch.optim.lr_scheduler, theirs))
    got = follow(ours, SCHEDULES[name](lr_scheduler, ours))
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-16)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_schedules_stepped_back_to_back_and_rates_changed_by_hand_act_as_in_pytorch():
    torch = pytest.importorskip("torch")
    rows = []
    for lib in (torch, minilm):
        opt, m = optimizer(lib), lib.optim.lr_scheduler
        parts = [
            m.ExponentialLR(opt, 0.9),
            m.MultiStepLR(opt, [5, 9]),
            m.CosineAnnealingLR(opt, 50, 0.001),
        ]
        rows.append([])
        for step in range(45):
            if step == 20:
                opt.param_groups[0]["lr"] *= 3
            opt.step()
            for part in parts:
                part.step()
            rows[-1].append(rates(opt))
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-10)


def test_a_changed_rate_stays_changed():
    opt = optimizer(minilm)
    scheduler = ExponentialLR(opt, 0.5)
    scheduler.step()
    opt.param_groups[0]["lr"] = 8.0
    scheduler.step()
    scheduler.step()
    assert rates(opt) == [2.0, 0.03 * 0.5**3]


def test_a_rate_changed_where_the_schedule_is_at_zero_falls_to_zero_again():
    opt = optimizer(minilm)
    scheduler = PolynomialLR(opt, total_iters=1)
    scheduler.step()
    opt.param_groups[0]["lr"] = 0.5
    scheduler.step()
    assert rates(opt) == [0.0, 0.0]


def test_a_schedule_that_follows_another_goes_on_from_its_rate():
    opt = optimizer(minilm)
    first = ExponentialLR(opt, 0.5)
    first.step()
    second = StepLR(opt, 1, 0.1)
    assert second.base_lrs == [0.1, 0.03]
    assert rates(opt) == [0.05, 0.015]
    second.step()
    assert rates(opt) == pytest.approx([0.005, 0.0015])


def test_the_closed_form_does_not_drift():
    opt = optimizer(minilm)
    scheduler = LinearLR(opt, 0.1, 1.0, total_iters=10_000)
    for _ in range(10_000):
        scheduler.step()
    assert rates(opt) == [0.1, 0.03]


def test_the_optimizer_uses_the_rate():
    weight = minilm.tensor([1.0], requires_grad=True)
    opt = optim.SGD([weight], lr=0.5)
    scheduler = StepLR(opt, 1, 0.5)
    for _ in range(2):
        opt.zero_grad()
        weight.sum().backward()
        opt.step()
        scheduler.step()
    assert weight.item() == 1 - 0.5 - 0.25


def test_warm_restarts_can_be_asked_for_any_point_in_time():
    opt = optimizer(minilm)
    scheduler = CosineAnnealingWarmRestarts(opt, 4, 2)
    for epoch, since, length in [
        (1.5, 1.5, 4),
        (4, 0, 4 * 2),
        (11.5, 7.5, 8),
        (12, 0, 16),
        (3, 3, 4),
    ]:
        scheduler.step(epoch)
        assert (scheduler.T_cur, scheduler.T_i, scheduler.last_epoch) == (since, length, int(epoch))
        high = (1 + math.cos(math.pi * since / length)) / 2
        assert rates(opt) == [0.1 * high, 0.03 * high]
    scheduler.step()
    assert scheduler.T_cur == 0 and rates(opt) == [0.1, 0.03]


def test_a_rise_of_one_step_divides_by_nothing():
    """PyTorch raises ZeroDivisionError here."""
    opt = optimizer(minilm)
    scheduler = OneCycleLR(opt, 0.5, total_steps=10, pct_start=0.1)
    assert rates(opt) == [0.5, 0.5]
    for _ in range(9):
        scheduler.step()
    assert rates(opt) == pytest.approx([0.5 / 25 / 1e4] * 2)


def test_the_cycle_ends():
    scheduler = OneCycleLR(optimizer(minilm), 0.5, total_steps=3)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="step 4 is beyond total_steps=3"):
        scheduler.step()


def test_plateau_takes_a_tensor_and_nan_is_no_better_result():
    opt = optimizer(minilm)
    scheduler = ReduceLROnPlateau(opt, factor=0.5, patience=0)
    for result in (minilm.tensor(2.0), minilm.tensor(1.0)):
        scheduler.step(result)
    assert rates(opt) == [0.1, 0.03] and scheduler.best == 1.0
    scheduler.step(math.nan)
    assert rates(opt) == [0.05, 0.015] and scheduler.best == 1.0


def test_word_language_model_divides_its_rate_by_four():
    opt = optim.SGD([minilm.ones(1, requires_grad=True)], lr=20)
    scheduler = ReduceLROnPlateau(opt, factor=0.25, patience=0, threshold=0)
    seen = []
    for loss in (5.0, 4.0, 4.0, 3.9, 3.95):
        scheduler.step(loss)
        seen.append(opt.param_groups[0]["lr"])
    assert seen == [20, 20, 5, 5, 1.25]


def test_a_chain_in_a_sequence_starts_anew_at_its_milestone():
    opt = optimizer(minilm)
    constant = ConstantLR(opt, 0.1, total_iters=9)
    chain = ChainedScheduler([ConstantLR(opt, 0.5, total_iters=2), ExponentialLR(opt, 0.9)])
    scheduler = SequentialLR(opt, [constant, chain], milestones=[3])
    seen = [opt.param_groups[0]["lr"]]
    for _ in range(5):
        scheduler.step()
        seen.append(opt.param_groups[0]["lr"])
    expected = [0.01, 0.01, 0.01, 0.05, 0.05 * 0.9, 0.1 * 0.9**2]
    assert seen == pytest.approx(expected)


def test_a_schedule_of_ones_own():
    class Halved(LRScheduler):
        def get_lr(self):
            if self.last_epoch == 0:
                return [group["lr"] for group in self.optimizer.param_groups]
            return [group["lr"] / 2 for group in self.optimizer.param_groups]

    opt = optimizer(minilm)
    scheduler = Halved(opt)
    scheduler.step()
    assert rates(opt) == scheduler.get_last_lr() == [0.05, 0.015]
    with pytest.raises(NotImplementedError, match="LRScheduler must define get_lr"):
        LRScheduler(opt)


# --- state ---


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_resumed_run_has_the_same_rates_to_the_bit(name):
    """At every step, whether the optimizer's state is loaded before, afterwards or not at all."""
    opt = optimizer(minilm, "AdamW")
    scheduler = SCHEDULES[name](lr_scheduler, opt)
    states, expected = [], []
    for step in range(STEPS):
        states.append((json.dumps(scheduler.state_dict()), copy.deepcopy(opt.state_dict())))
        expected.append(settings(opt))
        advance(scheduler, step)
    for start, (text, opt_state) in enumerate(states):
        for order in ("so", "os", "s"):
            resumed = optimizer(minilm, "AdamW")
            going_on = SCHEDULES[name](lr_scheduler, resumed)
            for which in order:
                if which == "s":
                    going_on.load_state_dict(json.loads(text))
                else:
                    resumed.load_state_dict(opt_state)
            for step in range(start, min(start + 12, STEPS)):
                assert settings(resumed) == expected[step], (start, order, step)
                advance(going_on, step)


def test_a_state_can_be_saved_with_the_model(tmp_path):
    opt = optimizer(minilm)
    scheduler = SCHEDULES["SequentialLR"](lr_scheduler, opt)
    for _ in range(15):
        scheduler.step()
    minilm.save({"schedule": scheduler.state_dict()}, tmp_path / "state.safetensors")
    other = optimizer(minilm)
    loaded = SCHEDULES["SequentialLR"](lr_scheduler, other)
    loaded.load_state_dict(minilm.load(tmp_path / "state.safetensors")["schedule"])
    for _ in range(30):
        scheduler.step()
        loaded.step()
        assert rates(other) == rates(opt)


def test_a_saved_state_stays_as_it_is():
    opt = optimizer(minilm)
    scheduler = SCHEDULES["ChainedScheduler"](lr_scheduler, opt)
    state = scheduler.state_dict()
    before = json.dumps(state)
    opt.param_groups[0]["lr"] = 1.0
    scheduler.step()
    assert json.dumps(state) == before


def test_settings_come_with_the_state():
    opt = optimizer(minilm)
    saved = StepLR(opt, 3, 0.7).state_dict()
    scheduler = StepLR(optimizer(minilm), 5)
    scheduler.load_state_dict(saved)
    assert (scheduler.step_size, scheduler.gamma) == (3, 0.7)


def test_objects_that_can_be_called_keep_their_attributes():
    class Factor:
        def __init__(self, value):
            self.value = value

        def __call__(self, epoch):
            return self.value**epoch

    saved = LambdaLR(optimizer(minilm), [Factor(0.5), lambda _: 1.0]).state_dict()
    assert saved["lr_lambdas"] == [{"value": 0.5}, None]
    opt = optimizer(minilm)
    scheduler = LambdaLR(opt, [Factor(0.9), lambda _: 1.0])
    scheduler.load_state_dict(saved)
    scheduler.step()
    assert rates(opt) == [0.05, 0.03]


def test_a_schedule_can_start_late():
    opt = optimizer(minilm)
    scheduler = ExponentialLR(opt, 0.5)
    for _ in range(4):
        scheduler.step()
    late = ExponentialLR(opt, 0.5, last_epoch=3)
    assert late.last_epoch == 4
    assert rates(opt) == [0.1 * 0.5**4, 0.03 * 0.5**4]


# --- what is refused ---

BAD = {
    "step_size": lambda o: StepLR(o, 0),
    "step_size must be a whole number": lambda o: StepLR(o, 1.5),
    "gamma must not be negative": lambda o: ExponentialLR(o, -0.1),
    "gamma must not be negative.*nan": lambda o: MultiStepLR(o, [1], math.nan),
    "factor must be between 0 and 1, got 2": lambda o: ConstantLR(o, 2),
    "start_factor must be above 0": lambda o: LinearLR(o, 0),
    "end_factor must be between 0 and 1": lambda o: LinearLR(o, 0.5, 1.5),
    "total_iters must be a whole number from 1 up, got 0": lambda o: LinearLR(o, total_iters=0),
    "power must be positive": lambda o: PolynomialLR(o, 5, 0),
    "T_max": lambda o: CosineAnnealingLR(o, 0),
    "T_0": lambda o: CosineAnnealingWarmRestarts(o, 0.5),
    "T_mult": lambda o: CosineAnnealingWarmRestarts(o, 5, 0),
    "epoch from 0 up, got -1": lambda o: CosineAnnealingWarmRestarts(o, 5).step(-1),
    "needs the length of its cycle": lambda o: OneCycleLR(o, 0.1, epochs=3),
    "total_steps must be": lambda o: OneCycleLR(o, 0.1, -1),
    "pct_start must be between": lambda o: OneCycleLR(o, 0.1, 10, pct_start=30),
    "anneal_strategy must be one of cos, linear": lambda o: OneCycleLR(
        o, 0.1, 9, anneal_strategy=""
    ),
    "max_lr has 3 values, expected one for each of the optimizer's 2": lambda o: OneCycleLR(
        o, [0.1, 0.2, 0.3], 10
    ),
    "mode must be one of min, max; got 'lower'": lambda o: ReduceLROnPlateau(o, "lower"),
    "threshold_mode must be one of": lambda o: ReduceLROnPlateau(o, threshold_mode=""),
    r"factor must be in \[0, 1\)": lambda o: ReduceLROnPlateau(o, factor=1.0),
    "min_lr has 1 values": lambda o: ReduceLROnPlateau(o, min_lr=[0.1]),
    "lr_lambda has 1 values": lambda o: LambdaLR(o, [lambda _: 1]),
    "at least one schedule": lambda o: ChainedScheduler([]),
    r"schedulers\[1\] is a ReduceLROnPlateau": lambda o: ChainedScheduler(
        [StepLR(o, 1), ReduceLROnPlateau(o)]
    ),
    r"schedulers\[0\] \(StepLR\) sets the rates of another": lambda o: SequentialLR(
        o, [StepLR(optimizer(minilm), 1)], []
    ),
    "one milestone less than schedules.*got 1 schedules and 1": lambda o: SequentialLR(
        o, [StepLR(o, 1)], [1]
    ),
    "milestones must be in order": lambda o: SequentialLR(o, [StepLR(o, 1)] * 3, [5, 2]),
    "no 'initial_lr'": lambda o: StepLR(o, 1, last_epoch=3),
}


@pytest.mark.parametrize("message", BAD)
def test_wrong_arguments_are_refused(message):
    with pytest.raises(ValueError, match=message):
        BAD[message](optimizer(minilm))


def test_an_optimizer_without_momentum_cannot_cycle_it():
    opt = optim.Adagrad([minilm.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match="Adagrad has neither momentum nor betas"):
        OneCycleLR(opt, 0.1, 10)
    OneCycleLR(opt, 0.1, 10, cycle_momentum=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StepLR(None, 1), "StepLR: expected an Optimizer, got NoneType"),
        (lambda: ReduceLROnPlateau([]), "expected an Optimizer, got list"),
        (lambda: OneCycleLR([], 0.1, 10), "expected an Optimizer, got list"),
        (lambda: LambdaLR(optimizer(minilm), 0.5), "must be a function of the epoch"),
        (lambda: ChainedScheduler([1]), r"schedulers\[0\] is a int"),
    ],
)
def test_wrong_types_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_a_group_that_came_later_is_noticed():
    opt = optimizer(minilm)
    scheduler = StepLR(opt, 1)
    opt.add_param_group({"params": minilm.ones(1, requires_grad=True)})
    with pytest.raises(ValueError, match="expected an optimizer of 2 parameter groups, got 3"):
        scheduler.step()


def test_a_state_of_another_schedule_is_refused_and_changes_nothing():
    opt = optimizer(minilm)
    scheduler = SequentialLR(opt, [ConstantLR(opt), StepLR(opt, 2)], [3])
    before = json.dumps(scheduler.state_dict())
    good = SequentialLR(opt, [ConstantLR(opt), ExponentialLR(opt, 0.5)], [3])
    for state, message in [
        (StepLR(opt, 2).state_dict(), "not one of SequentialLR: it lacks _milestones, _schedulers"),
        (good.state_dict(), "not one of StepLR: it lacks step_size"),
        (
            {**good.state_dict(), "_schedulers": []},
            "of 0 schedules, but SequentialLR was made of 2",
        ),
        ({**scheduler.state_dict(), "_last_lr": [0.1]}, "expected an optimizer of 1 parameter"),
    ]:
        with pytest.raises(ValueError, match=message):
            scheduler.load_state_dict(state)
        assert json.dumps(scheduler.state_dict()) == before
