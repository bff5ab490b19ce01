import math

import numpy as np
import pytest

from minilm import _core
from minilm.generation import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)
from minilm.generation.warpers import log_probabilities, probabilities

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(60, 9), scale=2).astype(np.float32)
SCORES[::4, 2:5] = SCORES[::4, 2:3]  # ties
SCORES[::5, [0, 7]] = -np.inf  # what a rule has forbidden


def softmax(scores):
    weights = [math.exp(s - max(scores)) for s in scores]
    return [w / sum(weights) for w in weights]


def likeliest_first(scores):
    return sorted(range(len(scores)), key=lambda t: (-scores[t], t))


def slow_top_k(scores, k):
    return set(likeliest_first(scores)[:k])


def slow_top_p(scores, p, least=1):
    kept, total = set(), 0.0
    for token in likeliest_first(scores):
        if total < p or len(kept) < least:
            kept.add(token)
            total += softmax(scores)[token]
    return kept


def slow_min_p(scores, p, least=1):
    probs = softmax(scores)
    kept = {t for t in range(len(scores)) if probs[t] >= p * max(probs)}
    return kept | set(likeliest_first(scores)[:least])


def slow_typical(scores, mass, least=1):
    probs = softmax(scores)
    entropy = -sum(p * math.log(p) for p in probs if p > 0)
    distance = [abs(-math.log(p) - entropy) if p > 0 else math.inf for p in probs]
    order = sorted(range(len(scores)), key=lambda t: (distance[t], t))
    kept, total = set(), 0.0
    for token in order:
        last = distance[token]
        kept.add(token)
        total += probs[token]
        if total >= mass:
            break
    kept |= {t for t in order if distance[t] <= last}  # ties with the last one stay
    return kept | set(order[:least])


CASES = {
    "top_k 1": (TopKLogitsWarper(1), lambda s: slow_top_k(s, 1)),
    "top_k 4": (TopKLogitsWarper(4), lambda s: slow_top_k(s, 4)),
    "top_k 99": (TopKLogitsWarper(99), lambda s: slow_top_k(s, 99)),
    "top_k least": (TopKLogitsWarper(1, 3), lambda s: slow_top_k(s, 3)),
    "top_p 0": (TopPLogitsWarper(0.0), lambda s: slow_top_p(s, 0)),
    "top_p 0.7": (TopPLogitsWarper(0.7), lambda s: slow_top_p(s, 0.7)),
    "top_p least": (TopPLogitsWarper(0.1, 3), lambda s: slow_top_p(s, 0.1, 3)),
    "min_p 0.2": (MinPLogitsWarper(0.2), lambda s: slow_min_p(s, 0.2)),
    "min_p least": (MinPLogitsWarper(0.9, 2), lambda s: slow_min_p(s, 0.9, 2)),
    "typical 0.3": (TypicalLogitsWarper(0.3), lambda s: slow_typical(s, 0.3)),
    "typical 0.8": (TypicalLogitsWarper(0.8), lambda s: slow_typical(s, 0.8)),
    "typical least": (TypicalLogitsWarper(0.1, 3), lambda s: slow_typical(s, 0.1, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_warpers_keep_what_their_slow_twins_keep(name):
    warper, twin = CASES[name]
    found = warper(np.zeros((60, 1), np.int64), SCORES)
    for scores, row in zip(SCORES, found, strict=True):
        kept = {t for t in twin(scores.tolist()) if scores[t] > -np.inf}
        assert set(np.flatnonzero(row > -np.inf).tolist()) == kept
        assert all(row[t] == scores[t] for t in kept)


@pytest.mark.parametrize(
    ("options", "warpers"),
    [
        ({"temperature": 0.7}, [TemperatureLogitsWarper(0.7)]),
        ({"top_k": 4}, [TopKLogitsWarper(4)]),
        ({"top_p": 0.6}, [TopPLogitsWarper(0.6)]),
        (
            {"temperature": 1.3, "top_k": 5, "top_p": 0.8},
            [TemperatureLogitsWarper(1.3), TopKLogitsWarper(5), TopPLogitsWarper(0.8)],
        ),
    ],
    ids=str,
)
def test_the_core_draws_from_the_same_distribution(options, warpers):
    scores = SCORES
    for warper in warpers:
        scores = warper(None, scores)
    expected = np.stack([_core.sample_probs(row, **options) for row in SCORES])
    np.testing.assert_allclose(probabilities(scores), expected, atol=1e-6)


def test_probabilities_of_large_scores_are_finite():
    scores = np.array([[1e4, 1e4, -np.inf]], np.float32)
    assert probabilities(scores).tolist() == [[0.5, 0.5, 0.0]]
    np.testing.assert_allclose(log_probabilities(scores)[0, :2], math.log(0.5), rtol=1e-6)
    assert log_probabilities(scores)[0, 2] == -np.inf


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TemperatureLogitsWarper(0), "temperature must be above 0; got 0"),
        (lambda: TopKLogitsWarper(0), "top_k must be at least 1; got 0"),
        (lambda: TopPLogitsWarper(1.5), "top_p must be a probability, 0 to 1; got 1.5"),
        (lambda: MinPLogitsWarper(-0.1), "min_p must be a probability, 0 to 1; got -0.1"),
        (lambda: TypicalLogitsWarper(1), "mass must be between 0 and 1; got 1"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
