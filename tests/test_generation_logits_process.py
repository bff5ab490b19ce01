import numpy as np
import pytest

from minilm.generation import (
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    PrefixConstrainedLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

VOCAB, ROWS = 6, 40
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCAB, (ROWS, 12))
PADDED = IDS.copy()
for row, pads in enumerate(RNG.integers(0, 10, ROWS)):
    PADDED[row, :pads] = -1
SCORES = RNG.normal(size=(ROWS, VOCAB)).astype(np.float32)


# --- slow twins: one text, plain lists, no padding ------------------------------------------------


def slow_penalty(text, scores, penalty):
    return [
        (s / penalty if s > 0 else s * penalty) if token in text else s
        for token, s in enumerate(scores)
    ]


def slow_no_repeat(text, scores, size):
    grams = {tuple(text[i : i + size]) for i in range(len(text) - size + 1)}
    begun = text[len(text) - size + 1 :] if size > 1 else []
    if len(begun) < size - 1:
        return scores
    return [-np.inf if (*begun, t) in grams else s for t, s in enumerate(scores)]


def slow_bad_words(text, scores, words):
    return [
        -np.inf if any((text + [t])[-len(w) :] == w for w in words) else s
        for t, s in enumerate(scores)
    ]


WORDS = [[1], [2, 3], [0, 4, 5], [3, 3]]
TWINS = {
    "penalty": (RepetitionPenaltyLogitsProcessor(1.7), lambda t, s: slow_penalty(t, s, 1.7)),
    "reward": (RepetitionPenaltyLogitsProcessor(0.4), lambda t, s: slow_penalty(t, s, 0.4)),
    "1-grams": (NoRepeatNGramLogitsProcessor(1), lambda t, s: slow_no_repeat(t, s, 1)),
    "2-grams": (NoRepeatNGramLogitsProcessor(2), lambda t, s: slow_no_repeat(t, s, 2)),
    "3-grams": (NoRepeatNGramLogitsProcessor(3), lambda t, s: slow_no_repeat(t, s, 3)),
    "bad words": (NoBadWordsLogitsProcessor(WORDS), lambda t, s: slow_bad_words(t, s, WORDS)),
    "suppressed": (
        SuppressTokensLogitsProcessor([0, 5]),
        lambda t, s: [-np.inf if i in (0, 5) else x for i, x in enumerate(s)],
    ),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("ids", [IDS, PADDED], ids=["whole", "padded"])
def test_processors_do_what_their_slow_twins_do(name, ids):
    processor, twin = TWINS[name]
    before = SCORES.copy()
    found = processor(ids, SCORES)
    for text, scores, row in zip(ids, SCORES, found, strict=True):
        expected = twin(text[text >= 0].tolist(), scores.tolist())
        np.testing.assert_allclose(row, expected, rtol=1e-6)
    assert found.dtype == np.float32 and (SCORES == before).all()
    assert (found != SCORES).any()


def test_a_bad_word_that_is_the_end_alone_is_left_out():
    found = NoBadWordsLogitsProcessor([[1], [2]], eos_token_id=2)(IDS, SCORES)
    assert np.isinf(found[:, 1]).all() and (found[:, 2] == SCORES[:, 2]).all()


def test_a_text_does_not_end_too_early():
    early = MinLengthLogitsProcessor(13, [1, 2])(IDS, SCORES)
    assert np.isinf(early[:, 1:3]).all() and np.isfinite(early[:, 3:]).all()
    assert MinLengthLogitsProcessor(12, 1)(IDS, SCORES) is SCORES
    assert np.isinf(MinNewTokensLengthLogitsProcessor(10, 3, 4)(IDS, SCORES)[:, 4]).all()
    assert MinNewTokensLengthLogitsProcessor(10, 2, 4)(IDS, SCORES) is SCORES


def test_a_function_says_what_may_come():
    seen = []

    def allowed(prompt, text):
        seen.append((prompt, text.tolist()))
        return [prompt, 5]

    found = PrefixConstrainedLogitsProcessor(allowed, num_beams=2)(PADDED[:6], SCORES[:6])
    assert [prompt for prompt, _ in seen] == [0, 0, 1, 1, 2, 2]
    assert [text for _, text in seen] == [row[row >= 0].tolist() for row in PADDED[:6]]
    for row, (prompt, _) in enumerate(seen):
        assert np.flatnonzero(np.isfinite(found[row])).tolist() == [prompt, 5]
        assert (found[row, [prompt, 5]] == SCORES[row, [prompt, 5]]).all()


def test_a_function_that_allows_nothing_is_refused():
    with pytest.raises(ValueError, match="allows no token for prompt 0 after 12 ids"):
        PrefixConstrainedLogitsProcessor(lambda prompt, text: [])(IDS, SCORES)


@pytest.mark.parametrize(
    ("processor", "what"),
    [
        (SuppressTokensLogitsProcessor([6]), "suppress_tokens"),
        (NoBadWordsLogitsProcessor([[1, 9]]), "bad_words_ids"),
        (PrefixConstrainedLogitsProcessor(lambda prompt, text: [1, -1]), "prefix_allowed_tokens"),
    ],
)
def test_ids_outside_the_vocabulary_are_refused(processor, what):
    with pytest.raises(IndexError, match=rf"{what}.*outside the vocabulary, 0 to 5"):
        processor(IDS, SCORES)


def test_a_list_goes_from_the_first_to_the_last():
    both = LogitsProcessorList([lambda ids, s: s + 1, lambda ids, s: s * 2])
    assert both(IDS, SCORES).tolist() == ((SCORES + 1) * 2).tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RepetitionPenaltyLogitsProcessor(0), "penalty must be above 0; got 0"),
        (lambda: NoRepeatNGramLogitsProcessor(0), "ngram_size must be at least 1; got 0"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
