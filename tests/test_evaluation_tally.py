"""What a look at every score finds, against the slow twin and by hand."""

import numpy as np
import pytest
from evaluation_helpers import token_log_probs
from training_helpers import tiny_model

from minilm.data import Vocab
from minilm.data.stream import IGNORED
from minilm.evaluation import evaluate
from minilm.evaluation.tally import BINS, WORST, DetailedTally
from minilm.evaluation.windows import RowsWindow

IDS = (5 * np.random.default_rng(2).random(300) ** 2).astype(int)
VOCAB = Vocab(["<unk>", "a", "b", "c", "\n"])


class Given:
    """Scores that are given: logits ``(batch, time, vocab)``."""

    def __init__(self, logits, targets, step=2):
        self.rows = np.asarray(logits, np.float32).reshape(-1, np.shape(logits)[-1])
        self.places = np.flatnonzero(np.ravel(targets) != IGNORED)
        self.step = step

    def blocks(self):
        for begin in range(0, len(self.places), self.step):
            places = self.places[begin : begin + self.step]
            yield places, self.rows[places]


def detail_of(logits, targets, **options):
    targets = np.array(targets)
    inputs = np.arange(targets.size).reshape(targets.shape)
    tally = DetailedTally()
    tally.add(Given(logits, targets, **options), RowsWindow(inputs, targets, inputs, 10, 0))
    from minilm.evaluation.names import Names

    return tally.detail(Names())


@pytest.fixture(scope="module")
def twin():
    return token_log_probs(tiny_model("lstm"), IDS), IDS[1:]


@pytest.fixture(scope="module")
def reached():
    return evaluate(tiny_model("lstm"), IDS, lanes=1, detail=True, tokenizer=VOCAB)


def test_the_loss_is_the_same_with_and_without(reached):
    bare = evaluate(tiny_model("lstm"), IDS, lanes=1, tokenizer=VOCAB)
    assert reached.loss == pytest.approx(bare.loss, rel=1e-6)
    assert (reached.tokens, reached.terms) == (bare.tokens, bare.terms)
    assert bare.detail is None


def test_accuracy(reached, twin):
    log_probs, after = twin
    order = np.argsort(-log_probs, axis=1)
    assert reached.accuracy == pytest.approx((order[:, 0] == after).mean())
    assert reached.top5_accuracy == 1.0  # of five types


def test_calibration(reached, twin):
    log_probs, after = twin
    confidence, right = np.exp(log_probs.max(1)), log_probs.argmax(1) == after
    error = 0.0
    for k, one in enumerate(reached.calibration):
        inside = (confidence > k / BINS) & (confidence <= (k + 1) / BINS)
        assert (one.low, one.high, one.count) == (k / BINS, (k + 1) / BINS, inside.sum())
        if one.count:
            assert one.confidence == pytest.approx(confidence[inside].mean(), rel=1e-5)
            assert one.accuracy == pytest.approx(right[inside].mean())
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert sum(one.count for one in reached.calibration) == 299
    assert reached.calibration_error == pytest.approx(error, rel=1e-5)


def test_costliest_types(reached, twin):
    log_probs, after = twin
    losses = -log_probs[np.arange(299), after]
    totals = sorted(((losses[after == i].sum(), i) for i in range(5)), reverse=True)
    assert [one.token for one in reached.costliest] == [i for _, i in totals]
    for one, (nats, i) in zip(reached.costliest, totals, strict=True):
        assert one.text == VOCAB.lookup_token(i)
        assert one.count == (after == i).sum()
        assert one.nats == pytest.approx(nats, rel=1e-5)
        assert one.mean == pytest.approx(nats / one.count, rel=1e-5)
    assert sum(one.nats for one in reached.costliest) == pytest.approx(299 * reached.loss)


def test_worst_tokens_with_what_came_before(reached, twin):
    log_probs, after = twin
    losses = -log_probs[np.arange(299), after]
    assert [one.nats for one in reached.worst] == pytest.approx(
        np.sort(losses)[::-1][:WORST].tolist(), rel=1e-5
    )
    for one in reached.worst:
        at = one.position
        assert one.row is None
        assert one.token == IDS[at] and one.text == VOCAB.lookup_token(IDS[at])
        assert one.context == tuple(IDS[max(at - 8, 0) : at])
        assert one.context_text == " ".join(VOCAB.lookup_tokens(one.context))
        assert one.guess == log_probs[at - 1].argmax()
        assert one.confidence == pytest.approx(np.exp(log_probs[at - 1].max()), rel=1e-5)


@pytest.mark.parametrize("options", [{"seq_len": 3}, {"seq_len": 7, "stride": 5}])
def test_places_do_not_depend_on_how_the_text_is_cut(options):
    found = evaluate(tiny_model("lstm"), IDS, detail=True, **options).worst
    for one in found:
        assert IDS[one.position] == one.token
        assert one.context == tuple(IDS[max(one.position - 8, 0) : one.position])


def test_rows_are_numbered_through_all_batches():
    rows = [IDS[:40], IDS[40:47], IDS[50:350]]
    for one in evaluate(tiny_model("lstm"), rows, detail=True, batch_size=2).worst:
        row = rows[one.row]
        assert row[one.position] == one.token
        assert one.context == tuple(row[max(one.position - 8, 0) : one.position])


def test_of_equal_scores_the_lower_id_comes_first():
    # A model without an opinion is right where token 0 is, not everywhere.
    found = detail_of(np.zeros((1, 8, 8)), [[0, 1, 2, 3, 4, 5, 6, 7]])
    assert found.accuracy == 1 / 8
    assert found.top5_accuracy == 5 / 8


@pytest.mark.parametrize("step", [1, 3, 100])
def test_only_targets_that_count_do(step):
    logits = np.log([[[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.3, 0.6], [0.1, 0.1, 0.8]]])
    found = detail_of(logits, [[0, IGNORED, 2, 1]], step=step)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.calibration_error == pytest.approx((0.3 + 0.4 + 0.8) / 3, rel=1e-5)
    assert [(one.token, one.count) for one in found.costliest] == [(1, 1), (2, 1), (0, 1)]
    first = found.worst[0]
    assert (first.row, first.position, first.context) == (10, 4, (0, 1, 2, 3))
    assert (first.guess, first.confidence) == (2, pytest.approx(0.8))


def test_edges_of_bins_belong_to_the_bin_below():
    # Certain, one half between two, and one fifteenth: the last is the first bin's upper edge.
    logits = np.full((1, 3, 15), -np.inf)
    logits[0, 0, 3], logits[0, 1, :2], logits[0, 2] = 0, 0, 0
    counts = [one.count for one in detail_of(logits, [[3, 0, 0]]).calibration]
    assert counts[BINS - 1] == 1 and counts[BINS // 2] == 1
    assert sum(counts[:2]) == 1  # 1 / 15 as the core rounds it


def test_a_model_that_has_gone_wrong_is_not_right():
    logits = np.full((1, 3, 4), np.nan)
    found = detail_of(logits, [[0, 1, 2]])
    assert found.accuracy == found.top5_accuracy == 0.0
