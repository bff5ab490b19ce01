"""WeightDrop, and recurrent layers whose weights are computed from something."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from reference import stored, weights
from reference.check import assert_close
from reference.slow.layers import inverted
from reference.slow.philox import dropout_mask

import minilm
from minilm import nn, optim

E, H, B, T = 3, 4, 2, 5
SEED, P = 7, 0.4
LAYERS = [nn.RNN, nn.LSTM, nn.GRU]


def dropped(kind=nn.LSTM, names=("weight_hh_l0",), **options) -> nn.WeightDrop:
    minilm.manual_seed(0)
    return nn.WeightDrop(kind(E, H, **options), names, P)


def numbers() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((T, B, E), np.float32)


def factor(call: int, shape: tuple[int, ...]) -> minilm.Tensor:
    return minilm.tensor(inverted(dropout_mask(SEED, call, 0, shape, P), P).astype(np.float32))


# --- weights that are computed --------------------------------------------------------------------


@pytest.mark.kernels
def test_a_computed_weight_gives_pytorchs_outputs_and_gradients() -> None:
    for name, value in weights.computed(minilm).items():
        assert_close(value, stored.load("weights")[name], 2e-6, name)


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_flow_through_computed_weights(kind) -> None:
    layer, scale = kind(E, H), minilm.tensor(2.0, requires_grad=True)
    raw = layer.weight_ih_l0
    del layer.weight_ih_l0
    layer.weight_ih_l0 = raw.detach() * scale
    y, _ = layer(numbers())
    y.sum().backward()
    sides = []
    for value in (2.01, 1.99):
        layer.weight_ih_l0 = raw.detach() * value
        sides.append(layer(numbers())[0].sum().item())
    assert abs(scale.grad.item() - (sides[0] - sides[1]) / 0.02) < 1e-2


# --- WeightDrop -----------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("kind", LAYERS)
def test_it_computes_with_masked_weights(kind) -> None:
    names = ["weight_hh_l0", "weight_hh_l1"]
    layer, plain = dropped(kind, names, num_layers=2), kind(E, H, 2)
    plain.load_state_dict(layer.module.state_dict())
    masks = [factor(call, layer.module.weight_hh_l0.shape) for call in range(2)]
    with minilm.no_grad():
        for name, mask in zip(names, masks, strict=True):
            getattr(plain, name).mul_(mask)
    minilm.manual_seed(SEED)
    (ours, last), (theirs, plain_last) = layer(numbers()), plain(numbers())
    assert ours.equal(theirs)
    assert type(last) is type(plain_last)
    (ours * ours).sum().backward()
    (theirs * theirs).sum().backward()
    for name, parameter in layer.module.named_parameters():
        grad = getattr(plain, name).grad
        if name in names:
            grad = grad * masks[names.index(name)]
        assert parameter.grad.equal(grad), name


def test_gradients_by_finite_differences() -> None:
    layer = dropped()

    def loss() -> minilm.Tensor:
        minilm.manual_seed(SEED)
        y, _ = layer(numbers())
        return (y * y).sum()

    loss().backward()
    raw, step = layer.module.weight_hh_l0.detach().numpy(), 1e-2
    numeric = np.empty_like(raw)
    for place in np.ndindex(*raw.shape):
        value, sides = raw[place], []
        for side in (step, -step):
            raw[place] = value + side
            sides.append(loss().item())
        raw[place] = value
        numeric[place] = (sides[0] - sides[1]) / (2 * step)
    grad = layer.module.weight_hh_l0.grad.numpy()
    np.testing.assert_allclose(grad, numeric, atol=2e-3)
    assert (grad == 0).any() and grad.any()  # what was dropped has no gradient


def test_a_mask_for_each_call() -> None:
    layer = dropped()
    minilm.manual_seed(SEED)
    first, second = layer(numbers())[0], layer(numbers())[0]
    assert not first.equal(second)
    minilm.manual_seed(SEED)
    layer(numbers())
    state = minilm.get_rng_state()
    assert layer(numbers())[0].equal(second)
    minilm.set_rng_state(state)
    assert layer(numbers())[0].equal(second)


def test_evaluation_is_the_module_itself() -> None:
    layer = dropped().eval()
    state = minilm.get_rng_state()
    assert layer(numbers())[0].equal(layer.module(numbers())[0])
    layer.train().p = 0.0
    assert layer(numbers())[0].equal(layer.module(numbers())[0])
    assert minilm.get_rng_state().equal(state)


def test_parameters_stay_registered_and_are_trained() -> None:
    layer = dropped()
    raw = layer.module.weight_hh_l0
    before = raw.detach().numpy().copy()
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    layer(numbers())[0].sum().backward()
    optimizer.step()
    assert layer.module.weight_hh_l0 is raw and isinstance(raw, nn.Parameter)
    assert not np.array_equal(raw.detach().numpy(), before)
    assert list(layer.state_dict()) == [f"module.{name}" for name in nn.LSTM(E, H).state_dict()]
    assert copy.deepcopy(layer).eval()(numbers())[0].equal(layer.eval()(numbers())[0])


def test_parameters_stay_registered_when_the_module_fails() -> None:
    layer = dropped()
    with pytest.raises(ValueError, match="input_size=3"):
        layer(np.zeros((T, B, E + 1), np.float32))
    assert isinstance(layer.module.weight_hh_l0, nn.Parameter)


def test_states_and_keywords_are_passed_on() -> None:
    layer = dropped(nn.GRU)
    _, state = layer(numbers())
    minilm.manual_seed(SEED)
    first, _ = layer(numbers(), hx=state)
    minilm.manual_seed(SEED)
    assert not layer(numbers())[0].equal(first)


def test_a_linear_layer() -> None:
    layer = nn.WeightDrop(nn.Linear(E, H), "weight", P)
    minilm.manual_seed(SEED)
    y = layer(minilm.ones(1, E))
    kept = layer.module.weight * factor(0, (H, E))
    assert y.allclose(kept.sum(1) + layer.module.bias, atol=1e-6)


def test_writing_into_a_weight_before_backward_is_refused() -> None:
    layer = dropped()
    y = layer(numbers())[0].sum()
    with minilm.no_grad():
        layer.module.weight_ih_l0.fill_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_the_same_bits_on_any_number_of_threads() -> None:
    before, grads = minilm.get_num_threads(), []
    x = np.random.default_rng(0).standard_normal((9, 8, 90), np.float32)
    try:
        for threads in (1, 2, 3):
            minilm.set_num_threads(threads)
            minilm.manual_seed(0)
            layer = nn.WeightDrop(nn.LSTM(90, 130), "weight_hh_l0", 0.5)
            layer(x)[0].sum().backward()
            grads.append(layer.module.weight_hh_l0.grad.numpy())
    finally:
        minilm.set_num_threads(before)
    np.testing.assert_array_equal(grads[0], grads[1])
    np.testing.assert_array_equal(grads[0], grads[2])


def test_what_may_go_wrong() -> None:
    message = "LSTM has no parameter 'weight_hh_l1'; it has weight_ih_l0, weight_hh_l0"
    with pytest.raises(ValueError, match=message):
        nn.WeightDrop(nn.LSTM(E, H), ["weight_hh_l0", "weight_hh_l1"])
    with pytest.raises(ValueError, match="Tanh has no parameter 'weight'; it has none"):
        nn.WeightDrop(nn.Tanh(), "weight")
    with pytest.raises(ValueError, match="WeightDrop: dropout probability"):
        nn.WeightDrop(nn.LSTM(E, H), "weight_hh_l0", 1.5)


def test_repr() -> None:
    assert "weights=['weight_hh_l0'], p=0.4" in repr(dropped())
