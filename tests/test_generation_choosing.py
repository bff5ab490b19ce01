import math

import numpy as np
import pytest
from generation_helpers import MODELS

from minilm.generation import (
    GenerationConfig,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
    generate,
)
from minilm.generation.choosing import Draw, criteria_of, draw_of, rules_of, warpers_of

SCORES = np.array([[1.0, 0.2, -0.3, 2.0, -1.0, 0.5]], np.float32)
# Of chi-square with n degrees of freedom, 1 in 10,000 lies above.
LIMITS = {1: 15.14, 2: 18.42, 3: 21.11, 4: 23.51, 5: 25.74}


def chi_square(counts: np.ndarray, probs: np.ndarray) -> tuple[float, int]:
    kept = probs > 0
    assert counts[~kept].sum() == 0
    expected = counts.sum() * probs[kept]
    return float(((counts[kept] - expected) ** 2 / expected).sum()), int(kept.sum()) - 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.5},
        {"top_k": 3},
        {"top_p": 0.8},
        {"min_p": 0.2},
        {"typical_p": 0.7},
        {"temperature": 1.5, "top_k": 5, "top_p": 0.9, "min_p": 0.1},
    ],
    ids=str,
)
def test_tokens_are_as_frequent_as_their_probabilities(options):
    config = GenerationConfig(do_sample=True, **options)
    scores = warpers_of(config)(np.zeros((1, 1), np.int64), SCORES)
    weights = np.exp(scores[0].astype(np.float64))
    warpers, draw = draw_of(config, seed=0)
    drawn_from = warpers(np.zeros((1, 1), np.int64), SCORES)
    counts = np.bincount([draw(drawn_from, i)[0] for i in range(6000)], minlength=6)
    statistic, degrees = chi_square(counts, weights / weights.sum())
    assert degrees == 0 or statistic < LIMITS[degrees]


def test_what_is_drawn_for_a_text_does_not_depend_on_its_neighbours():
    draw = Draw(1.0, 0, 1.0, seed=5)
    flat = np.zeros((3, 50), np.float32)
    rows = [draw(flat, i).tolist() for i in range(20)]
    alone = [Draw(1.0, 0, 1.0, seed=6)(flat[:1], i)[0] for i in range(20)]
    assert [row[1] for row in rows] == alone
    assert [row[0] for row in rows] != alone


def test_the_core_draws_alone_where_it_knows_all_that_is_asked_for():
    known = GenerationConfig(do_sample=True, temperature=0.5, top_k=3, top_p=0.9)
    assert draw_of(known, 1) == ([], Draw(0.5, 3, 0.9, 1))
    assert draw_of(GenerationConfig(do_sample=False, top_k=3), 1) == ([], Draw(0.0, 0, 1.0, 1))
    warpers, draw = draw_of(known.updated({"min_p": 0.1, "typical_p": 0.5}), 1)
    assert draw == Draw(1.0, 0, 1.0, 1)
    assert list(map(type, warpers)) == [
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
        MinPLogitsWarper,
        TypicalLogitsWarper,
    ]


def test_beams_keep_a_token_beside_those_that_end_a_text():
    config = GenerationConfig(do_sample=True, num_beams=2, top_k=1, eos_token_id=[0, 1])
    (warper,) = warpers_of(config)
    assert warper.top_k == 3


def test_rules_come_in_hugging_faces_order():
    config = GenerationConfig(
        repetition_penalty=1.2,
        no_repeat_ngram_size=2,
        bad_words_ids=[[1]],
        min_new_tokens=2,
        eos_token_id=0,
        suppress_tokens=[3],
    )
    rules = rules_of(config, 4, lambda prompt, ids: [1], own=[lambda ids, scores: scores])
    assert [type(rule).__name__ for rule in rules] == [
        "RepetitionPenaltyLogitsProcessor",
        "NoRepeatNGramLogitsProcessor",
        "NoBadWordsLogitsProcessor",
        "MinNewTokensLengthLogitsProcessor",
        "PrefixConstrainedLogitsProcessor",
        "SuppressTokensLogitsProcessor",
        "_OwnProcessor",
    ]
    assert rules_of(GenerationConfig(), 4) == [] and criteria_of(GenerationConfig()) == []


def test_own_functions_see_padding_as_the_id_that_fills_up():
    seen = []

    def processor(ids, scores):
        seen.append(ids.tolist())
        return scores

    model, mask = MODELS["gpt2"](), [[0, 1], [1, 1]]
    options = {"attention_mask": mask, "do_sample": False, "pad_token_id": 6}
    ids = generate(model, [[0, 3], [1, 4]], 2, logits_processor=[processor], **options).numpy()
    assert seen[0] == [[6, 3], [1, 4]] and seen[1] == [[6, 3, ids[0, 2]], ids[1, :3].tolist()]


def test_the_limits_are_those_of_chi_square():
    """With 2 degrees of freedom, P(X > x) is exp(-x / 2)."""
    assert math.exp(-LIMITS[2] / 2) == pytest.approx(1e-4, rel=1e-3)
