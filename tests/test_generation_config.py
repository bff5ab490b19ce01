import json

import pytest

from minilm.generation import GenerationConfig
from minilm.models import from_pretrained, save_pretrained
from minilm.models.errors import FolderError
from minilm.models.rnn import RNNModel


def test_defaults_and_what_differs_from_them():
    config = GenerationConfig(top_k=5, eos_token_id=[1, 2])
    assert (config.temperature, config.do_sample, config.max_new_tokens) == (1.0, None, None)
    assert config.changes() == config.to_dict() == {"top_k": 5, "eos_token_id": [1, 2]}
    assert config == GenerationConfig(top_k=5, eos_token_id=(1, 2), temperature=None)
    assert config.updated({"top_k": None, "top_p": 0.5}).changes() == {
        "top_p": 0.5,
        "eos_token_id": [1, 2],
    }
    assert config.changes()["top_k"] == 5  # the first is as it was


def test_what_fills_up():
    assert GenerationConfig().fill_id is None
    assert GenerationConfig(eos_token_id=[3, 4]).fill_id == 3
    assert GenerationConfig(eos_token_id=3, pad_token_id=0).fill_id == 0


def test_it_is_kept_beside_the_model(tmp_path):
    model = RNNModel(5, 4, 6)
    model.generation_config.top_k = 3
    model.generation_config.eos_token_id = 2
    save_pretrained(model, tmp_path)
    file = json.loads((tmp_path / "generation_config.json").read_text(encoding="utf-8"))
    assert file == {"top_k": 3, "eos_token_id": 2}
    again = from_pretrained(tmp_path)
    assert again.generation_config == model.generation_config
    assert again.quantize().generation_config == model.generation_config
    assert GenerationConfig.from_pretrained(tmp_path) == model.generation_config
    GenerationConfig(top_p=0.5).save_pretrained(tmp_path / "new")
    assert GenerationConfig.from_pretrained(tmp_path / "new").top_p == 0.5


def test_a_file_of_transformers_means_what_it_means_there():
    file = {"eos_token_id": 6, "transformers_version": "5.24.0", "_from_model_config": True}
    config = GenerationConfig.from_dict(file)
    assert (config.do_sample, config.top_k, config.max_new_tokens) == (False, 50, 20)
    assert config.to_dict() == file
    assert GenerationConfig.from_dict({**file, "max_length": 9}).max_new_tokens is None
    drawing = GenerationConfig.from_dict({**file, "do_sample": True, "top_k": 0})
    assert (drawing.do_sample, drawing.top_k) == (True, 0)
    assert GenerationConfig.from_dict(drawing.to_dict()) == drawing
    ours = GenerationConfig.from_dict({"eos_token_id": 6})
    assert (ours.do_sample, ours.top_k, ours.max_new_tokens) == (None, 0, None)


def test_the_same_file_by_transformers_itself(tmp_path):
    theirs = pytest.importorskip("transformers").GenerationConfig
    theirs(eos_token_id=6, temperature=0.5, do_sample=True).save_pretrained(tmp_path)
    config = GenerationConfig.from_pretrained(tmp_path)
    assert (config.eos_token_id, config.temperature, config.do_sample) == (6, 0.5, True)
    config.save_pretrained(tmp_path / "back")
    back = theirs.from_pretrained(tmp_path / "back")
    assert (back.eos_token_id, back.temperature, back.do_sample) == (6, 0.5, True)


def test_keys_that_nobody_knows_are_kept_and_slips_are_named():
    with pytest.warns(UserWarning, match="no option 'temprature'; did you mean 'temperature'"):
        config = GenerationConfig.from_dict({"temprature": 0.5, "something": [1]})
    assert config.to_dict() == {"temprature": 0.5, "something": [1]}
    with pytest.warns(UserWarning, match="forced_eos_token_id is 3, which minilm does not compute"):
        GenerationConfig.from_dict({"forced_eos_token_id": 3, "num_beam_groups": 1})


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(TypeError, match="no option 'num_beam'; did you mean 'num_beams'"):
        GenerationConfig(num_beam=2)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("max_new_tokens", -1, "a number of tokens, 0 or more, got -1"),
        ("max_length", 1.5, "a number of tokens"),
        ("temperature", float("nan"), "a finite number, 0 or more"),
        ("temperature", "hot", "a finite number"),
        ("top_k", True, "0 for all tokens, or how many, got True"),
        ("top_p", 1.1, "a probability, 0 to 1, got 1.1"),
        ("min_p", -0.1, "a probability"),
        ("typical_p", 0.0, "a probability above 0, up to 1"),
        ("repetition_penalty", 0, "a number above 0, got 0"),
        ("no_repeat_ngram_size", -1, "the size of an n-gram"),
        ("num_beams", 0, "a whole number of at least 1, got 0"),
        ("length_penalty", float("inf"), "a number from -30 to 30"),
        ("length_penalty", 500.0, "a number from -30 to 30"),
        ("early_stopping", "always", "True, False or 'never', got 'always'"),
        ("do_sample", 1, "True or False, got 1"),
        ("eos_token_id", ["7"], "an id, a list of ids, or None"),
        ("eos_token_id", 2**70, "an id"),
        ("pad_token_id", -1, "an id, or None for none, got -1"),
        ("stop_strings", ["a", ""], "a text, or a list of them"),
        ("bad_words_ids", [1, 2], "lists of ids, none of them empty"),
        ("bad_words_ids", [[]], "lists of ids, none of them empty"),
        ("suppress_tokens", "12", "a list of ids"),
        ("max_time", -1, "seconds, 0 or more"),
    ],
)
def test_values_out_of_range(option, value, expected):
    with pytest.raises(ValueError, match=f"{option}: expected {expected}"):
        GenerationConfig(**{option: value})


def test_attributes_are_checked_when_they_are_used():
    model = RNNModel(5, 4, 6)
    model.generation_config.top_p = 7
    with pytest.raises(ValueError, match="top_p: expected a probability"):
        model.generate([1])


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "generation_config.json"
    with pytest.raises(FolderError, match="has no generation_config.json"):
        GenerationConfig.from_pretrained(tmp_path)
    for content, message in [("{", "damaged"), ("[]", "expected an object"), ('{"top_k": -1}', "")]:
        path.write_text(content, encoding="utf-8")
        with pytest.raises(FolderError, match=f"generation_config.json.*{message}"):
            GenerationConfig.from_pretrained(tmp_path)


def test_old_files_say_minus_one_for_no_padding():
    assert GenerationConfig.from_dict({"pad_token_id": -1}).pad_token_id is None


def test_what_is_not_computed_may_be_said_where_it_does_nothing():
    assert GenerationConfig(renormalize_logits=False, sequence_bias=None) == GenerationConfig()
    with pytest.raises(TypeError, match="renormalize_logits is True, which minilm does not comp"):
        GenerationConfig(renormalize_logits=True)
