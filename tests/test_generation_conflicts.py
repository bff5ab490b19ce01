import warnings

import pytest
from generation_helpers import recurrent

from minilm.generation import GenerationConfig, TextStreamer, generate
from minilm.generation.conflicts import length_of, settle

PROMPT = [1, 2, 3]


def settled(asked, **models_own) -> GenerationConfig:
    return settle(GenerationConfig(**models_own).updated(asked), asked)


def test_where_nobody_says_how_many_tokens_at_most_the_least_may_be_more():
    assert length_of(settled({}), 3) == 50
    assert length_of(settled({"min_new_tokens": 51}), 3) == 51
    assert length_of(settled({"min_length": 60}), 3) == 57
    assert length_of(settled({"min_new_tokens": 2}), 3) == 50


def test_tokens_are_drawn_unless_something_says_otherwise():
    assert settled({}).do_sample is True
    assert settled({"num_beams": 2}).do_sample is False
    assert settled({"num_beams": 2, "do_sample": True}).do_sample is True
    assert settled({"temperature": 0}).do_sample is False
    assert settled({}, do_sample=False).do_sample is False


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"max_new_tokens": 2, "max_length": 9}, "both max_new_tokens and max_length.* wins"),
        ({"min_new_tokens": 2, "min_length": 9}, "both min_new_tokens and min_length.* wins"),
        ({"do_sample": False, "temperature": 0.5}, "do_sample=False .*wins: temperature has no"),
        ({"num_beams": 2, "top_k": 5, "min_p": 0.1}, "num_beams=2 .*wins: top_k, min_p has no"),
        ({"length_penalty": 2.0}, "length_penalty has no effect without beams"),
        ({"early_stopping": True}, "early_stopping has no effect without beams"),
        ({"output_scores": True}, "output_scores has no effect without return_dict_in_generate"),
    ],
    ids=str,
)
def test_of_options_that_contradict_each_other_one_wins_and_it_is_said(asked, message):
    with pytest.warns(UserWarning, match=message) as said:
        settled(asked)
    assert len(said) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"do_sample": False, "temperature": 1.0, "top_p": 1.0, "seed": None},
        {"temperature": 0, "top_k": 3},
        {"num_beams": 2, "length_penalty": 2.0, "early_stopping": True},
        {"num_beams": 2, "do_sample": True, "temperature": 0.5},
        {"max_length": 9, "min_new_tokens": 2},
    ],
    ids=str,
)
def test_nothing_is_said_where_all_is_well(asked):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settled({name: value for name, value in asked.items() if name != "seed"})
        settled({}, temperature=0.5, do_sample=False)  # the model's own; nobody asked


def test_it_is_said_once_for_a_line_and_points_at_it():
    model = recurrent()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for _ in range(3):
            model.generate(PROMPT, 2, do_sample=False, temperature=0.5)
    assert [warning.filename for warning in said] == [__file__]


def test_lengths():
    assert length_of(settled({}), 3) == 50
    assert length_of(settled({"max_length": 9}), 3) == 6
    assert length_of(settled({"max_length": 9}, max_new_tokens=2), 3) == 6
    assert length_of(settled({"max_new_tokens": 2}, max_length=9), 3) == 2
    assert length_of(settled({"max_length": 3}), 3) == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"max_length": 2}, "max_length is 2, but the prompt has 3 tokens"),
        ({"min_new_tokens": 5, "max_new_tokens": 3}, "min_new_tokens asks for 5 .* allows 3"),
        ({"min_length": 9, "max_length": 8}, "min_length asks for 6 new tokens, max_length 8 al"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences is 3, but of 2 beams"),
        ({"do_sample": False, "num_return_sequences": 2}, "taking the likeliest gives one text"),
        ({"stop_strings": "a"}, "pass the tokenizer"),
        ({"num_beams": 2, "streamer": TextStreamer.__new__(TextStreamer)}, "nothing to stream"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        generate(recurrent(), PROMPT, **asked)


def test_texts_that_end_one_by_one_need_something_to_fill_up_with():
    never = [lambda ids, scores: False]
    with pytest.raises(ValueError, match="pad_token_id says what to fill them up with"):
        generate(recurrent(), [PROMPT, PROMPT], 3, stopping_criteria=never)
    assert generate(recurrent(), PROMPT, 3, stopping_criteria=never).shape == (6,)
    options = {"stopping_criteria": never, "pad_token_id": 0}
    assert generate(recurrent(), [PROMPT, PROMPT], 3, **options).shape == (2, 6)


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(TypeError, match="no option 'max_new_token'; did you mean 'max_new_tokens'"):
        recurrent().generate(PROMPT, max_new_token=3)


def test_the_folder_is_named_where_it_takes_the_likeliest():
    model = recurrent()
    model.generation_config = GenerationConfig(do_sample=False)
    with pytest.warns(UserWarning, match=r"the model's generation_config .* top_k has no effect"):
        generate(model, [0], 2, top_k=3)
