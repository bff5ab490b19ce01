import numpy as np
import pytest

from minilm.evaluation import Yardstick, yardstick
from minilm.models import NGramModel

RNG = np.random.default_rng(0)
CHAIN = np.repeat(RNG.integers(0, 4, 1500), 2)  # one token of context says half of what there is
CYCLE = np.arange(3000) % 5


@pytest.mark.parametrize("ids", [CHAIN, CYCLE, RNG.integers(0, 4, 3000)])
def test_the_order_is_the_best_up_to_where_one_more_does_not_help(ids):
    train, valid = ids[:2000], ids[2000:]
    losses = [NGramModel(order, 5).count(train).loss(valid) for order in range(1, 7)]
    found = yardstick(train, valid, 5)
    falls = [after < before for before, after in zip(losses, losses[1:], strict=False)]
    expected = falls.index(False) + 1 if False in falls else 6
    assert found == Yardstick(expected, losses[expected - 1], 999)
    assert found.perplexity == pytest.approx(np.exp(found.loss))


def test_a_fixed_order_is_taken():
    expected = NGramModel(5, 5).count(CHAIN[:2000]).loss(CHAIN[2000:])
    assert yardstick(CHAIN[:2000], CHAIN[2000:], 5, order=5) == Yardstick(5, expected, 999)


def test_it_says_which_is_better_and_by_how_much():
    one = Yardstick(order=5, loss=1.5, tokens=100)
    assert one.compare(1.25) == (
        "the model is 0.2500 nats a token better than a Witten-Bell 5-gram (1.2500 against "
        "1.5000), its perplexity 0.779 times the 5-gram's"
    )
    assert "0.1000 nats a token worse" in one.compare(1.6)


def test_a_text_with_nothing_to_predict():
    with pytest.raises(ValueError, match="a text of 1 tokens has none to predict"):
        yardstick(CYCLE, CYCLE[:1], 5)


@pytest.mark.parametrize(("level", "order", "loss"), [("char", 5, 1.6688), ("word", 2, 5.3113)])
def test_on_shakespeare(shakespeare, level, order, loss):
    from minilm.training.corpus import make_corpus

    corpus = make_corpus(shakespeare, level, "shakespeare")
    found = yardstick(corpus.train_ids, corpus.valid_ids, corpus.vocab_size)
    assert found.order == order
    assert found.loss == pytest.approx(loss, abs=1e-4)
