"""Rotary positions: what they are for, against Hugging Face's lines, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from reference.seeded import uniform

import minilm
import minilm.nn.functional as F

SIZE = 8
FREQUENCIES = (10000.0 ** (-np.arange(0, SIZE, 2) / SIZE)).astype(np.float32)


def heads(name: str, *shape: int) -> minilm.Tensor:
    return minilm.tensor(uniform(name, shape).astype(np.float32), requires_grad=True)


def test_angles_are_position_times_frequency() -> None:
    positions = np.array([[0, 1, 2], [5, 6, 100_000]])
    cos, sin = F.rotary_angles(positions, FREQUENCIES, scaling=2.0)
    angles = positions[..., None] * FREQUENCIES.astype(float)
    np.testing.assert_allclose(cos.numpy(), 2 * np.cos(angles), atol=1e-6)
    np.testing.assert_allclose(sin.numpy(), 2 * np.sin(angles), atol=1e-6)
    assert F.rotary_angles(positions[0], FREQUENCIES)[0].shape == (1, 3, 4)


def test_a_product_depends_on_the_distance_alone() -> None:
    q, k = heads("q", 1, 1, 1, SIZE).detach(), heads("k", 1, 1, 1, SIZE).detach()

    def product(of_query: int, of_key: int) -> float:
        turned = [
            F.apply_rotary(x, *F.rotary_angles(np.array([at]), FREQUENCIES))
            for x, at in ((q, of_query), (k, of_key))
        ]
        return float((turned[0] * turned[1]).sum())

    assert product(3, 1) == pytest.approx(product(102, 100), abs=1e-5)
    assert product(0, 0) == pytest.approx(float((q * k).sum()), abs=1e-6)
    assert abs(product(3, 1) - product(3, 2)) > 1e-3


@pytest.mark.parametrize("time_first", [False, True])
def test_turning_is_hugging_faces(time_first: bool) -> None:
    x = heads("x", 2, 5, 3, SIZE) if time_first else heads("x", 2, 3, 5, SIZE)
    turned = x.transpose(1, 2) if time_first else x
    cos, sin = F.rotary_angles(np.array([[0, 1, 2, 3, 4], [2, 3, 4, 5, 6]]), FREQUENCIES)
    output = F.apply_rotary(turned, cos, sin)
    wide_cos, wide_sin = (minilm.cat([a, a], -1).unsqueeze(1) for a in (cos, sin))
    half = minilm.cat([-turned[..., SIZE // 2 :], turned[..., : SIZE // 2]], -1)
    expected = turned * wide_cos + half * wide_sin
    assert output.allclose(expected, atol=1e-6)
    assert (output.transpose(1, 2) if time_first else output).is_contiguous()
    weights = minilm.tensor(uniform("dy", output.shape).astype(np.float32))
    (output * weights).sum().backward()
    ours, x.grad = x.grad.numpy(), None
    (expected * weights).sum().backward()
    np.testing.assert_allclose(ours, x.grad.numpy(), atol=1e-6)


def test_what_is_beyond_the_pairs_stays() -> None:
    x = heads("x", 1, 2, 3, 11)
    output = F.apply_rotary(x, *F.rotary_angles(np.arange(3), FREQUENCIES))
    assert output[..., 8:].equal(x[..., 8:]) and not output[..., :8].equal(x[..., :8])
    assert output[:, :, 0].equal(x[:, :, 0])  # position 0


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: F.rotary_angles(np.ones(3), FREQUENCIES), TypeError, "positions is float64"),
        (lambda: F.rotary_angles(np.ones((1, 1, 1), int), FREQUENCIES), ValueError, r"\(time,\)"),
        (lambda: F.rotary_angles(np.arange(3), np.ones((2, 2))), ValueError, r"inv_freq \(pairs"),
        (
            lambda: F.apply_rotary(minilm.ones(2, 3, 4), *[minilm.ones(1, 3, 2)] * 2),
            ValueError,
            r"\(batch, heads, time, size\), got shape \(2, 3, 4\)",
        ),
        (
            lambda: F.apply_rotary(minilm.ones(2, 1, 3, 4), *[minilm.ones(1, 3, 3)] * 2),
            ValueError,
            r"cos: expected \(1 or batch=2, time=3, at most half of size=4\), got \(1, 3, 3\)",
        ),
        (
            lambda: F.apply_rotary(
                minilm.ones(2, 1, 3, 4), minilm.ones(1, 3, 2), minilm.ones(2, 3, 2)
            ),
            ValueError,
            "sin: expected",
        ),
        (
            lambda: F.apply_rotary(minilm.ones(2, 1, 3, 4), *[minilm.ones(1, 2, 2)] * 2),
            ValueError,
            "time=3",
        ),
    ],
)
def test_what_is_refused(act, error, words) -> None:
    with pytest.raises(error, match=words):
        act()
