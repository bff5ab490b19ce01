"""Penalties on activations, against their formulas and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import minilm
import minilm.nn.functional as F

H = np.random.default_rng(0).standard_normal((3, 4, 5), np.float32)
PENALTIES = {
    "ar": lambda h: F.activation_regularization(h, 2.0),
    "tar": lambda h: F.temporal_activation_regularization(h, 0.5),
    "tar-batch-first": lambda h: F.temporal_activation_regularization(h, 0.5, batch_first=True),
}


def test_values_are_those_of_the_formulas() -> None:
    expected = {
        "ar": 2.0 * (H.astype(float) ** 2).mean(),
        "tar": 0.5 * (np.diff(H.astype(float), axis=0) ** 2).mean(),
        "tar-batch-first": 0.5 * (np.diff(H.astype(float), axis=1) ** 2).mean(),
    }
    for name, penalty in PENALTIES.items():
        value = penalty(H)
        assert value.shape == () and value.dtype == np.float32
        assert abs(value.item() - expected[name]) < 1e-6


@pytest.mark.parametrize("name", PENALTIES)
def test_gradients_by_finite_differences(name) -> None:
    h, step = minilm.tensor(H, requires_grad=True), 1e-2
    PENALTIES[name](h).backward()
    for place in np.ndindex(*H.shape):
        sides = []
        for side in (step, -step):
            moved = H.copy()
            moved[place] += side
            sides.append(PENALTIES[name](moved).item())
        assert abs(h.grad.numpy()[place] - (sides[0] - sides[1]) / (2 * step)) < 2e-4


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_step_has_nothing_to_compare(batch_first) -> None:
    h = minilm.tensor(H[:, :1] if batch_first else H[:1], requires_grad=True)
    value = F.temporal_activation_regularization(h, 1.0, batch_first)
    assert value.item() == 0
    (value + h.sum()).backward()
    assert np.array_equal(h.grad.numpy(), np.ones(h.shape, np.float32))


def test_other_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(time, batch, features\), got shape \(4, 5\)"):
        F.temporal_activation_regularization(H[0])
    with pytest.raises(TypeError, match="activation_regularization: output is int64"):
        F.activation_regularization(np.ones((2, 3, 4), np.int64))
