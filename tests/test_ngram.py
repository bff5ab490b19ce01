"""N-gram models against their slow twin, and on real text."""

import doctest
import math
import signal
import threading
import time

import numpy as np
import pytest
from reference.slow.ngram import NGram

import minilm
from minilm.models import NGramModel


def random_text(length, vocab_size, seed=0):
    """Ids whose frequencies differ, so that contexts are seen often, once, and never."""
    random = np.random.default_rng(seed)
    return (vocab_size * random.random(length) ** 3).astype(np.int64)


@pytest.mark.parametrize("order", [1, 2, 3, 6])
@pytest.mark.parametrize("vocab_size", [1, 2, 30])
def test_follows_the_slow_twin(order, vocab_size):
    train, valid = random_text(400, vocab_size), random_text(100, vocab_size, seed=1)
    model, slow = NGramModel(order, vocab_size).count(train), NGram(order, vocab_size)
    slow.fit(train.tolist())
    expected = slow.log_prob(valid.tolist())
    np.testing.assert_allclose(model.log_prob(valid), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.log_prob(valid, start=40), expected[40:], rtol=0, atol=1e-12)
    assert model.loss(valid) == pytest.approx(-np.mean(expected[1:]), abs=1e-12)
    assert model.perplexity(valid) == pytest.approx(math.exp(-np.mean(expected[1:])))


@pytest.mark.parametrize("order", [1, 2, 5])
def test_distribution_is_that_of_log_prob(order):
    model = NGramModel(order, 30).count(random_text(2000, 30))
    text = random_text(60, 30, seed=2)
    log_probs = model.log_prob(text)
    for at in range(text.size):
        probs = model.distribution(text[:at])
        assert abs(probs.sum() - 1) < 1e-12
        assert math.log(probs[text[at]]) == pytest.approx(log_probs[at], abs=1e-12)


def test_a_text_longer_than_a_slice():
    """Texts are worked on in pieces of 65536 tokens; the seams must not show."""
    train = random_text(150_000, 20)
    model, slow = NGramModel(3, 20).count(train), NGram(3, 20)
    slow.fit(train.tolist())
    expected = slow.log_prob(train.tolist())
    np.testing.assert_allclose(model.log_prob(train), expected, rtol=0, atol=1e-12)


def test_counting_replaces_what_was_counted():
    model = NGramModel(2, 5).count([0, 1, 2, 3, 4])
    assert model.count([1, 1, 1]).distribution([1])[1] == pytest.approx(
        NGramModel(2, 5).count([1, 1, 1]).distribution([1])[1], abs=0
    )


def test_a_count_that_fails_leaves_the_counts():
    model = NGramModel(2, 5).count([0, 1, 0, 1])
    before = model.distribution([0])
    with pytest.raises(IndexError):
        model.count([0, 1, 5])
    np.testing.assert_array_equal(model.distribution([0]), before)


@pytest.mark.parametrize(
    ("order", "expected"), [(3, 2.0492), (4, 1.7738), (5, 1.6688), (6, 1.6980)]
)
def test_tiny_shakespeare(shakespeare, order, expected):
    alphabet = sorted(set(shakespeare))
    number = {letter: index for index, letter in enumerate(alphabet)}
    ids = np.array([number[letter] for letter in shakespeare])
    end = int(0.9 * ids.size)
    model = NGramModel(order, len(alphabet)).count(ids[:end])
    assert round(model.loss(ids[end:]), 4) == expected


# --- ids ---


@pytest.mark.parametrize(
    "ids",
    [
        [0, 2, 1],
        (0, 2, 1),
        np.array([0, 2, 1], np.int32),
        np.array([0, 9, 2, 9, 1])[::2],
        minilm.tensor([0, 2, 1]),
    ],
)
def test_what_ids_may_be(ids):
    model = NGramModel(2, 3).count(ids)
    np.testing.assert_array_equal(
        model.log_prob(ids), NGramModel(2, 3).count([0, 2, 1]).log_prob([0, 2, 1])
    )


@pytest.mark.parametrize(
    ("ids", "error", "says"),
    [
        ([0, 1, 3, 1], IndexError, r"ids\[2\] = 3: expected 0 to 2"),
        ([0, -1], IndexError, r"ids\[1\] = -1"),
        ([0.0, 1.0], TypeError, "integers.*float64"),
        ([True, False], TypeError, "integers.*bool"),
        ([[0, 1], [1, 2]], ValueError, r"\(time,\).*\(2, 2\)"),
    ],
)
def test_bad_ids(ids, error, says):
    with pytest.raises(error, match=says):
        NGramModel(2, 3).count(ids)
    with pytest.raises(error, match=says):
        NGramModel(2, 3).count([0, 1, 2]).log_prob(ids)


def test_empty_texts():
    with pytest.raises(ValueError, match="empty"):
        NGramModel(2, 3).count([])
    model = NGramModel(2, 3).count([0])
    assert model.log_prob([]).shape == (0,)
    with pytest.raises(ValueError, match="1 tokens"):
        model.loss([0])


@pytest.mark.parametrize("start", [-1, 4])
def test_start_outside_the_text(start):
    with pytest.raises(ValueError, match=f"start.*0 to 3.*{start}"):
        NGramModel(2, 3).count([0, 1, 2]).log_prob([0, 1, 2], start=start)


def test_asking_before_counting():
    model = NGramModel(2, 3)
    for ask in (model.loss, model.log_prob, model.distribution, model.generate):
        with pytest.raises(RuntimeError, match="count"):
            ask([0, 1])


@pytest.mark.parametrize(
    ("order", "vocab_size", "says"), [(0, 3, "order.*0"), (-1, 3, "-1"), (2, 0, "vocab_size.*0")]
)
def test_bad_sizes(order, vocab_size, says):
    with pytest.raises(ValueError, match=says):
        NGramModel(order, vocab_size)


def test_examples_of_the_docstrings():
    assert doctest.testmod(minilm.models.ngram).failed == 0


def test_repr():
    assert repr(NGramModel(5, 65)) == "NGramModel(order=5, vocab_size=65)"


# --- generation ---


def test_greedy_generation_takes_the_likeliest():
    model = NGramModel(2, 3).count([0, 1, 0, 1, 0, 2])
    assert model.generate([0], max_new_tokens=4, temperature=0).tolist() == [0, 1, 0, 1, 0]
    greedy = model.generate([0], max_new_tokens=4, do_sample=False, temperature=2.0)
    assert greedy.tolist() == [0, 1, 0, 1, 0]


def test_generation_depends_on_the_seed():
    model = NGramModel(2, 30).count(random_text(2000, 30))
    texts = [model.generate([1, 2], max_new_tokens=50, seed=s).tolist() for s in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0][:2] == [1, 2]
    assert len(texts[0]) == 52


def test_generation_without_a_seed_follows_manual_seed():
    model = NGramModel(2, 30).count(random_text(2000, 30))
    minilm.manual_seed(4)
    first, second = (model.generate([], max_new_tokens=30).tolist() for _ in range(2))
    minilm.manual_seed(4)
    assert model.generate([], max_new_tokens=30).tolist() == first != second


def test_generated_tokens_are_as_frequent_as_they_should_be():
    model = NGramModel(1, 4).count([0, 1, 1, 2, 2, 2])
    text = model.generate([], max_new_tokens=20_000, seed=0).numpy()
    shares = np.bincount(text, minlength=4) / text.size
    np.testing.assert_allclose(shares, model.distribution([]), atol=0.02)


def test_generation_refuses_a_negative_length():
    with pytest.raises(ValueError, match="max_new_tokens.*-1"):
        NGramModel(2, 3).count([0, 1, 2]).generate([0], max_new_tokens=-1)


# --- long calls ---


@pytest.fixture
def long_text():
    """A text that takes about a second to count: nearly all of its n-grams are different."""
    return np.random.default_rng(0).integers(0, 50, 500_000)


def test_a_second_thread_is_turned_away(long_text):
    model = NGramModel(6, 50).count([0, 1])
    refusals = []

    def insist(call, argument):
        """Try until the model is free; a pause between lets the other thread have the GIL."""
        while True:
            time.sleep(0.001)
            try:
                return call(argument)
            except RuntimeError as error:
                refusals.append(str(error))

    thread = threading.Thread(target=insist, args=(model.count, long_text))
    thread.start()
    while thread.is_alive():
        insist(model.distribution, [0])
    thread.join()
    assert set(refusals) == {"this NGram is in use by another thread"}
    assert model.loss(long_text[:1000]) == NGramModel(6, 50).count(long_text).loss(long_text[:1000])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals on this system")
def test_ctrl_c_stops_counting_and_leaves_the_counts(long_text):
    model = NGramModel(6, 50).count([0, 1, 0, 1])
    before = model.distribution([0])

    def interrupt(*_):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            model.count(long_text)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    np.testing.assert_array_equal(model.distribution([0]), before)
