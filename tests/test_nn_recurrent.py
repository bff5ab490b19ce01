"""Recurrent layers in Python: shapes, states, and what mistakes are told.

Numbers and gradients are checked in test_reference.py.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import minilm
from minilm import nn

LAYERS = [nn.RNN, nn.LSTM, nn.GRU, nn.MinGRU, nn.MinLSTM]
B, T, E, H = 2, 5, 3, 4


def states_of(result) -> list[minilm.Tensor]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_shapes(kind, bidirectional, batch_first) -> None:
    layer = kind(E, H, 2, bidirectional=bidirectional, batch_first=batch_first)
    lead = (B, T) if batch_first else (T, B)
    directions = 2 if bidirectional else 1
    y, last = layer(minilm.randn(*lead, E))
    assert y.shape == (*lead, H * directions)
    assert all(state.shape == (2 * directions, B, H) for state in states_of(last))
    y, last = layer(minilm.randn(T, E))
    assert y.shape == (T, H * directions)
    assert all(state.shape == (2 * directions, H) for state in states_of(last))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_one_sequence_is_a_batch_of_one(kind, batch_first) -> None:
    layer = kind(E, H, 2, batch_first=batch_first)
    x = minilm.randn(T, E, requires_grad=True)
    axis = 0 if batch_first else 1
    alone, last = layer(x)
    batched, batched_last = layer(x.unsqueeze(axis))
    assert alone.equal(batched.squeeze(axis))
    for a, b in zip(states_of(last), states_of(batched_last), strict=True):
        assert a.equal(b.squeeze(1))
    again, _ = layer(x, last)
    assert again.shape == alone.shape and not again.equal(alone)
    again.sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("kind", LAYERS)
def test_a_sequence_in_two_pieces(kind) -> None:
    layer, x = kind(E, H, 2), minilm.randn(T, B, E)
    whole, last = layer(x)
    first, state = layer(x[:2])
    second, state = layer(x[2:], state)
    assert minilm.cat([first, second]).allclose(whole.detach(), atol=1e-6)
    for a, b in zip(states_of(state), states_of(last), strict=True):
        assert a.allclose(b.detach(), atol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_reach_initial_states(kind) -> None:
    layer = kind(E, H)
    states = [minilm.randn(1, B, H, requires_grad=True) for _ in range(2 if kind is nn.LSTM else 1)]
    hx = tuple(states) if kind is nn.LSTM else states[0]
    y, last = layer(minilm.randn(T, B, E), hx)
    (y.sum() + sum(state.sum() for state in states_of(last))).backward()
    assert all(state.grad.any() for state in states)


@pytest.mark.parametrize("kind", LAYERS)
def test_texts_behind_one_another_are_read_each_for_itself(kind) -> None:
    layer, x = kind(E, H, 2), minilm.randn(T, 1, E)
    y, _ = layer(x[:, 0], starts=[False, False, True, False, False])
    for part in (slice(0, 2), slice(2, 5)):
        alone, _ = layer(x[part, 0])
        np.testing.assert_allclose(y[part].detach().numpy(), alone.detach().numpy(), rtol=1e-6)


def test_names_of_parameters() -> None:
    names = [name for name, _ in nn.LSTM(E, H, 2, bidirectional=True).named_parameters()]
    assert names[:5] == [
        "weight_ih_l0",
        "weight_hh_l0",
        "bias_ih_l0",
        "bias_hh_l0",
        "weight_ih_l0_reverse",
    ]
    assert names[-1] == "bias_hh_l1_reverse" and len(names) == 16
    assert [name for name, _ in nn.GRU(E, H, bias=False).named_parameters()] == names[:2]
    assert nn.GRU(E, H).weight_hh_l0.shape == (3 * H, H)


def test_positional_arguments_are_pytorchs() -> None:
    assert nn.RNN(E, H, 2, "relu", False, True, 0.1, True).extra_repr() == (
        "3, 4, num_layers=2, bias=False, batch_first=True, dropout=0.1, bidirectional=True"
    )
    assert (
        nn.LSTM(E, H, 2, False, True, 0.1, True).extra_repr()
        == nn.GRU(E, H, 2, False, True, 0.1, True).extra_repr()
    )


def test_relu() -> None:
    y, _ = nn.RNN(E, H, nonlinearity="relu")(minilm.randn(T, B, E))
    assert y.min() == 0 and y.max() > 0


def test_dropout_of_one_layer_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.GRU(E, H, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.GRU(E, H, 2, dropout=0.5).flatten_parameters()


def zeros(*shape: int) -> minilm.Tensor:
    return minilm.zeros(*shape)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        # the input
        (lambda: nn.RNN(E, H)(zeros(T, B, E).long()), TypeError, "int64.*nn.Embedding"),
        (lambda: nn.RNN(E, H)(zeros(T, B, E).double()), TypeError, "float64"),
        (
            lambda: nn.RNN(E, H)(zeros(T, B, E + 1)),
            ValueError,
            r"\(time, batch, input_size=3\), got shape \(5, 2, 4\)",
        ),
        (
            lambda: nn.RNN(E, H, batch_first=True)(zeros(B, E, T)),
            ValueError,
            r"\(batch, time, input_size=3\).*transpose\(1, 2\)",
        ),
        (lambda: nn.RNN(E, H)(zeros(E)), ValueError, "1 axes"),
        (lambda: nn.RNN(E, H)(zeros(1, T, B, E)), ValueError, "4 axes"),
        # the state
        (
            lambda: nn.GRU(E, H, batch_first=True)(zeros(T, B, E), zeros(1, B, H)),
            ValueError,
            r"h0 \(layers=1, batch=5, hidden_size=4\), got shape \(1, 2, 4\).*batch_first=False",
        ),
        (
            lambda: nn.GRU(E, H)(zeros(B, T, E), zeros(1, B, H)),
            ValueError,
            r"first axis is batch.*batch_first=True",
        ),
        (
            lambda: nn.GRU(E, H, 3, batch_first=True)(zeros(B, T, E), zeros(B, 3, H)),
            ValueError,
            r"whatever batch_first says: transpose\(0, 1\)",
        ),
        (
            lambda: nn.LSTM(E, H)(zeros(T, B, E), (zeros(1, B, H), zeros(1, B, H + 1))),
            ValueError,
            "expected c0",
        ),
        (lambda: nn.LSTM(E, H)(zeros(T, B, E), zeros(1, B, H)), TypeError, r"\(h0, c0\)"),
        (lambda: nn.GRU(E, H)(zeros(T, B, E), (zeros(1), zeros(1))), TypeError, "only an LSTM"),
        (lambda: nn.GRU(E, H)(zeros(T, B, E), zeros(1, B, H).double()), TypeError, "h0.*float64"),
        # starts
        (
            lambda: nn.GRU(E, H, batch_first=True)(zeros(B, T, E), starts=zeros(T, B) > 0),
            ValueError,
            r"starts \(batch, time\).*\(2, 5\), got shape \(5, 2\)",
        ),
        (lambda: nn.RNN(E, H)(zeros(T, B, E), starts=zeros(T, B)), TypeError, "starts is float32"),
        (
            lambda: nn.RNN(E, H, bidirectional=True)(zeros(T, B, E), starts=zeros(T, B) > 0),
            ValueError,
            "both directions",
        ),
        # the layer
        (lambda: nn.RNN(E, H, nonlinearity="gelu"), ValueError, "'tanh' or 'relu'"),
        (lambda: nn.RNN(E, -H), ValueError, "hidden_size must be positive"),
        (lambda: nn.LSTM(E, H, 0), ValueError, "num_layers must be positive"),
        (lambda: nn.LSTM(E, "4"), TypeError, "LSTM: hidden_size must be an integer"),
        (lambda: nn.GRU(E, H, 2, dropout=2), ValueError, "between 0 and 1"),
    ],
)
def test_refusals(act, error, words) -> None:
    with pytest.raises(error, match=words):
        act()
