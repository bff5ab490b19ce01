"""What a caller may say, and what it is told where that does not fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from generation_helpers import MODELS, VOCAB, gpt2, recurrent

import minilm
from minilm.generation import generate

PROMPT = [1, 3, 2]


def test_an_empty_list_of_ends_is_no_end():
    model = recurrent()
    model.generation_config.eos_token_id = list(range(VOCAB))
    assert len(generate(model, PROMPT, 9)) == 4
    assert len(generate(model, PROMPT, 9, eos_token_id=[])) == 12


@pytest.mark.parametrize("name", ["lstm", "gpt2", "ngram"])
@pytest.mark.parametrize("beams", [1, 2])
def test_seeds_are_taken_modulo_their_size(name, beams):
    model, options = MODELS[name](), {"num_beams": beams, "do_sample": True}
    texts = [generate(model, PROMPT, 8, seed=seed, **options) for seed in (-1, 2**64 - 1)]
    assert texts[0].tolist() == texts[1].tolist()


@pytest.mark.parametrize("seed", ["a", 1.5])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(TypeError, match="seed: expected a whole number, got"):
        generate(recurrent(), PROMPT, 2, seed=seed)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("inputs", "the prompt is called input_ids"),
        ("inputs_embeds", "a prompt is ids"),
        ("past_key_values", "kept inside"),
        ("position_ids", "along the attention_mask"),
    ],
)
def test_other_inputs_are_answered_with_what_to_do(name, hint):
    assert len(generate(gpt2(), PROMPT, 2, **{name: None})) == 5
    with pytest.raises(TypeError, match=f"generate takes no {name}: .*{hint}"):
        generate(gpt2(), PROMPT, 2, **{name: [PROMPT]})


def test_a_prompt_of_which_the_model_sees_a_part_is_told():
    model = gpt2()
    longest = model.max_length
    with pytest.warns(UserWarning, match=f"{longest + 1} tokens, .* sees the last {longest} alone"):
        generate(model, [1] * (longest + 1), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generate(model, [1] * longest, 1)
        generate(recurrent(), [1] * (longest + 1), 1)


def doubles(ids, scores):
    return minilm.tensor(scores * 2)


def nothing(ids, scores):
    return None


def narrow(ids, scores):
    return scores[:, 1:]


def test_a_processor_may_return_a_tensor():
    options = {"do_sample": False, "logits_processor": [doubles]}
    written = generate(recurrent(), PROMPT, 6, **options)
    assert written.tolist() == generate(recurrent(), PROMPT, 6, do_sample=False).tolist()


@pytest.mark.parametrize(("function", "got"), [(nothing, "None"), (narrow, r"\(1, 6\)")])
def test_what_a_processor_returns_is_checked(function, got):
    with pytest.raises(ValueError, match=rf"{function.__name__}: expected scores of .*{got}"):
        generate(recurrent(), PROMPT, 2, logits_processor=[function])


@pytest.mark.parametrize("result", [None, np.zeros(3, bool), 0.5])
def test_what_a_criterion_returns_is_checked(result):
    with pytest.raises(ValueError, match="True or False for each of 1 texts, got"):
        generate(recurrent(), PROMPT, 2, stopping_criteria=[lambda ids, scores: result])


def test_a_criterion_may_say_one_thing_for_all():
    written = generate(recurrent(), PROMPT, 5, stopping_criteria=[lambda ids, scores: True])
    assert len(written) == len(PROMPT) + 1
