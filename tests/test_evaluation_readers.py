import tracemalloc

import numpy as np
import pytest
from training_helpers import tiny_model

import minilm
from minilm import _core
from minilm.data.stream import IGNORED
from minilm.evaluation import evaluate
from minilm.evaluation.readers import NeuralReader, NGramReader, reader_of
from minilm.evaluation.windows import Rows
from minilm.models import NGramModel, RNNModel
from minilm.nn.deferred import head_of

RNG = np.random.default_rng(0)
TRAIN, VALID = ((9 * RNG.random(size) ** 3).astype(int) for size in (4000, 5000))


def window_of(inputs, targets):
    (run,) = Rows(iter([(np.asarray(inputs), np.asarray(targets))]), None).runs()
    return next(run)


# --- n-grams ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("length", [2, 3, 2048, 2049, 2054, 5000])
def test_an_ngram_model_costs_what_it_says_itself(order, length):
    model = NGramModel(order, 9).count(TRAIN)
    reached = evaluate(model, VALID[:length])
    assert reached.tokens == length - 1
    assert reached.loss == pytest.approx(model.loss(VALID[:length]), rel=1e-12)
    assert reached.terms == ("all but the first", f"{order}-grams")


@pytest.mark.parametrize("order", [1, 2, 5])
def test_detail_of_an_ngram_model(order):
    model = NGramModel(order, 9).count(TRAIN)
    ids = VALID[:2200]
    reached = evaluate(model, ids, detail=True)
    assert reached.loss == pytest.approx(model.loss(ids), rel=1e-6)
    guesses = [model.distribution(ids[:end]).argmax() for end in range(1, len(ids))]
    assert reached.accuracy == pytest.approx((guesses == ids[1:]).mean())


@pytest.mark.parametrize("detail", [False, True])
def test_rows_of_an_ngram_model_begin_anew(detail):
    model = NGramModel(3, 9).count(TRAIN)
    rows = [VALID[:40], VALID[40:42], VALID[42:90]]
    reached = evaluate(model, rows, detail=detail)
    losses = -np.concatenate([model.log_prob(row, start=1) for row in rows])
    assert reached.tokens == len(losses)
    assert reached.loss == pytest.approx(losses.mean(), rel=1e-6)


def test_an_ngram_model_predicts_the_next_token_and_no_other():
    model = NGramModel(3, 9).count(TRAIN)
    with pytest.raises(ValueError, match="the target 5 in row 0, column 1 .*by the input 2"):
        evaluate(model, [([0, 1, 2], [1, 5, 3])])
    assert evaluate(model, [([0, 1, 2], [1, -100, 3])]).tokens == 2


def test_an_ngram_model_that_has_counted_nothing():
    with pytest.raises(RuntimeError, match="counted nothing yet"):
        evaluate(NGramModel(2, 9), VALID)


# --- neural models ----------------------------------------------------------------------------


def test_which_reader():
    assert isinstance(reader_of(NGramModel(2, 9)), NGramReader)
    assert isinstance(reader_of(tiny_model()), NeuralReader)
    assert reader_of(tiny_model()).carries_state


@pytest.mark.parametrize("names", ["n_positions", "max_position_embeddings"])
@pytest.mark.parametrize("kind", [dict, lambda **sizes: type("Config", (), sizes)()])
def test_sizes_are_those_of_the_configuration(names, kind):
    class Model(minilm.nn.Module):
        config = kind(vocab_size=7, **{names: 12})

    reader = reader_of(Model())
    assert (reader.vocab_size, reader.longest) == (7, 12)
    assert reader_of(minilm.nn.Linear(2, 2)).vocab_size is None


@pytest.fixture(scope="module")
def large():
    """A model, ids and targets whose logits are more than is computed unasked."""
    minilm.manual_seed(0)
    model = RNNModel(600, 8, 16)
    ids = RNG.integers(0, 600, (8, 120))
    targets = np.where(RNG.random((8, 120)) < 0.3, IGNORED, RNG.integers(0, 600, (8, 120)))
    return model, window_of(ids, targets)


def test_logits_of_a_large_head_are_never_all_there(large, monkeypatch):
    monkeypatch.setattr("minilm.evaluation.readers.BLOCK", 600 * 7)
    model, window = large
    with minilm.no_grad():
        whole = model(window.inputs).numpy().reshape(-1, 600)
        reader = NeuralReader(model)
        scores, _ = reader.read(window, None)
        seen = []
        for places, logits in scores.blocks():
            assert logits.shape == (len(places), 600) and len(places) <= 7
            np.testing.assert_allclose(logits, whole[places], rtol=1e-5, atol=1e-5)
            seen += places.tolist()
        assert head_of(scores._logits.reshape(-1, 600)) is not None  # still a promise
    assert seen == np.flatnonzero(window.targets.ravel() != IGNORED).tolist()


def test_head_and_loss_in_one_pass_give_the_loss_of_the_blocks(large):
    model, window = large
    pairs = [(window.inputs, window.targets)]
    bare, detailed = (evaluate(model, pairs, detail=detail) for detail in (False, True))
    assert bare.loss == pytest.approx(detailed.loss, rel=1e-6)
    assert bare.tokens == detailed.tokens == (window.targets != IGNORED).sum()


@pytest.mark.parametrize("detail", [False, True])
def test_memory_is_a_fraction_of_the_logits(detail):
    minilm.manual_seed(0)
    model, ids = RNNModel(4000, 8, 8), RNG.integers(0, 4000, 9000)
    evaluate(model, ids[:100], detail=detail)  # imports, and what is made once
    _core.empty_cache()
    tracemalloc.start()
    evaluate(model, ids, detail=detail)
    peak = tracemalloc.get_traced_memory()[1] + _core.buffer_stats()["kept"]
    tracemalloc.stop()
    window = 32 * 2 * 128 * 4000 * 4  # bytes of the logits of one window, 131 MB
    assert peak < window / 4


def test_int8_models_are_read_too():
    model = tiny_model("lstm").quantize()
    ids = VALID[:200] % 5
    reached = evaluate(model, ids, detail=True)
    assert reached.loss == pytest.approx(evaluate(model, ids).loss, rel=1e-6)
    assert abs(reached.loss - evaluate(tiny_model("lstm"), ids).loss) < 0.01
