import pytest
from doctor_helpers import examined, make_model

from minilm.doctor import Evidence
from minilm.doctor.learning_rate import too_high, too_low


def line(step, loss, *, max_loss=None, ratio=1e-3, lr=0.1):
    return {
        "step": step,
        "loss": loss,
        "max_loss": max_loss or loss,
        "update_ratios": {"weight": ratio},
        "lr": lr,
    }


def lines(losses, **more):
    return Evidence(samples=[line(k, loss, **more) for k, loss in enumerate(losses, 1)])


FALLING = [4.0, 3.0, 2.5, 2.2, 2.1, 2.0, 1.95, 1.93]
SLOWLY = [4.0, 3.9, 3.8, 3.7, 3.6, 3.5, 3.4, 3.3]


@pytest.mark.parametrize(
    ("cell", "settings"),
    [
        ("lstm", {"lr": 0.5}),
        ("gru", {"lr": 0.3}),
        ("lstm", {"lr": 100.0, "optimizer": "sgd", "max_grad_norm": 0.0}),
    ],
)
def test_a_run_whose_steps_are_too_long(cell, settings):
    found = examined(make_model(cell), **settings)
    numbers = found["learning rate too high"].numbers
    assert numbers["at its highest"] > 0.2
    assert numbers["highest learning rate"] == pytest.approx(settings["lr"], rel=0.01)
    assert "learning rate too low" not in found


@pytest.mark.parametrize("settings", [{"lr": 1e-6}, {"lr": 1e-3, "optimizer": "sgd"}])
def test_a_run_whose_steps_are_too_short(settings):
    found = examined(make_model(), **settings)
    assert found["learning rate too low"].numbers["update-to-weight ratio"] < 1e-4
    assert "learning rate too high" not in found


def test_long_steps_that_do_no_harm_are_none_too_long():
    assert too_high(lines(FALLING, ratio=0.05)) is None


def test_a_restless_loss_with_short_steps_has_other_causes():
    assert too_high(lines(FALLING, max_loss=9.0)) is None
    assert too_high(lines(FALLING, max_loss=9.0, ratio=0.05)) is not None


def test_a_loss_that_ends_above_its_best():
    losses = [4.0, 3.0, 2.0, 1.5, 2.0, 2.5, 3.0, 3.0]
    assert too_high(lines(losses, ratio=0.05)).numbers["at the end"] == 3.0
    assert too_high(lines(losses)) is None


def test_a_loss_that_diverged_is_enough():
    assert too_high(lines([4.0, 7.0, 5.0, 4.0], ratio=1e-9)) is not None
    assert too_low(lines([4.0, 7.0, 5.0, 4.0], ratio=1e-9)) is None


def test_short_steps_are_no_harm_once_all_is_learnt():
    assert too_low(lines(FALLING, ratio=1e-6)) is None
    assert too_low(lines(SLOWLY, ratio=1e-6)) is not None
    assert too_low(lines(SLOWLY, ratio=1e-3)) is None


def test_steps_that_were_not_taken_do_not_count():
    """A schedule may begin and end at a rate of 0."""
    evidence = lines(SLOWLY)
    for sample in evidence.samples[:5]:
        sample |= {"lr": 0.0, "update_ratios": {"weight": 0.0}}
    assert too_low(evidence) is None


def test_a_few_lines_tell_nothing():
    assert too_high(lines([4.0, 9.0, 9.0], ratio=9.0)) is None
    assert too_low(lines([4.0, 4.0], ratio=1e-9)) is None
    assert too_high(Evidence()) is None
    assert too_low(Evidence()) is None
