"""Optimizers: their steps, groups and state, and what they refuse.

Steps on small parameters are compared with PyTorch's in test_parity.py.
"""

import numpy as np
import pytest
from reference.slow import optimizers as slow
from reference.trajectories import OPTIMIZERS

import minilm
from minilm import optim

KINDS = [optim.SGD, optim.Adagrad, optim.RMSprop, optim.Adam, optim.AdamW]
SHAPES = [(3, 5), (), (0, 4), (127,), (2, 20001)]


def numbers(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_params(shapes=SHAPES):
    return [minilm.tensor(numbers(s, i), requires_grad=True) for i, s in enumerate(shapes)]


def set_grads(params, step):
    for i, param in enumerate(params):
        param.grad = minilm.tensor(numbers(param.shape, 100 * (step + 1) + i))


def train(optimizer, params, steps):
    for step in steps:
        set_grads(params, step)
        optimizer.step()


def values(params):
    return [param.detach().numpy().copy() for param in params]


def assert_same(params, others):
    for ours, theirs in zip(values(params), values(others), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# --- steps ---


@pytest.mark.kernels
@pytest.mark.parametrize("run", OPTIMIZERS, ids=str)
def test_steps_of_any_shape_follow_the_slow_twins(run):
    params = make_params()
    optimizer = getattr(optim, run.optimizer)(params, **run.options)
    twins = [getattr(slow, run.optimizer)(**run.options) for _ in params]
    expected = [value.astype(np.float64) for value in values(params)]
    for step in range(4):
        train(optimizer, params, [step])
        for i, (twin, param) in enumerate(zip(twins, params, strict=True)):
            grad = param.grad.numpy().astype(np.float64)
            expected[i] = twin.step(expected[i], grad)
            np.testing.assert_allclose(param.detach().numpy(), expected[i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_without_gradient_wait(kind):
    """They neither move nor count a step: each goes on where its own gradients left it."""
    params = make_params([(4,), (4,)])
    twin_of = [getattr(slow, kind.__name__)(lr=0.1) for _ in params]
    expected = [value.astype(np.float64) for value in values(params)]
    optimizer = kind(params, lr=0.1)
    for step in range(6):
        set_grads(params, step)
        if step % 2:
            params[0].grad = None
        for i, param in enumerate(params):
            if param.grad is not None:
                expected[i] = twin_of[i].step(expected[i], param.grad.numpy().astype(np.float64))
        optimizer.step()
    for param, value in zip(params, expected, strict=True):
        np.testing.assert_allclose(param.detach().numpy(), value, rtol=1e-5)


def test_a_momentum_buffer_begins_with_the_first_gradient():
    params = make_params([(4,), (4,)])
    optimizer = optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.5)
    set_grads(params, 0)
    late = params[1].grad
    params[1].grad = None
    optimizer.step()
    params[1].grad = late
    optimizer.step()
    np.testing.assert_array_equal(optimizer.state[params[1]]["momentum_buffer"], late)


def test_no_gradient_at_all():
    params = make_params()
    before = values(params)
    optim.Adam(params).step()
    for value, old in zip(values(params), before, strict=True):
        np.testing.assert_array_equal(value, old)


def test_a_gradient_that_is_not_in_order_in_memory():
    params, others = make_params([(3, 5)]), make_params([(3, 5)])
    set_grads(others, 0)
    params[0].grad = minilm.Tensor(np.asfortranarray(others[0].grad.numpy()))
    optim.Adam(params).step()
    optim.Adam(others).step()
    assert_same(params, others)


def test_a_user_layer_with_a_transposed_weight_trains():
    weight = make_params([(3, 5)])[0]
    inputs = minilm.tensor(numbers((7, 5), 0))
    optimizer = optim.SGD([weight], lr=0.01)
    losses = []
    for _ in range(5):
        loss = ((inputs @ weight.transpose(0, 1) - 1) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_step_announces_that_it_writes():
    params = make_params([(3,), (4,)])
    params[0].grad = minilm.ones(3)
    versions = [param._version for param in params]
    optim.SGD(params).step()
    assert [p._version - v for p, v in zip(params, versions, strict=True)] == [1, 0]


def test_closure_computes_the_loss_with_gradients():
    weight = make_params([(3,)])[0]
    optimizer = optim.SGD([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (weight**2).sum()
        loss.backward()
        return loss

    before = weight.detach().numpy().copy()
    with minilm.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == pytest.approx((before**2).sum())
    np.testing.assert_allclose(weight.detach().numpy(), 0.8 * before, rtol=1e-6)
    assert optim.SGD([weight]).step() is None


def test_zero_grad():
    params = make_params([(3,), (4,)])
    optimizer = optim.SGD(params)
    set_grads(params[:1], 0)
    optimizer.zero_grad(set_to_none=False)
    assert params[0].grad.tolist() == [0, 0, 0]
    assert params[1].grad is None
    optimizer.zero_grad()
    assert params[0].grad is None


# --- groups ---


def test_groups_have_their_own_options():
    params, others = make_params([(3,), (4,)]), make_params([(3,), (4,)])
    grouped = optim.SGD([{"params": params[:1], "lr": 0.5}, {"params": params[1]}], lr=0.1)
    singles = [optim.SGD(others[:1], lr=0.5), optim.SGD(others[1:], lr=0.1)]
    train(grouped, params, [0])
    set_grads(others, 0)
    for single in singles:
        single.step()
    assert_same(params, others)


def test_adam_without_eps_divides_by_zero_wherever_there_was_no_gradient():
    """As in PyTorch, 0 / 0 in every place: the kernel passes over long runs of zeros otherwise."""
    weight = minilm.ones(200, requires_grad=True)
    weight.grad = minilm.zeros(200)
    optim.Adam([weight], lr=0.1, eps=0).step()
    assert np.isnan(weight.detach().numpy()).all()


def test_an_option_can_be_changed_between_steps():
    params, others = make_params([(3,)]), make_params([(3,)])
    optimizer = optim.SGD(params, lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.3
    train(optimizer, params, [0])
    train(optim.SGD(others, lr=0.3), others, [0])
    assert_same(params, others)


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_added_later(kind):
    params, others = make_params([(3,), (4,)]), make_params([(3,), (4,)])
    optimizer = kind(params[:1], lr=0.1)
    optimizer.add_param_group({"params": params[1:], "lr": 0.2})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]
    train(optimizer, params, range(3))
    train(
        kind([{"params": others[:1]}, {"params": others[1:], "lr": 0.2}], lr=0.1), others, range(3)
    )
    assert_same(params, others)


def test_named_parameters():
    params = make_params([(3,), (4,)])
    optimizer = optim.Adam(zip(["weight", "bias"], params, strict=True))
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"] == params
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="names"):
        optimizer.add_param_group({"params": make_params([(2,)])})


def test_repr_lists_the_options_of_each_group():
    text = repr(optim.SGD(make_params([(3,)]), lr=0.1))
    assert text.splitlines()[:2] == ["SGD (", "Parameter Group 0"]
    assert "    lr: 0.1\n" in text


# --- state ---

# Of torch 2.13, in order.
STATE_NAMES = [
    (optim.SGD, {}, []),
    (optim.SGD, {"momentum": 0.9}, ["momentum_buffer"]),
    (optim.Adagrad, {}, ["step", "sum"]),
    (optim.RMSprop, {}, ["step", "square_avg"]),
    (
        optim.RMSprop,
        {"momentum": 0.9, "centered": True},
        ["step", "square_avg", "momentum_buffer", "grad_avg"],
    ),
    (optim.Adam, {}, ["step", "exp_avg", "exp_avg_sq"]),
    (optim.AdamW, {}, ["step", "exp_avg", "exp_avg_sq"]),
]


@pytest.mark.parametrize(("kind", "options", "names"), STATE_NAMES)
def test_state_has_the_names_of_pytorch(kind, options, names):
    params = make_params([(3,), (4,), (5,)])
    optimizer = kind([{"params": params[:2]}, {"params": params[2:]}], **options)
    train(optimizer, params, range(3))
    saved = optimizer.state_dict()
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert set(saved["state"]) == ({0, 1, 2} if names else set())
    for number, state in saved["state"].items():
        assert list(state) == names
        for name, value in state.items():
            if name == "step":
                assert (value.shape, value.item()) == ((), 3.0)
            else:
                assert value.shape == params[number].shape
            assert value.dtype == minilm.float32


@pytest.mark.parametrize(("kind", "options", "names"), STATE_NAMES)
def test_training_goes_on_from_a_saved_state(kind, options, names):
    params, others = make_params(), make_params()
    optimizer = kind(params, lr=0.05, **options)
    train(optimizer, params, range(3))
    for param, other in zip(params, others, strict=True):
        other.detach().copy_(param.detach())
    resumed = kind(others, lr=1.0)
    resumed.load_state_dict(optimizer.state_dict())
    train(optimizer, params, range(3, 6))
    train(resumed, others, range(3, 6))
    assert_same(params, others)


def test_a_loaded_state_is_a_copy():
    params, others = make_params([(3,)]), make_params([(3,)])
    optimizer, copy = optim.Adam(params), optim.Adam(others)
    train(optimizer, params, [0])
    copy.load_state_dict(optimizer.state_dict())
    before = optimizer.state[params[0]]["exp_avg"].numpy().copy()
    train(copy, others, [1])
    copy.param_groups[0]["lr"] = 7.0
    np.testing.assert_array_equal(optimizer.state[params[0]]["exp_avg"], before)
    assert optimizer.param_groups[0]["lr"] == 1e-3


def test_a_state_of_numpy_arrays_loads():
    params = make_params([(3,)])
    optimizer = optim.Adam(params)
    train(optimizer, params, [0])
    saved = optimizer.state_dict()
    arrays = {0: {name: value.numpy() for name, value in saved["state"][0].items()}}
    optimizer.load_state_dict({**saved, "state": arrays})
    train(optimizer, params, [1])
    assert optimizer.state[params[0]]["step"].item() == 2


def test_adamw_stays_decoupled_whatever_it_loads():
    params = make_params([(3,)])
    optimizer = optim.AdamW(params)
    optimizer.load_state_dict(optim.Adam(make_params([(3,)])).state_dict())
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def saved_state(shapes, **changes):
    params = make_params(shapes)
    optimizer = optim.Adam(params, lr=0.5)
    train(optimizer, params, [0])
    saved = optimizer.state_dict()
    saved["param_groups"][0].update(changes)
    return saved


@pytest.mark.parametrize(
    ("saved", "says"),
    [
        (saved_state([(3,)]), r"expected groups of \[2\] parameters, got \[1\]"),
        (saved_state([(3,), (5,)]), r"state\[1\]\['exp_avg'\].*\(4,\).*\(5,\)"),
        (saved_state([(3,), (4,)], lr=-1.0), "learning rate: -1.0"),
        (saved_state([(3,), (4,)], amsgrad=True), "amsgrad"),
        (saved_state([(3,), (4,)]) | {"state": {7: {}}}, "state for 7"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(saved, says):
    params = make_params([(3,), (4,)])
    optimizer = optim.Adam(params, lr=0.1)
    train(optimizer, params, range(2))
    with pytest.raises(ValueError, match=says):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.state[params[0]]["step"].item() == 2


# --- what constructors refuse ---


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (optim.SGD, {"lr": -0.1}, "Invalid learning rate: -0.1"),
        (optim.SGD, {"lr": float("nan")}, "Invalid learning rate: nan"),
        (optim.SGD, {"momentum": -1}, "Invalid momentum value: -1"),
        (optim.SGD, {"weight_decay": -1}, "Invalid weight_decay value: -1"),
        (optim.SGD, {"nesterov": True}, "Nesterov momentum requires"),
        (optim.SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "Nesterov"),
        (optim.SGD, {"differentiable": True}, "differentiable"),
        (optim.Adam, {"lr": -0.1}, "Invalid learning rate"),
        (optim.Adam, {"betas": (1.0, 0.9)}, "beta parameter at index 0: 1.0"),
        (optim.Adam, {"betas": (0.9, -0.1)}, "beta parameter at index 1: -0.1"),
        (optim.Adam, {"eps": -1}, "Invalid epsilon value: -1"),
        (optim.Adam, {"amsgrad": True}, "amsgrad=True is not supported"),
        (optim.AdamW, {"amsgrad": True}, "amsgrad=True is not supported"),
        (optim.AdamW, {"weight_decay": -1}, "Invalid weight_decay value"),
        (optim.AdamW, {"capturable": True}, "capturable=True is not supported"),
        (optim.Adagrad, {"lr_decay": -1}, "Invalid lr_decay value: -1"),
        (optim.Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value"),
        (optim.RMSprop, {"alpha": -1}, "Invalid alpha value: -1"),
        (optim.RMSprop, {"momentum": -1}, "Invalid momentum value: -1"),
    ],
)
def test_options_out_of_range(kind, options, says):
    with pytest.raises(ValueError, match=says):
        kind(make_params([(3,)]), **options)


def test_options_of_a_group_out_of_range():
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        optim.Adam([{"params": make_params([(3,)]), "lr": -1}])


@pytest.mark.parametrize("kind", KINDS)
def test_choices_among_implementations_change_nothing(kind):
    kind(make_params([(3,)]), foreach=True)


@pytest.mark.parametrize("kind", KINDS)
def test_no_parameters(kind):
    with pytest.raises(ValueError, match="empty parameter list"):
        kind([])
    with pytest.raises(ValueError, match="empty parameter list"):
        kind(iter(()))


def test_what_is_no_list_of_parameters():
    param = make_params([(3,)])[0]
    with pytest.raises(TypeError, match=r"model.parameters\(\)"):
        optim.SGD(param)
    with pytest.raises(TypeError, match=r"params\[1\] is ndarray"):
        optim.SGD([param, np.zeros(3)])
    with pytest.raises(TypeError, match="ordered"):
        optim.SGD([{"params": {param}}])
    with pytest.raises(TypeError, match="must be a dict, but got list"):
        optim.SGD([param]).add_param_group([make_params([(3,)])])


def test_a_parameter_given_twice():
    param, other = make_params([(3,), (4,)])
    with pytest.raises(ValueError, match=r"params\[2\].*\(3,\).*twice"):
        optim.SGD([param, other, param])
    with pytest.raises(ValueError, match=r"params\[0\].*twice"):
        optim.SGD([{"params": [param]}, {"params": [param]}])


def test_a_result_is_no_parameter():
    with pytest.raises(ValueError, match=r"non-leaf.*params\[0\]"):
        optim.SGD([make_params([(3,)])[0] * 2])


# --- what steps refuse ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_of_another_shape(kind):
    params = make_params([(3,), (2, 3)])
    set_grads(params, 0)
    params[1].grad = minilm.ones(3, 2)
    before = values(params)
    with pytest.raises(ValueError, match=r"grads\[1\]: expected shape \(2, 3\), got \(3, 2\)"):
        kind(params).step()
    for value, old in zip(values(params), before, strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize(
    ("array", "error", "says"),
    [
        (np.zeros(3), TypeError, r"params\[0\].*float32.*float64"),
        (np.zeros((3, 2), np.float32).T, ValueError, r"params\[0\].*C-contiguous"),
        (np.zeros(6, np.float32)[::2], ValueError, r"params\[0\].*C-contiguous"),
        (np.broadcast_to(np.float32(0), (3,)), ValueError, r"params\[0\]"),
    ],
)
def test_parameters_that_cannot_be_overwritten(array, error, says):
    param = minilm.Tensor(array, requires_grad=True)
    param.grad = minilm.Tensor(np.ones(array.shape, array.dtype))
    with pytest.raises(error, match=says):
        optim.SGD([param]).step()


def test_a_failed_step_does_not_count():
    params = make_params([(3,)])
    optimizer = optim.Adam(params)
    train(optimizer, params, [0])
    params[0].grad = minilm.ones(4)
    with pytest.raises(ValueError, match="grads"):
        optimizer.step()
    assert optimizer.state[params[0]]["step"].item() == 1


def test_a_model_in_place_of_its_parameters_is_refused() -> None:
    with pytest.raises(TypeError, match=r"got a Linear.*model.parameters\(\)"):
        minilm.optim.SGD(minilm.nn.Linear(2, 2))
