import numpy as np
import pytest
from doctor_helpers import examined, make_model, scale, train_ids

from minilm.data.stories import stories
from minilm.doctor import Evidence, examine
from minilm.doctor.gradients import exploding, vanishing


def line(norms=None, **more):
    return {
        "step": 1,
        "max_grad_norm": 1.0,
        "clipped": 0.0,
        "clip": 1.0,
        "state_grads": {"rnn.l0": norms or {"0": 1.0, "1": 0.5, "2": 0.3, "4": 0.1}},
        **more,
    }


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_run_whose_gradients_grow_back_through_time(cell):
    model = make_model(cell)
    scale(model, "weight_hh", 30)
    found = examined(model, lr=1e-4, epochs=1, max_grad_norm=0.0)
    assert found["exploding gradients"].numbers["growth over the window"] > 1e3


def test_one_huge_norm_among_ordinary_ones():
    ordinary = [line(max_grad_norm=0.9)] * 8
    assert exploding(Evidence(samples=ordinary)) is None
    found = exploding(Evidence(samples=[*ordinary, line(max_grad_norm=90.0)]))
    assert found.numbers["highest"] == 90.0


@pytest.mark.parametrize(
    ("norm", "clipped", "sick"), [(50.0, 1.0, True), (2.0, 1.0, False), (50.0, 0.1, False)]
)
def test_clipping_that_decides_most_steps(norm, clipped, sick):
    """A limit that is just exceeded scales a little, as in AWD-LSTM's recipe."""
    found = exploding(Evidence(samples=[line(max_grad_norm=norm, clipped=clipped)] * 8))
    assert (found is not None) == sick


def test_a_model_whose_gradients_fade():
    """Of the model and a batch alone, as in a notebook."""
    model = make_model("rnn")
    batch = np.stack([train_ids()[k : k + 41] for k in range(0, 160, 40)])
    pair = batch[:, :-1], batch[:, 1:]
    assert examine(model=model, batch=pair) == []
    scale(model, "weight_hh", 0.01)
    (found,) = examine(model=model, batch=pair)
    assert found.name == "vanishing gradients"
    assert found.numbers["tokens back"] <= 4
    assert found.numbers["share of the gradient left"] < 1e-4


def test_a_run_that_cannot_learn_from_what_n_grams_see():
    """Of stories' letters, n-grams gain from four and more before; the gradient reaches one."""
    text = np.frombuffer(stories(60_000).encode(), np.uint8).astype(np.int64)
    near = [line({"0": 1.0, "1": 1e-3, "2": 1e-6, "4": 1e-9})] * 4
    evidence = Evidence(samples=near, train_ids=text[:50_000], valid_ids=text[50_000:])
    found = vanishing(evidence)
    assert found.numbers["context that n-grams gain from"] >= 4
    assert found.numbers["tokens back"] == 2


def test_gradients_that_reach_as_far_as_context_helps():
    rng = np.random.default_rng(0)
    text = rng.integers(0, 3, 4000)  # nothing to gain from any context
    far = [line({"0": 1.0, "1": 0.1, "2": 1e-6})] * 4
    assert vanishing(Evidence(samples=far, train_ids=text[:3000], valid_ids=text[3000:])) is None
    assert vanishing(Evidence(samples=far)) is not None


def test_one_layer_through_which_gradients_reach_is_enough():
    sample = line({"0": 1.0, "1": 1e-5, "2": 1e-9, "4": 0.0})
    assert vanishing(Evidence(samples=[sample])) is not None
    sample["state_grads"]["rnn.l1"] = {"0": 1.0, "1": 0.9, "2": 0.8, "4": 0.5}
    assert vanishing(Evidence(samples=[sample])) is None


def test_models_without_a_state():
    assert exploding(Evidence(samples=[line(state_grads={})])) is None
    assert vanishing(Evidence(samples=[line(state_grads={})])) is None
    assert exploding(Evidence()) is None
    assert vanishing(Evidence()) is None
