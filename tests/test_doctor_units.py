import numpy as np
import pytest
from doctor_helpers import TYPES, examined, make_model, scale, train_ids

import minilm
from minilm import nn
from minilm.doctor import Evidence, examine
from minilm.doctor.units import dead, saturated

BATCH = np.stack([train_ids()[k : k + 41] for k in range(0, 160, 40)])
PAIR = BATCH[:, :-1], BATCH[:, 1:]


@pytest.mark.parametrize(("cell", "gates"), [("lstm", "ifo"), ("gru", "rz"), ("rnn", "h")])
def test_a_run_whose_gates_are_stuck(cell, gates):
    model = make_model(cell)
    scale(model, "rnn.", 100)
    found = examined(model, lr=1e-3, epochs=1)["saturated gates"]
    assert found.numbers["share saturated"] > 0.9
    assert found.numbers["layer"] == "rnn.l0"
    assert found.numbers["gate"] in gates


class Relu(nn.Module):
    def __init__(self):
        super().__init__()
        minilm.manual_seed(0)
        self.embedding = nn.Embedding(TYPES, 8)
        self.rnn = nn.RNN(8, 16, nonlinearity="relu", batch_first=True)
        self.fc = nn.Linear(16, TYPES)

    def forward(self, x):
        return self.fc(self.rnn(self.embedding(x))[0])


def test_units_that_a_bias_has_switched_off():
    model = Relu()
    assert examine(model=model, batch=PAIR) == []
    model.rnn.bias_ih_l0.data[:8] = -50.0
    (found,) = examine(model=model, batch=PAIR)
    assert found.name == "dead units"
    assert found.numbers == {"share dead": 0.5, "layer": "rnn.l0"}


def test_only_the_late_part_of_a_run_counts():
    """Where a model begins is not what it has come to."""
    early, late = ({"saturated": {"l": {"i": x}}, "dead": {"l": x}} for x in (1.0, 0.1))
    assert saturated(Evidence(samples=[early] * 6 + [late] * 2)) is None
    assert dead(Evidence(samples=[early] * 6 + [late] * 2)) is None
    assert saturated(Evidence(samples=[late] * 6 + [early] * 2)) is not None
    assert dead(Evidence(samples=[late] * 6 + [early] * 2)) is not None


def test_the_worst_layer_is_named():
    sample = {
        "saturated": {"a": {"i": 0.91, "f": 0.2}, "b": {"i": 0.3, "f": 0.99}},
        "dead": {"a": 0.4, "b": 0.3},
    }
    found = saturated(Evidence(samples=[sample]))
    assert (found.numbers["layer"], found.numbers["gate"]) == ("b", "f")
    assert dead(Evidence(samples=[sample])).numbers["layer"] == "a"


def test_nothing_is_known():
    assert saturated(Evidence()) is dead(Evidence()) is None
    assert saturated(Evidence(samples=[{"loss": 1.0}])) is None
