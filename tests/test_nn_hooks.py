"""Functions that look on while a module runs."""

import copy

import numpy as np
import pytest

import minilm
from minilm import nn
from minilm.models import GPT2Config, GPT2LMHeadModel, RNNModel


def test_a_hook_sees_what_went_in_and_came_out_until_it_is_removed():
    layer, seen = nn.Linear(3, 2), []
    x = minilm.ones(4, 3)
    handle = layer.register_forward_hook(lambda *call: seen.append(call))
    y = layer(x)
    [(module, args, output)] = seen
    assert module is layer
    assert args[0] is x
    assert output is y
    handle.remove()
    handle.remove()
    layer(x)
    assert len(seen) == 1
    with layer.register_forward_hook(lambda *call: seen.append(call)):
        layer(x)
    layer(x)
    assert len(seen) == 2


def test_what_hooks_return_takes_the_place_of_the_output():
    layer = nn.Linear(3, 2)
    layer.register_forward_hook(lambda module, args, output: output * 0)
    layer.register_forward_hook(lambda module, args, output: output + 1)
    layer.register_forward_hook(lambda module, args, output: None)
    np.testing.assert_array_equal(layer(minilm.ones(4, 3)).detach().numpy(), np.ones((4, 2)))
    assert not nn.Linear(3, 2).has_hooks


def test_a_copy_does_not_share_hooks():
    layer = nn.Linear(3, 2)
    layer.register_forward_hook(lambda module, args, output: output * 0)
    twin = copy.deepcopy(layer)
    twin.register_forward_hook(lambda module, args, output: output + 1)
    assert layer(minilm.ones(1, 3)).abs().sum().item() == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: RNNModel(7, 4, 5, "lstm"),
        lambda: GPT2LMHeadModel(GPT2Config.from_preset("gpt-nano", vocab_size=7, n_positions=16)),
    ],
    ids=["rnn", "gpt"],
)
def test_generation_calls_hooks_too(make):
    """And not weights that were packed for the core, which know of none."""
    minilm.manual_seed(0)
    model = make().eval()
    plain = model.generate([1, 2], max_new_tokens=3, do_sample=False)
    head = model.get_output_embeddings()
    seen = []

    def prefer_six(module, args, output):
        seen.append(output.shape)
        return output + minilm.tensor(np.eye(7, dtype=np.float32)[6] * 1e4)

    with head.register_forward_hook(prefer_six):
        forced = model.generate([1, 2], max_new_tokens=3, do_sample=False)
    assert seen
    assert list(np.asarray(forced).reshape(-1)[-3:]) == [6, 6, 6]
    assert list(
        np.asarray(model.generate([1, 2], max_new_tokens=3, do_sample=False)).reshape(-1)
    ) == list(np.asarray(plain).reshape(-1))
