"""Sequential and ModuleList."""

from __future__ import annotations

import pytest

import minilm
from minilm import nn


def test_sequential_passes_on() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x = minilm.ones(4, 2)
    assert model(x).equal(model[2](model[1](model[0](x))))
    assert set(model.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_sequential_of_names() -> None:
    model = nn.Sequential({"first": nn.Tanh(), "second": nn.ReLU()})
    assert [name for name, _ in model.named_children()] == ["first", "second"]
    assert isinstance(model[-1], nn.ReLU)


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])
def test_as_a_list(kind) -> None:
    parts = [nn.Tanh(), nn.ReLU(), nn.Sigmoid()]
    container = kind(*parts) if kind is nn.Sequential else kind(parts)
    assert list(container) == parts and len(container) == 3 and container[-1] is parts[2]
    assert isinstance(container[1:], kind) and list(container[1:]) == parts[1:]
    other = nn.SiLU()
    container.append(other).extend([parts[0]])
    assert list(container) == [*parts, other, parts[0]]
    container.insert(1, other)
    container[0] = other
    del container[-1]
    assert list(container) == [other, other, parts[1], parts[2], other]
    assert [name for name, _ in container._modules.items()] == list("01234")
    with pytest.raises(IndexError, match="5 modules"):
        container[5]
    with pytest.raises(TypeError, match="nn.Module"):
        container.append(3)


def test_modules_by_name() -> None:
    heads = nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.Tanh()})
    assert list(heads) == list(heads.keys()) == ["a", "b"] and len(heads) == 2 and "a" in heads
    assert set(heads.state_dict()) == {"a.weight", "a.bias"}
    assert repr(heads).splitlines()[1].strip().startswith("(a): Linear(")
    heads["c"] = heads.pop("b")
    heads.update([("d", nn.ReLU())])
    assert [type(part) for _, part in heads.items()] == [nn.Linear, nn.Tanh, nn.ReLU]
    del heads["a"]
    assert not list(heads.parameters()) and len(list(heads.values())) == 2
    with pytest.raises(KeyError, match="a"):
        heads["a"]
    with pytest.raises(TypeError, match="nn.Module"):
        heads["e"] = 3
    heads.clear()
    assert len(heads) == 0


def test_a_module_list_registers_and_does_not_run() -> None:
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    assert len(list(layers.parameters())) == 6
    with pytest.raises(NotImplementedError, match="forward"):
        layers(minilm.ones(1, 2))
