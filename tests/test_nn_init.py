"""Initial values: bounds, spreads, and the defaults of layers."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minilm
from minilm import nn

WEIGHT = (200, 300)  # fan out, fan in


@pytest.fixture(autouse=True)
def seed() -> None:
    minilm.manual_seed(0)


@pytest.mark.parametrize(
    ("fill", "bound"),
    [
        (lambda w: nn.init.uniform_(w, -0.5, 0.5), 0.5),
        (nn.init.xavier_uniform_, math.sqrt(6 / 500)),
        (lambda w: nn.init.xavier_uniform_(w, gain=2), 2 * math.sqrt(6 / 500)),
        (nn.init.kaiming_uniform_, math.sqrt(6 / 300)),
        (lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)), math.sqrt(1 / 300)),
        (
            lambda w: nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
            math.sqrt(6 / 200),
        ),
    ],
)
def test_uniform(fill, bound) -> None:
    weight = nn.Parameter(minilm.empty(*WEIGHT))
    assert fill(weight) is weight and weight.requires_grad and weight.is_leaf
    values = weight.detach().numpy()
    assert np.abs(values).max() <= bound and np.abs(values).max() > 0.99 * bound
    assert abs(values.mean()) < 0.02 * bound


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda w: nn.init.normal_(w, 0.0, 0.02), 0.02),
        (nn.init.xavier_normal_, math.sqrt(2 / 500)),
        (nn.init.kaiming_normal_, math.sqrt(2 / 300)),
        (lambda w: nn.init.kaiming_normal_(w, nonlinearity="tanh"), 5 / 3 / math.sqrt(300)),
    ],
)
def test_normal(fill, std) -> None:
    weight = minilm.empty(*WEIGHT)
    fill(weight)
    assert abs(weight.std() / std - 1) < 0.02 and abs(weight.mean()) < 0.02 * std


def test_constants() -> None:
    weight = minilm.empty(2, 3)
    assert nn.init.zeros_(weight).tolist() == [[0.0] * 3] * 2
    assert nn.init.ones_(weight).tolist() == [[1.0] * 3] * 2
    assert nn.init.constant_(weight, 0.3).allclose(np.full((2, 3), 0.3))


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_orthogonal(shape) -> None:
    weight = nn.init.orthogonal_(minilm.empty(*shape), gain=2).numpy()
    product = weight @ weight.T if shape[0] <= shape[1] else weight.T @ weight
    assert np.allclose(product, 4 * np.eye(min(shape)), atol=1e-5)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: nn.init.xavier_uniform_(minilm.empty(3)), "at least 2 axes"),
        (lambda: nn.init.orthogonal_(minilm.empty(3)), "at least 2 axes"),
        (lambda: nn.init.kaiming_normal_(minilm.empty(3, 3), mode="in"), "fan_in, fan_out"),
        (lambda: nn.init.calculate_gain("swish"), "leaky_relu"),
    ],
)
def test_refusals(act, words) -> None:
    with pytest.raises(ValueError, match=words):
        act()


@pytest.mark.parametrize(
    ("layer", "bound"),
    [
        (lambda: nn.Linear(100, 50), 0.1),
        (lambda: nn.RNN(10, 100), 0.1),
        (lambda: nn.LSTM(10, 100, 2), 0.1),
        (lambda: nn.GRU(10, 100, bidirectional=True), 0.1),
    ],
)
def test_defaults_are_uniform_within_the_root_of_the_fan(layer, bound) -> None:
    for parameter in layer().parameters():
        values = parameter.detach().numpy()
        assert 0.9 * bound < np.abs(values).max() <= bound
        assert abs(values.mean()) < 0.2 * bound


def test_defaults_of_embedding_and_layernorm() -> None:
    table = nn.Embedding(100, 100, padding_idx=3).weight
    assert not table[3].any() and abs(table.std() - 1) < 0.05
    norm = nn.LayerNorm((2, 3))
    assert norm.weight.tolist() == [[1.0] * 3] * 2 and not norm.bias.any()


def test_defaults_follow_the_seed() -> None:
    minilm.manual_seed(4)
    first = nn.Linear(3, 3).weight
    minilm.manual_seed(4)
    assert nn.Linear(3, 3).weight.equal(first)


def test_skipped_leaves_memory_and_random_stream_alone():
    minilm.manual_seed(0)
    tensor, before = minilm.zeros(3), minilm.get_rng_state().numpy().copy()
    with nn.init.skipped():
        assert nn.init.skipping()
        for fill in (nn.init.ones_, nn.init.normal_, nn.init.uniform_, nn.init.zeros_):
            assert fill(tensor) is tensor
        minilm.nn.Linear(3, 2)
    assert not nn.init.skipping()
    assert not tensor.numpy().any()
    np.testing.assert_array_equal(minilm.get_rng_state().numpy(), before)
    assert nn.init.ones_(tensor).numpy().all()


def test_skipping_ends_with_an_error():
    with pytest.raises(RuntimeError), nn.init.skipped():
        raise RuntimeError
    assert not nn.init.skipping()
