import math

import numpy as np
from training_helpers import CYCLE, Bigram, tiny_model

import minilm
from minilm import nn
from minilm.models.base import read_on
from minilm.training.diagnose import find_culprit

IDS = CYCLE[None, :6]


def first_bad_tensor(model, ids, state):
    return find_culprit(model, lambda: read_on(model, ids, state)[0]).bad


def test_all_is_well():
    model = tiny_model()
    assert first_bad_tensor(model, IDS, None) is None


def test_parameters_come_first():
    model = tiny_model()
    model.fc.bias.data[0] = math.inf
    model.rnn.bias_hh_l0.data[0] = math.nan
    assert first_bad_tensor(model, IDS, None) == "the parameter rnn.bias_hh_l0"


def test_then_outputs_in_the_order_of_computation():
    class Nan(nn.Module):
        def forward(self, x):
            return x + math.nan

    model = tiny_model()
    model.drop = Nan()
    assert first_bad_tensor(model, IDS, None) == "the output of drop"
    assert "forward" not in vars(model.fc)  # nothing is left of the watching


def test_a_whole_is_named_where_its_parts_are_well():
    class Inner(Bigram):
        def forward(self, x):
            return super().forward(x) * math.nan

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, x):
            return self.inner(x)

    assert first_bad_tensor(Outer(), IDS, None) == "the output of inner"


def test_logits_come_after_all_modules():
    model = tiny_model()
    reading = model.forward_with_state
    model.forward_with_state = lambda x, state: (reading(x, state)[0] * math.nan, state)
    assert first_bad_tensor(model, IDS, None) == "the logits"


def test_a_state_can_be_the_cause():
    model = tiny_model("rnn")
    state = minilm.full((1, 1, 8), math.nan)
    assert first_bad_tensor(model, IDS, state) == "the output of rnn"


def test_then_gradients_from_the_loss_backwards():
    model = tiny_model()
    model(IDS).sum().backward()
    for name in ("embedding.weight", "fc.weight"):
        parameter = dict(model.named_parameters())[name]
        parameter.grad = minilm.tensor(np.full(parameter.shape, np.inf, np.float32))
    assert first_bad_tensor(model, IDS, None) == "the gradient of fc.weight"


def test_the_last_clean_one_is_named_too():
    model = tiny_model()
    model.fc.bias.data[0] = math.inf
    culprit = find_culprit(model, lambda: model(IDS))
    assert culprit == ("the parameter fc.bias", "the parameter fc.weight")
    assert str(culprit) == (
        "first bad tensor: the parameter fc.bias; the last clean one: the parameter fc.weight"
    )
    model.embedding.weight.data[0] = math.nan
    assert find_culprit(model, lambda: model(IDS)) == ("the parameter embedding.weight", None)
