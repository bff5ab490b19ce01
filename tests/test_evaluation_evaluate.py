import math

import numpy as np
import pytest
from training_helpers import Bigram, WithOutput, tiny_model

import minilm
from minilm.evaluation import gap
from minilm.training import Evaluation, evaluate

IDS = np.random.default_rng(0).integers(0, 5, 500)


def nats(model, ids: np.ndarray) -> np.ndarray:
    """The loss of each token but the first, read in one piece."""
    with minilm.no_grad():
        logits = model.eval()(ids[None, :-1]).numpy()[0].astype(np.float64)
    chosen = logits[np.arange(len(logits)), ids[1:]]
    return np.log(np.exp(logits).sum(1)) - chosen


@pytest.mark.parametrize("length", [2, 3, 20, 21, 40, 41, 42, 499, 500])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_every_token_counts_once(length, batch_size):
    minilm.manual_seed(0)
    model = Bigram()  # what it says depends on no more than one token of context
    ids = IDS[:length]
    reached = evaluate(model, ids, batch_size=batch_size, seq_len=20)
    assert reached.tokens == length - 1
    assert reached.loss == pytest.approx(nats(model, ids).mean(), rel=1e-5)


@pytest.mark.parametrize("length", [2, 20, 41, 500])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_lanes_of_a_model_with_state_count_once_too(length, batch_size):
    model = tiny_model("rnn")
    with minilm.no_grad():  # forgets at once: the state adds nothing
        for name, parameter in model.named_parameters():
            if "weight_hh" in name:
                parameter.zero_()
    ids = IDS[:length]
    reached = evaluate(model, ids, batch_size=batch_size, seq_len=20)
    assert reached.loss == pytest.approx(nats(model, ids).mean(), rel=1e-5)


def test_one_lane_carries_the_state_through_the_whole_text():
    model = tiny_model("lstm")
    reached = evaluate(model, IDS, lanes=1, seq_len=20)
    assert reached.loss == pytest.approx(nats(model, IDS).mean(), rel=1e-5)


def test_without_state_a_token_sees_at_least_the_context():
    class Stateless(minilm.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tiny_model("lstm")
            self.lengths = []

        def forward(self, x):
            self.lengths.append(x.shape)
            return self.inner(x)

    model = Stateless()
    reached = evaluate(model, IDS, batch_size=4, seq_len=20)
    assert set(model.lengths) == {(4, 40)}
    windows = [nats(model, IDS[0:41])] + [
        nats(model, IDS[i : min(i + 41, 500)])[20:] for i in range(20, 480, 20)
    ]
    assert reached.loss == pytest.approx(np.concatenate(windows).mean(), rel=1e-5)


def test_outputs_with_logits_are_read():
    minilm.manual_seed(0)
    bare = Bigram()
    minilm.manual_seed(0)
    assert evaluate(WithOutput(), IDS) == evaluate(bare, IDS)


def test_the_mode_is_left_as_it_was():
    model = tiny_model(dropout=0.5).train()
    assert evaluate(model, IDS) == evaluate(model, IDS)
    assert model.training


def test_perplexity_and_bits():
    reached = Evaluation(loss=math.log(8), tokens=10)
    assert reached.perplexity == pytest.approx(8)
    assert reached.bits_per_char(1.0) == pytest.approx(3)
    assert reached.bits_per_char(6.0) == pytest.approx(0.5)
    assert Evaluation(loss=1e4, tokens=1).perplexity == math.inf


def test_gap_says_which_way():
    assert gap(1.0, 1.25) == "0.2500 below"
    assert gap(1.5, 1.25) == "0.2500 above"


@pytest.mark.parametrize("length", [0, 1])
def test_nothing_to_predict(length):
    with pytest.raises(ValueError, match=f"has {length} tokens, at least 2"):
        evaluate(Bigram(), IDS[:length])
