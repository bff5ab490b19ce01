"""Layers as functions, what they refuse, and a layer of one's own made from operations.

Numbers and gradients of whole layers are checked against slow twins and stored results of PyTorch
in test_reference.py.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import minilm
import minilm.nn.functional as F
from minilm import nn, optim


@pytest.fixture(autouse=True)
def seed() -> None:
    minilm.manual_seed(0)


# --- values ---------------------------------------------------------------------------------------


def test_linear() -> None:
    x = minilm.randn(2, 3, 4)
    layer = nn.Linear(4, 5)
    assert layer(x).allclose((x @ layer.weight.T + layer.bias).detach(), atol=1e-6)
    assert F.linear(x, layer.weight).allclose((x @ layer.weight.T).detach(), atol=1e-6)
    assert layer(x.numpy()).equal(layer(x)) and layer(minilm.zeros(0, 4)).shape == (0, 5)


def test_embedding() -> None:
    layer = nn.Embedding(5, 3, padding_idx=1)
    ids = minilm.tensor([[0, 1], [4, 4]])
    vectors = layer(ids)
    assert vectors.shape == (2, 2, 3) and vectors[1, 0].equal(layer.weight[4])
    vectors.sum().backward()
    assert layer.weight.grad.tolist() == [[1.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3, [2.0] * 3]
    assert layer(ids.int()).equal(vectors) and layer(np.array([0])).shape == (1, 3)


def test_layer_norm() -> None:
    x = minilm.randn(2, 3, 4)
    for shape in ((4,), (3, 4)):
        axes = tuple(range(3 - len(shape), 3))
        expected = (x - x.mean(axes, True)) / (x.var(axes, False, True) + 1e-5).sqrt()
        assert F.layer_norm(x, shape).allclose(expected, atol=1e-5)
        layer = nn.LayerNorm(shape)
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
        scaled = expected * layer.weight.detach() + layer.bias.detach()
        assert layer(x).allclose(scaled, atol=1e-5)
        layer(x).sum().backward()
        assert layer.weight.grad.shape == layer.bias.grad.shape == shape
    assert nn.LayerNorm(4, bias=False).bias is None
    assert nn.LayerNorm(4, elementwise_affine=False)(x).shape == x.shape


def test_rms_norm() -> None:
    x = minilm.randn(2, 3, 4)
    for shape in ((4,), (3, 4)):
        axes = tuple(range(3 - len(shape), 3))
        expected = x / ((x * x).mean(axes, True) + 0.1).sqrt()
        assert F.rms_norm(x, shape, eps=0.1).allclose(expected, atol=1e-6)
        layer = nn.RMSNorm(shape, eps=0.1)
        nn.init.normal_(layer.weight)
        assert layer(x).allclose(expected * layer.weight.detach(), atol=1e-6)
        layer(x).sum().backward()
        assert layer.weight.grad.shape == shape
    tiny = minilm.full((1, 2), 1e-4)  # whose square is about the eps that is the default
    expected = 1e-4 / math.sqrt(1e-8 + 2.0**-23)
    assert nn.RMSNorm(2)(tiny).allclose(minilm.full((1, 2), expected), atol=1e-6)
    assert nn.RMSNorm(4, elementwise_affine=False).weight is None


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (nn.Tanh(), np.tanh),
        (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (nn.ReLU(), lambda x: np.maximum(x, 0)),
        (nn.SiLU(), lambda x: x / (1 + np.exp(-x))),
        (nn.GELU(), lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2),
        (
            nn.GELU("tanh"),
            lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
        ),
        (nn.Softmax(-1), lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
        (nn.LogSoftmax(-1), lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True))),
    ],
    ids=repr,
)
def test_activations(module, function) -> None:
    x = minilm.randn(3, 17)
    np.testing.assert_allclose(module(x).numpy(), function(x.numpy()), atol=2e-6)


def test_one_hot() -> None:
    assert F.one_hot(minilm.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert F.one_hot(minilm.tensor([[1]]), 3).tolist() == [[[0, 1, 0]]]
    with pytest.raises(IndexError, match="0 to 1"):
        F.one_hot(minilm.tensor([2]), 2)


# --- dropout --------------------------------------------------------------------------------------


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    x = minilm.ones(100, 100, requires_grad=True)
    y = F.dropout(x, 0.3)
    values = np.unique(y.detach().numpy())
    assert np.allclose(values, [0, 1 / 0.7]) and abs(y.mean() - 1) < 0.02
    y.sum().backward()
    assert x.grad.equal(y)  # the same mask


def test_dropout_acts_in_training_only() -> None:
    layer, x = nn.Dropout(0.5), minilm.ones(100)
    assert not layer(x).equal(x)
    assert layer.eval()(x) is x
    assert nn.Dropout(0)(x) is x and not nn.Dropout(1)(x).any()


def test_masks_follow_the_seed_and_differ_from_call_to_call() -> None:
    x = minilm.ones(100)
    minilm.manual_seed(1)
    first, second = F.dropout(x), F.dropout(x)
    minilm.manual_seed(1)
    assert F.dropout(x).equal(first) and not second.equal(first)
    state = minilm.get_rng_state()
    third = F.dropout(x)
    minilm.set_rng_state(state)
    assert F.dropout(x).equal(third)


def test_dropout_between_recurrent_layers_uses_keys_only_in_training() -> None:
    layer, x = nn.LSTM(3, 4, 2, dropout=0.5), minilm.randn(5, 2, 3)
    assert not layer(x)[0].equal(layer(x)[0])
    layer.eval()
    state = minilm.get_rng_state()
    assert layer(x)[0].equal(layer(x)[0])
    assert minilm.get_rng_state().equal(state)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (
            lambda: nn.Linear(2, 3)(minilm.ones(4, 3)),
            ValueError,
            r"\(..., in_features=2\), got shape \(4, 3\)",
        ),
        (lambda: nn.Linear(2, 3)(minilm.tensor(1.0)), ValueError, r"got shape \(\)"),
        (
            lambda: nn.Linear(2, 3)(minilm.ones(4, 2).double()),
            TypeError,
            r"float64.*\.float\(\)",
        ),
        (lambda: nn.Linear(2, 3)(minilm.ones(4, 2).long()), TypeError, "int64.*Embedding"),
        (lambda: nn.Linear(2, 3)((minilm.ones(2), None)), TypeError, "output, _ = rnn"),
        (lambda: nn.Embedding(3, 2)(minilm.ones(2)), TypeError, r"float32.*\.long\(\)"),
        (
            lambda: nn.Embedding(3, 2)(minilm.tensor([[0, 1], [2, 3]])),
            IndexError,
            r"3 at position \(1, 1\).*0..2",
        ),
        (lambda: nn.Embedding(3, 2)(minilm.tensor([-1])), IndexError, "-1"),
        (lambda: F.linear(minilm.ones(1, 2), minilm.ones(2)), ValueError, r"weight \(out_feat"),
        (
            lambda: F.linear(minilm.ones(1, 2), minilm.ones(3, 2), minilm.ones(2)),
            ValueError,
            r"bias \(out_features=3,\), got shape \(2,\)",
        ),
        (lambda: F.embedding(minilm.tensor([0]), minilm.ones(2)), ValueError, "num_embeddings"),
        (lambda: nn.LayerNorm(3)(minilm.ones(2, 4)), ValueError, r"\(3,\).*\(2, 4\)"),
        (lambda: F.layer_norm(minilm.ones(2), (2,), bias=minilm.ones(2)), ValueError, "weight"),
        (lambda: nn.RMSNorm(3)(minilm.ones(2, 4)), ValueError, r"rms_norm.*\(3,\).*\(2, 4\)"),
        (lambda: F.rms_norm(minilm.ones(2), (1, 2)), ValueError, r"\(1, 2\), got shape \(2,\)"),
        (lambda: nn.GELU("fast")(minilm.ones(1)), ValueError, "'none' or 'tanh'"),
        (lambda: nn.Dropout(1.5), ValueError, "between 0 and 1, but got 1.5"),
        (lambda: nn.Dropout(-0.1), ValueError, "between 0 and 1"),
        (lambda: nn.Linear(0, 3), ValueError, "in_features must be positive, got 0"),
        (lambda: nn.Linear(2, 2.5), TypeError, "out_features must be an integer"),
        (lambda: nn.Embedding(-3, 2), ValueError, "num_embeddings must be positive"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "3 ids"),
        (lambda: nn.LayerNorm((2, 0)), ValueError, "positive"),
        (lambda: nn.ReLU()(minilm.ones(2).double()), TypeError, "float64"),
    ],
)
def test_what_layers_refuse(act, error, words) -> None:
    with pytest.raises(error, match=words):
        act()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda layer: setattr(layer.weight, "data", layer.weight.data.double()),
        lambda layer: setattr(layer.weight, "data", minilm.ones(2, 3).T),
    ],
    ids=["float64", "not contiguous"],
)
def test_parameters_that_were_spoilt_are_named(spoil) -> None:
    layer = nn.Linear(2, 3)
    spoil(layer)
    with pytest.raises((TypeError, ValueError), match="weight"):
        layer(minilm.ones(1, 2))


# --- the tape -------------------------------------------------------------------------------------


def test_a_layer_is_one_node() -> None:
    output = nn.Linear(2, 3)(minilm.ones(1, 2))
    assert repr(output.grad_fn) == "<linear>" and len(output.grad_fn.edges) == 3


def test_gradients_of_parameters_are_adopted_not_copied() -> None:
    layer, x = nn.Linear(2, 3), minilm.ones(4, 2)
    layer(x).sum().backward()
    first = layer.weight.grad
    layer(x).sum().backward()
    assert layer.weight.grad is first and layer.bias.grad.tolist() == [8.0] * 3


def test_frozen_parameters_and_inputs_get_no_gradient() -> None:
    layer = nn.Linear(2, 3)
    layer.weight.requires_grad_(False)
    layer(minilm.ones(1, 2)).sum().backward()
    assert layer.weight.grad is None and layer.bias.grad is not None
    layer.requires_grad_(False)
    assert not layer(minilm.ones(1, 2)).requires_grad


def test_a_weight_used_twice_sums_its_gradients() -> None:
    table = nn.Embedding(4, 3)
    loss = F.linear(table(minilm.tensor([1])), table.weight).sum()  # a tied head
    loss.backward()
    weight = table.weight.detach()
    expected = weight[1].expand(4, 3).clone()
    expected[1] = expected[1] + weight.sum(0)
    assert table.weight.grad.allclose(expected, atol=1e-6)


def test_a_step_before_backward_is_noticed() -> None:
    layer = nn.Linear(2, 3)
    loss = layer(minilm.ones(1, 2, requires_grad=True)).sum()
    nn.init.zeros_(layer.weight)
    with pytest.raises(RuntimeError, match="inplace operation: linear"):
        loss.backward()


def test_a_table_may_change_before_backward() -> None:
    """As in PyTorch: the gradient of an embedding does not depend on the vectors."""
    layer = nn.Embedding(3, 2)
    loss = layer(minilm.tensor([0])).sum()
    nn.init.zeros_(layer.weight)
    loss.backward()
    assert layer.weight.grad[0].tolist() == [1.0, 1.0]


def test_a_state_carried_over_without_detach_is_explained() -> None:
    layer, x = nn.GRU(2, 3), minilm.randn(4, 1, 2)
    output, state = layer(x)
    output.sum().backward()
    output, _ = layer(x, state)
    with pytest.raises(RuntimeError, match="hidden state"):
        output.sum().backward()


def test_numbers_from_a_broadcast_gradient() -> None:
    """``sum`` hands on a read-only array that is not contiguous."""
    layer = nn.Linear(2, 3)
    layer(minilm.ones(4, 2)).sum(0).T.sum().backward()
    assert layer.bias.grad.tolist() == [4.0] * 3


# --- a layer of one's own -------------------------------------------------------------------------


class Attention(nn.Module):
    """Scaled dot-product attention over what came before, as a reader would write it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(size, size, bias=False)
        self.scale = nn.Parameter(minilm.tensor(1.0))

    def forward(self, states: minilm.Tensor) -> minilm.Tensor:
        time = states.size(1)
        scores = self.query(states) @ self.key(states).transpose(1, 2)
        scores = scores * self.scale / math.sqrt(states.size(-1))
        future = minilm.ones(time, time).triu(1) > 0
        weights = F.softmax(scores.masked_fill(future, float("-inf")), dim=-1)
        return minilm.cat([states, weights.bmm(states)], dim=-1)


class Recall(nn.Module):
    """An RNN that may look back."""

    def __init__(self, vocab: int, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, size)
        self.rnn = nn.GRU(size, size, batch_first=True)
        self.attention = Attention(size)
        self.head = nn.Linear(2 * size, vocab)

    def forward(self, ids: minilm.Tensor) -> minilm.Tensor:
        states, _ = self.rnn(self.embedding(ids))
        return self.head(self.attention(states))


def test_a_users_attention_layer_trains() -> None:
    model = Recall(vocab=8, size=16)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    ids = minilm.randint(0, 8, (16, 7))
    inputs, targets = ids, minilm.cat([ids[:, :1]] * 7, dim=1)  # name the first token again
    losses = []
    for _ in range(60):
        loss = F.cross_entropy(model(inputs).transpose(1, 2), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.9 and losses[-1] < 0.1
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_numpy_arrays_of_float64_are_converted() -> None:
    layer = nn.Linear(2, 3)
    x = np.array([[0.5, -1.0]])
    assert x.dtype == np.float64
    np.testing.assert_array_equal(
        layer(x).detach().numpy(), layer(minilm.tensor(x).float()).detach().numpy()
    )
