"""Layers looked at from outside, against the same layers run step by step on the tape."""

import numpy as np
import pytest

import minilm
from minilm import nn
from minilm.training.replay import LSTM, is_recurrent, norm, replay

TIME, BATCH, INPUTS, HIDDEN = 6, 3, 4, 5
LAYERS = {
    "rnn": nn.RNN,
    "relu": lambda *sizes, **more: nn.RNN(*sizes, nonlinearity="relu", **more),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


def stepped(module, x, dy):
    """Return norms of the state's gradient (time, layer), from a call of the module a step."""
    state, states, outputs = None, [], []
    x = minilm.tensor(x).requires_grad_()
    for t in range(len(x)):
        y, state = module(x[t : t + 1], state)
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            part.retain_grad()
        states.append(parts)
        outputs.append(y)
    (minilm.cat(outputs) * minilm.tensor(dy)).sum().backward()
    return states


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_of_the_state_are_the_tape_s(kind, bias):
    """Only the last step has a loss, so what reaches a state has come back through the states."""
    minilm.manual_seed(1)
    module = LAYERS[kind](INPUTS, HIDDEN, bias=bias)
    x = minilm.randn(TIME, BATCH, INPUTS).numpy()
    dy = np.zeros((TIME, BATCH, HIDDEN), np.float32)
    dy[-1] = minilm.randn(BATCH, HIDDEN).numpy()
    (found,) = replay(module, x, dy)
    states = stepped(module, x, dy)
    expected = [norm(*(part.grad.numpy() for part in parts)) for parts in states[:-1]]
    np.testing.assert_allclose(found.grad_norms, [*expected, norm(dy[-1])], rtol=1e-5)
    hidden = [parts[0].detach().numpy()[0] for parts in states]
    np.testing.assert_allclose(found.hidden, hidden, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_above_one_another(kind):
    """The first layer's gradient is that of its own, with what the second one sends down."""
    minilm.manual_seed(2)
    both = LAYERS[kind](INPUTS, HIDDEN, num_layers=2)
    first, second = LAYERS[kind](INPUTS, HIDDEN), LAYERS[kind](HIDDEN, HIDDEN)
    own = both.state_dict()
    first.load_state_dict({name: own[name] for name in own if name.endswith("l0")})
    second.load_state_dict(
        {name.replace("l1", "l0"): own[name] for name in own if name.endswith("l1")}
    )
    x = minilm.randn(TIME, BATCH, INPUTS)
    dy = minilm.randn(TIME, BATCH, HIDDEN).numpy()
    middle = first(x)[0].detach().requires_grad_()
    (second(middle)[0] * minilm.tensor(dy)).sum().backward()
    below, above = replay(both, x.numpy(), dy)
    (alone,) = replay(first, x.numpy(), middle.grad.numpy())
    (top,) = replay(second, middle.detach().numpy(), dy)
    np.testing.assert_allclose(below.grad_norms, alone.grad_norms, rtol=1e-5)
    np.testing.assert_allclose(above.grad_norms, top.grad_norms, rtol=1e-5)
    np.testing.assert_allclose(above.hidden, both(x)[0].detach().numpy(), rtol=1e-5, atol=1e-7)


def test_gates_put_together_give_the_state():
    minilm.manual_seed(3)
    module = nn.GRU(INPUTS, HIDDEN)
    x = minilm.randn(TIME, BATCH, INPUTS).numpy()
    (found,) = replay(module, x, np.zeros((TIME, BATCH, HIDDEN), np.float32))
    assert set(found.gates) == {"r", "z"}
    z = found.gates["z"]
    w, b = module.weight_ih_l0.detach().numpy(), module.bias_ih_l0.detach().numpy()
    u, c = module.weight_hh_l0.detach().numpy(), module.bias_hh_l0.detach().numpy()
    before = np.concatenate([np.zeros((1, BATCH, HIDDEN)), found.hidden[:-1]])
    n_rows = slice(2 * HIDDEN, None)
    reset = found.gates["r"] * (before @ u[n_rows].T + c[n_rows])
    n = np.tanh(x @ w[n_rows].T + b[n_rows] + reset)
    np.testing.assert_allclose(found.hidden, (1 - z) * n + z * before, rtol=1e-4, atol=1e-6)


def test_gates_of_an_lstm_are_named_in_the_order_in_which_they_are_found():
    module = nn.LSTM(INPUTS, HIDDEN)
    for name, parameter in module.named_parameters():
        parameter.data[:] = 0.0
        if name == "bias_ih_l0":
            parameter.data[:] = np.repeat([1.0, 2.0, 0.5, 3.0], HIDDEN)  # i, f, g, o
    zeros = np.zeros((TIME, BATCH, INPUTS), np.float32)
    (found,) = replay(module, zeros, np.zeros((TIME, BATCH, HIDDEN), np.float32))
    for name, value in (("i", 1.0), ("f", 2.0), ("o", 3.0)):
        np.testing.assert_allclose(found.gates[name], 1 / (1 + np.exp(-value)), rtol=1e-5)
    assert LSTM.sigmoids == ("i", "f", "o")


def test_what_can_be_replayed():
    assert is_recurrent(nn.LSTM(2, 3))
    assert not is_recurrent(nn.LSTM(2, 3, bidirectional=True))
    assert not is_recurrent(nn.Linear(2, 3))
