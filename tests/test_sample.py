"""Sampling: which tokens the filters keep, where draws fall, and what is refused."""

import numpy as np
import pytest

INF = float("inf")


def slow_probs(logits, temperature=1.0, top_k=0, top_p=1.0):
    """The filters, one after the other, with a full sort."""
    logits = np.asarray(logits, np.float64)
    ranked = np.lexsort((np.arange(logits.size), -logits))
    if temperature == 0:
        return np.where(np.arange(logits.size) == ranked[0], 1.0, 0.0)
    kept = ranked[:top_k] if top_k else ranked
    weights = np.exp((logits[kept] - logits.max()) / temperature)
    if top_p < 1:
        reached = np.cumsum(weights) >= top_p * weights.sum()
        kept = kept[: max(1, int(np.argmax(reached)) + 1)]
    probs = np.zeros(logits.size)
    probs[kept] = weights[: kept.size] / weights[: kept.size].sum()
    return probs


def random_logits(size, seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(scale=scale, size=size).astype(np.float32)


SETTINGS = [
    {},
    {"temperature": 0},
    {"temperature": 0.5},
    {"temperature": 2.0},
    {"top_k": 1},
    {"top_k": 7},
    {"top_p": 0.3},
    {"top_p": 0.95},
    {"top_p": 0.0},
    {"temperature": 0.8, "top_k": 40, "top_p": 0.9},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("size", [1, 2, 65, 1000, 33278])
def test_filters_follow_a_full_sort(core, size, settings):
    logits = random_logits(size)
    probs = core.sample_probs(logits, **settings)
    np.testing.assert_allclose(probs, slow_probs(logits, **settings), rtol=0, atol=1e-12)
    assert abs(probs.sum() - 1) < 1e-12


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_equal_logits_go_by_id(core, settings):
    logits = np.round(random_logits(500, scale=1.0))  # a handful of different values
    probs = core.sample_probs(logits, **settings)
    np.testing.assert_allclose(probs, slow_probs(logits, **settings), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ["rising", "falling", "equal", "organ pipe"])
def test_a_million_tokens_in_any_order(core, order):
    ramp = np.linspace(0, 20, 1_000_000, dtype=np.float32)
    logits = {
        "rising": ramp,
        "falling": ramp[::-1],
        "equal": np.zeros_like(ramp),
        "organ pipe": np.concatenate([ramp[::2], ramp[::-2]]),
    }[order]
    probs = core.sample_probs(logits, top_k=1000, top_p=0.9)
    np.testing.assert_allclose(probs, slow_probs(logits, top_k=1000, top_p=0.9), rtol=0, atol=1e-12)


def test_masked_tokens_are_never_drawn(core):
    logits = np.array([-INF, 1.0, -INF, 0.0], np.float32)
    np.testing.assert_allclose(core.sample_probs(logits, top_k=3), slow_probs(logits), atol=1e-12)
    assert {core.sample(logits, seed=0, offset=i) for i in range(100)} == {1, 3}


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_draws_follow_the_probabilities(core, settings):
    draws, logits = 20_000, random_logits(12, scale=1.0)
    expected = draws * slow_probs(logits, **settings)
    drawn = [core.sample(logits, **settings, seed=5, offset=i) for i in range(draws)]
    counts = np.bincount(drawn, minlength=logits.size)
    possible = expected > 0
    assert counts[~possible].sum() == 0
    chi_square = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    assert chi_square < 31.3  # 99.9 % of all runs, 11 degrees of freedom


def test_a_draw_is_a_function_of_seed_and_offset(core):
    logits = random_logits(1000)
    draws = [[core.sample(logits, seed=s, offset=i) for i in range(50)] for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0])) > 10


def test_the_first_draw_takes_the_philox_words(core):
    """A change of the stream would change every text that was ever written with a seed."""
    logits = np.zeros(1 << 16, np.float32)
    words = core.philox(3, 8, 2**64 - 1)
    assert core.sample(logits, seed=3, offset=8) == words[0] >> 16


def test_draws_share_nothing_with_the_start_of_a_dropout_stream(core):
    logits = np.zeros(1 << 16, np.float32)
    draws = [core.sample(logits, seed=1, offset=i) for i in range(20)]
    assert all(draw != core.philox(1, i, 0)[0] >> 16 for i, draw in enumerate(draws))


@pytest.mark.parametrize(
    ("logits", "settings", "error", "says"),
    [
        ([0, np.nan, 0], {}, ValueError, r"logits\[1\].*nan"),
        ([0, 0, INF], {}, ValueError, r"logits\[2\].*inf"),
        ([-INF, -INF], {}, ValueError, "all 2 are -inf"),
        ([], {}, ValueError, "logits.*got 0"),
        ([[0.0, 1.0]], {}, ValueError, "logits.*one axis.*2"),
        ([0, 1], {"temperature": -0.5}, ValueError, "temperature.*-0.5"),
        ([0, 1], {"temperature": np.nan}, ValueError, "temperature.*nan"),
        ([0, 1], {"top_k": -1}, ValueError, "top_k.*-1"),
        ([0, 1], {"top_p": 1.5}, ValueError, "top_p.*1.5"),
        ([0, 1], {"top_p": -0.1}, ValueError, "top_p.*-0.1"),
    ],
)
def test_bad_input(core, logits, settings, error, says):
    logits = np.array(logits, np.float32)
    with pytest.raises(error, match=says):
        core.sample(logits, **settings)
    with pytest.raises(error, match=says):
        core.sample_probs(logits, **settings)


def test_logits_of_another_type(core):
    with pytest.raises(TypeError, match="logits.*float32.*float64"):
        core.sample(np.zeros(3))


def test_logits_need_not_be_contiguous(core):
    logits = random_logits(20)
    np.testing.assert_array_equal(
        core.sample_probs(logits[::2]), core.sample_probs(logits[::2].copy())
    )
