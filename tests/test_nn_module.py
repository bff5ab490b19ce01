"""Module: registration, names, state, modes, printing, all as in PyTorch."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import minilm
from minilm import nn


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.scale = nn.Parameter(minilm.ones(3))
        self.register_buffer("mask", minilm.ones(3))
        self.register_buffer("cache", minilm.zeros(3), persistent=False)
        self.absent = None

    def forward(self, x):
        return self.linear(x) * self.scale


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Block()
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.head(self.first(x))


NAMES = ["first.scale", "first.linear.weight", "first.linear.bias", "head.weight"]


# --- registration ---------------------------------------------------------------------------------


def test_names() -> None:
    model = Model()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert [name for name, _ in model.named_parameters("net", recurse=True)][0] == "net.first.scale"
    assert [name for name, _ in model.named_buffers()] == ["first.mask", "first.cache"]
    assert [name for name, _ in model.named_modules()] == ["", "first", "first.linear", "head"]
    assert [name for name, _ in model.named_children()] == ["first", "head"]
    assert list(model.children()) == [model.first, model.head]
    assert len(list(model.parameters(recurse=False))) == 0 and len(list(model.buffers())) == 2
    assert model.get_submodule("first.linear") is model.first.linear
    assert model.get_submodule("") is model
    assert len(list(model.modules())) == 4


def test_shared_parts_are_listed_once() -> None:
    model = Model()
    model.tied = model.head
    model.again = model.head.weight
    assert [name for name, _ in model.named_parameters()] == ["again", *NAMES[:3]]
    assert len(list(model.named_parameters(remove_duplicate=False))) == 6
    assert len(list(model.children())) == 2
    assert {"head.weight", "tied.weight", "again"} <= set(model.state_dict())


def test_assignment_moves_between_kinds() -> None:
    model = Model()
    model.head = None
    assert "head.weight" not in model.state_dict() and model.head is None
    model.head = nn.Linear(3, 1)
    model.first.mask = minilm.zeros(3)
    assert model.first.state_dict()["mask"].tolist() == [0.0] * 3
    model.first.cache = minilm.ones(3)
    assert "cache" not in model.first.state_dict()
    model.plain = 3
    model.plain = nn.Parameter(minilm.ones(1))
    assert "plain" in model.state_dict() and "plain" in dir(model)
    del model.plain
    assert not hasattr(model, "plain")
    del model.head
    with pytest.raises(AttributeError, match="head"):
        _ = model.head


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda m: setattr(m.head, "weight", minilm.ones(2, 3)), TypeError, "nn.Parameter"),
        (lambda m: setattr(m, "head", 3), TypeError, "nn.Module"),
        (lambda m: setattr(m.first, "mask", 3), TypeError, "Tensor"),
        (lambda m: m.register_parameter("a", minilm.ones(1)), TypeError, "nn.Parameter"),
        (lambda m: m.register_parameter("a.b", None), ValueError, "dot"),
        (lambda m: m.register_buffer("", None), ValueError, "empty"),
        (lambda m: m.register_module("forward", nn.Tanh()), KeyError, "exists"),
        (lambda m: m.get_submodule("first.nothing"), AttributeError, "nothing"),
        (lambda m: m.train("yes"), ValueError, "boolean"),
        (lambda m: m.to("cuda"), RuntimeError, "CPU"),
        (lambda m: m.to(minilm.float64), RuntimeError, "float32"),
        (lambda m: nn.Module()(1), NotImplementedError, "forward"),
        (lambda m: m.load_state_dict([]), TypeError, "dictionary"),
    ],
)
def test_refusals(act, error, words) -> None:
    with pytest.raises(error, match=words):
        act(Model())


def test_forgetting_super_init_is_explained() -> None:
    class Forgetful(nn.Module):
        def __init__(self, part) -> None:
            self.part = part

    for part in (nn.Linear(1, 1), nn.Parameter(minilm.ones(1))):
        with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
            Forgetful(part)
    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        list(Forgetful(3).parameters())


# --- state ----------------------------------------------------------------------------------------


def test_state_dict_shares_memory_and_leaves_out_what_is_not_persistent() -> None:
    model = Model()
    state = model.state_dict()
    assert set(state) == {*NAMES, "first.mask"}
    assert np.shares_memory(state["head.weight"].numpy(), model.head.weight.detach().numpy())
    assert not state["head.weight"].requires_grad
    assert model.state_dict(keep_vars=True)["head.weight"] is model.head.weight
    assert "net.head.weight" in model.state_dict(prefix="net.")


def test_load_state_dict_copies_tensors_and_arrays() -> None:
    source, target = Model(), Model()
    weight = target.head.weight
    state = {name: tensor.numpy() for name, tensor in source.state_dict().items()}
    assert target.load_state_dict(state) == ([], [])
    assert target.head.weight is weight and weight.equal(source.head.weight)
    assert not np.shares_memory(weight.detach().numpy(), state["head.weight"])


def test_load_state_dict_names_all_that_does_not_fit_and_loads_nothing() -> None:
    model = Model()
    before = model.first.linear.bias.tolist()
    state = model.state_dict()
    wrong = {
        "first.linear.bias": minilm.zeros(3),
        "first.linear.weight": minilm.ones(5, 5),
        "head.weight": minilm.ones(3, 2),
        "extra": minilm.ones(1),
        "more": minilm.ones(1),
    }
    with pytest.raises(RuntimeError) as error:
        model.load_state_dict(wrong)
    message = str(error.value)
    assert "Error(s) in loading state_dict for Model" in message
    assert 'Unexpected key(s) in state_dict: "extra", "more".' in message
    assert 'Missing key(s) in state_dict: "first.scale", "first.mask".' in message
    assert "size mismatch for first.linear.weight: copying a param with shape (5, 5)" in message
    assert "size mismatch for head.weight" in message and "is (2, 3)" in message
    assert model.first.linear.bias.tolist() == before
    del state["first.scale"]
    state["extra"] = minilm.ones(1)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["first.scale"], ["extra"])
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict({"first.scale": minilm.ones(1)}, strict=False)


def test_loading_what_is_on_the_tape_leaves_parameters_leaves() -> None:
    model = nn.Linear(1, 1)
    model.load_state_dict({"weight": nn.Parameter(minilm.ones(1, 1)) * 2, "bias": np.zeros(1)})
    assert model.weight.is_leaf and model.weight.item() == 2


def test_deepcopy_is_independent() -> None:
    model = nn.Sequential(nn.Embedding(4, 3), nn.GRU(3, 2, bidirectional=True))
    other = copy.deepcopy(model)
    assert [name for name, _ in other.named_parameters()] == [
        name for name, _ in model.named_parameters()
    ]
    with minilm.no_grad():
        other[0].weight.zero_()
    assert model[0].weight.any()
    ids = minilm.tensor([[1, 2]])
    assert other(ids)[0].shape == model(ids)[0].shape


# --- modes ----------------------------------------------------------------------------------------


def test_train_and_eval_reach_all_modules() -> None:
    model = Model()
    assert model.training and model.eval() is model
    assert not any(module.training for module in model.modules())
    assert all(module.training for module in model.train().modules())


def test_gradients_are_forgotten() -> None:
    model = Model()
    model(minilm.ones(1, 2)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad(set_to_none=False)
    assert not any(parameter.grad.any() for parameter in model.parameters())
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_requires_grad_freezes() -> None:
    model = Model()
    model.first.requires_grad_(False)
    model(minilm.ones(1, 2)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["head.weight"]


def test_apply_visits_parts_first() -> None:
    seen = []
    model = Model()
    assert model.apply(lambda module: seen.append(type(module).__name__)) is model
    assert seen == ["Linear", "Block", "Linear", "Model"]


def test_moves_that_do_nothing() -> None:
    model = Model()
    assert model.to("cpu") is model.float() is model.cpu() is model.to(minilm.float32) is model


# --- printing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (lambda: nn.Linear(2, 3, bias=False), "Linear(in_features=2, out_features=3, bias=False)"),
        (lambda: nn.Embedding(5, 3, padding_idx=-1), "Embedding(5, 3, padding_idx=4)"),
        (lambda: nn.RNN(2, 3), "RNN(2, 3)"),
        (
            lambda: nn.LSTM(2, 3, 2, bias=False, batch_first=True, dropout=0.5, bidirectional=True),
            "LSTM(2, 3, num_layers=2, bias=False, batch_first=True, dropout=0.5, "
            "bidirectional=True)",
        ),
        (lambda: nn.Dropout(0.1), "Dropout(p=0.1, inplace=False)"),
        (lambda: nn.LayerNorm(4), "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)"),
        (lambda: nn.GELU("tanh"), "GELU(approximate='tanh')"),
        (lambda: nn.Softmax(dim=-1), "Softmax(dim=-1)"),
        (lambda: nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
        (lambda: nn.ReLU(), "ReLU()"),
        (lambda: nn.Sequential(), "Sequential()"),
        (lambda: nn.ModuleList(), "ModuleList()"),
        (
            lambda: Model(),
            "Model(\n  (first): Block(\n    (linear): Linear(in_features=2, out_features=3, "
            "bias=True)\n  )\n  (head): Linear(in_features=3, out_features=2, bias=False)\n)",
        ),
        (
            lambda: nn.ModuleList([nn.Tanh(), nn.Tanh(), nn.ReLU()]),
            "ModuleList(\n  (0-1): 2 x Tanh()\n  (2): ReLU()\n)",
        ),
    ],
)
def test_repr_is_pytorchs(module, text) -> None:
    assert repr(module()) == text


def test_parameter() -> None:
    tensor = minilm.ones(2)
    parameter = nn.Parameter(tensor)
    assert parameter.requires_grad and np.shares_memory(parameter.data.numpy(), tensor.numpy())
    assert repr(parameter) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert not nn.Parameter(tensor, requires_grad=False).requires_grad
    assert type(parameter * 2) is minilm.Tensor
    assert isinstance(copy.deepcopy(parameter), nn.Parameter)
