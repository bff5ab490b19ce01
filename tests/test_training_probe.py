"""What is seen inside a model, and that looking leaves no trace."""

import random

import numpy as np
import pytest
from training_helpers import Bigram, WithOutput

import minilm
import minilm.nn.functional as F
from minilm import nn
from minilm.models import AWDLSTM, RNNModel
from minilm.random import get_rng_state
from minilm.training.probe import LANES, WINDOW, probe

IDS = np.random.default_rng(0).integers(0, 7, (6, 41))
INPUTS, TARGETS = IDS[:, :-1], IDS[:, 1:]


def model_of(cell="lstm", **more):
    minilm.manual_seed(0)
    return RNNModel(7, 4, 6, cell, **more)


def test_entropy_is_that_of_the_predictions():
    model = model_of()
    found = probe(model, INPUTS, TARGETS)
    model.eval()
    logits = model(INPUTS[:LANES, -WINDOW:]).detach().numpy().astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert found["entropy"] == pytest.approx(-(p * np.log(p)).sum(-1).mean(), rel=1e-5)
    assert found["classes"] == 7


def test_gradients_of_the_state_are_those_of_the_last_step_s_loss():
    """Compared with the tape of a model that reads the last two tokens on from a state."""
    model = model_of("gru")
    found = probe(model, INPUTS, TARGETS)["state_grads"]["rnn.l0"]
    assert list(found) == ["0", "1", "2", "4", "8", "16", "31"]
    model.eval()
    ids, targets = INPUTS[:LANES, -WINDOW:], TARGETS[:LANES, -1]
    _, before = model.forward_with_state(ids[:, :-2])
    state = minilm.tensor(before.numpy()).requires_grad_()
    logits, _ = model.forward_with_state(ids[:, -2:], state, detach=False)
    F.cross_entropy(logits[:, -1], targets).backward()
    assert found["2"] == pytest.approx(float(np.linalg.norm(state.grad.numpy())), rel=1e-4)


@pytest.mark.parametrize("make", [model_of, lambda: AWDLSTM(7, 4, 6, 2)])
def test_no_trace_is_left(make):
    model = make()
    model.train()
    model.fc.eval()  # a user's own choice
    F.cross_entropy(model(INPUTS).transpose(1, 2), TARGETS).backward()
    model.fc.bias.requires_grad = False
    grads = {name: p.grad.numpy().tobytes() for name, p in model.named_parameters()}
    streams = (
        get_rng_state().numpy().tobytes(),
        random.getstate(),
        np.random.get_state()[1].tobytes(),
    )
    probe(model, INPUTS, TARGETS)
    assert {name: p.grad.numpy().tobytes() for name, p in model.named_parameters()} == grads
    assert streams == (
        get_rng_state().numpy().tobytes(),
        random.getstate(),
        np.random.get_state()[1].tobytes(),
    )
    assert model.training and not model.fc.training
    wanted = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert wanted == {"fc.bias"}
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_model_that_draws_in_evaluation_mode_does_not_change_the_run():
    class Noisy(Bigram):
        def forward(self, x):
            return super().forward(x) + float(np.random.rand()) + float(minilm.rand(1).item())

    np.random.seed(3)
    probe(Noisy(7), INPUTS, TARGETS)
    drawn = np.random.rand()
    np.random.seed(3)
    assert drawn == np.random.rand()


def test_an_error_inside_leaves_no_trace_either():
    class Fails(RNNModel):
        def forward(self, x):
            self.rnn(self.embedding(x))
            raise RuntimeError("broken")

    model = Fails(7, 4, 6)
    with pytest.raises(RuntimeError, match="broken"):
        probe(model, INPUTS, TARGETS)
    assert all(p.requires_grad for p in model.parameters())
    assert model.training and "forward" not in vars(model.rnn)


@pytest.mark.parametrize("model", [Bigram(7), WithOutput(7)])
def test_a_model_without_recurrent_layers(model):
    assert set(probe(model, INPUTS, TARGETS)) == {"entropy", "classes"}


def test_scores_of_whole_sequences_are_left_alone():
    class Classifier(Bigram):
        def forward(self, x):
            return super().forward(x).sum(1)

    assert probe(Classifier(7), INPUTS, TARGETS) == {}


def test_targets_that_do_not_count_give_no_gradient():
    ignored = np.full_like(TARGETS, -100)
    found = probe(model_of(), INPUTS, ignored)
    assert set(found["state_grads"]["rnn.l0"].values()) == {0.0}


def test_saturated_and_dead_are_shares():
    """Half of the units have huge biases: their gates are open, and one kind of them is stuck."""
    model = model_of("rnn")
    for parameter in model.rnn.parameters():
        parameter.data[:] = 0.0
    model.rnn.bias_ih_l0.data[:] = [9.0, 9.0, 9.0, 0.5, 0.5, 0.5]
    found = probe(model, INPUTS, TARGETS)
    assert found["saturated"] == {"rnn.l0": {"h": 0.5}}
    assert found["dead"] == {"rnn.l0": 1.0}
    model.rnn.weight_ih_l0.data[3:] = 1.0
    assert probe(model, INPUTS, TARGETS)["dead"] == {"rnn.l0": 0.5}


def test_gates_of_each_layer_are_told_apart():
    model = model_of("lstm", num_layers=2)
    model.rnn.bias_ih_l1.data[:6] = 99.0  # i, the first gate
    saturated = probe(model, INPUTS, TARGETS)["saturated"]
    assert saturated["rnn.l1"]["i"] == 1.0
    assert saturated["rnn.l0"]["i"] == saturated["rnn.l1"]["f"] == 0.0


def test_layers_that_are_not_batch_first():
    class Own(nn.Module):
        def __init__(self, batch_first):
            super().__init__()
            minilm.manual_seed(0)
            self.batch_first = batch_first
            self.embedding, self.fc = nn.Embedding(7, 4), nn.Linear(5, 7)
            self.gru = nn.GRU(4, 5, batch_first=batch_first)

        def forward(self, x):
            x = self.embedding(x)
            if self.batch_first:
                return self.fc(self.gru(x)[0])
            return self.fc(self.gru(x.transpose(0, 1))[0]).transpose(0, 1)

    one, other = (probe(Own(first), INPUTS, TARGETS) for first in (True, False))
    assert one["state_grads"] == {
        name: pytest.approx(norms, rel=1e-5) for name, norms in other["state_grads"].items()
    }
