"""Clipping of gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minilm
from minilm import nn
from minilm.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm


def parameters(*grads: list[float] | None) -> list[nn.Parameter]:
    made = []
    for grad in grads:
        parameter = nn.Parameter(minilm.zeros(len(grad or [0.0])))
        parameter.grad = None if grad is None else minilm.tensor(grad)
        made.append(parameter)
    return made


def test_large_gradients_are_scaled_together() -> None:
    a, b, without = parameters([3.0], [0.0, 4.0], None)
    norm = clip_grad_norm_([a, b, without], 1.0)
    assert norm.item() == 5.0 and norm.shape == ()
    assert np.allclose(a.grad.tolist() + b.grad.tolist(), [0.6, 0.0, 0.8], atol=1e-6)
    assert without.grad is None


def test_small_gradients_stay() -> None:
    a, b = parameters([3.0], [4.0])
    grad = a.grad
    assert clip_grad_norm_(iter([a, b]), 5.1).item() == 5.0
    assert a.grad is grad and a.grad.tolist() == [3.0]


def test_clips_parameters_that_can_be_walked_once() -> None:
    """`model.parameters()` is a generator: after its norm was taken there is nothing left of it."""
    model = nn.Linear(3, 2)
    for name in ("clip_grad_norm_", "clip_grads_with_norm_", "clip_grad_value_"):
        model.zero_grad()
        (model(minilm.ones(4, 3)) * 100).sum().backward()
        more = [get_total_norm([p.grad for p in model.parameters()])] if "with" in name else []
        getattr(nn.utils, name)(model.parameters(), 0.25, *more)
        assert get_total_norm([p.grad for p in model.parameters()]).item() < 1, name


@pytest.mark.parametrize(("norm_type", "norm"), [(1, 7.0), (2.0, 5.0), (math.inf, 4.0)])
def test_norms(norm_type, norm) -> None:
    [a] = parameters([-3.0, 4.0])
    assert abs(get_total_norm([a.grad], norm_type) - norm) < 1e-6
    assert abs(clip_grad_norm_(a, 1.0, norm_type) - norm) < 1e-6
    assert abs(get_total_norm(a.grad, norm_type) - 1) < 1e-5


def test_a_norm_that_is_not_finite() -> None:
    [a] = parameters([math.nan, 1.0])
    with pytest.raises(RuntimeError, match="nan"):
        clip_grad_norm_(a, 1.0, error_if_nonfinite=True)
    assert a.grad[1] == 1
    assert math.isnan(clip_grad_norm_(a, 1.0)) and a.grad.isnan().all()
    [b] = parameters([math.inf, 1.0])
    assert clip_grad_norm_(b, 1.0).item() == math.inf
    assert b.grad[0].isnan() and b.grad[1] == 0  # as in PyTorch: inf * 0, 1 * 0


def test_values_are_cut() -> None:
    a, without = parameters([-3.0, 0.5, 4.0], None)
    clip_grad_value_([a, without], 1)
    assert a.grad.tolist() == [-1.0, 0.5, 1.0]


def test_nothing_to_clip() -> None:
    assert clip_grad_norm_(parameters(None), 1.0).item() == 0
    assert clip_grad_norm_([], 1.0).item() == 0


def test_clipping_counts_as_writing() -> None:
    [a] = parameters([3.0])
    version = a.grad._version
    clip_grad_norm_([a], 1.0)
    assert a.grad._version == version + 1
