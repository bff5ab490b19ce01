import json

import pytest

from minilm.models import AutoConfig, DistilBertConfig, GPT2Config, LlamaConfig
from minilm.models.errors import FolderError


def test_defaults_are_those_of_the_published_models():
    gpt2, llama, distilbert = GPT2Config(), LlamaConfig(), DistilBertConfig()
    assert (gpt2.vocab_size, gpt2.n_positions, gpt2.n_embd) == (50257, 1024, 768)
    assert (gpt2.eos_token_id, gpt2.pad_token_id, gpt2.tie_word_embeddings) == (50256, None, True)
    assert (llama.head_dim, llama.num_key_value_heads, llama.tie_word_embeddings) == (
        128,
        32,
        False,
    )
    assert llama.rope_parameters == {"rope_theta": 10000.0, "rope_type": "default"}
    assert (distilbert.n_layers, distilbert.hidden_dim, distilbert.pad_token_id) == (6, 3072, 0)


@pytest.mark.parametrize("config_class", ["GPT2Config", "LlamaConfig", "DistilBertConfig"])
def test_defaults_are_those_of_transformers(config_class):
    theirs = getattr(pytest.importorskip("transformers"), config_class)().to_dict()
    ours = globals()[config_class]().to_dict()
    shared = theirs.keys() & ours.keys()
    assert {"vocab_size", "model_type", "pad_token_id"} <= shared
    for name in shared - {"architectures", "rope_parameters"}:
        assert ours[name] == theirs[name], name
    assert set(ours) <= set(theirs)


def test_common_names_stand_for_each_models_own():
    config = GPT2Config(hidden_size=48, num_hidden_layers=3, num_attention_heads=3, vocab_size=65)
    assert (config.n_embd, config.n_layer, config.n_head) == (48, 3, 3)
    assert (config.hidden_size, config.max_position_embeddings) == (48, 1024)
    config.max_position_embeddings = 64
    assert config.n_positions == 64
    assert DistilBertConfig(hidden_size=24, num_attention_heads=2).dim == 24


@pytest.mark.parametrize(
    ("preset", "sizes"),
    [("gpt-nano", (3, 3, 48)), ("gpt-mini", (6, 6, 192)), ("gpt2", (12, 12, 768))],
)
def test_presets(preset, sizes):
    config = GPT2Config.from_preset(preset, vocab_size=65, n_positions=64)
    assert (config.n_layer, config.n_head, config.n_embd) == sizes
    assert (config.vocab_size, config.n_positions) == (65, 64)


def test_small_presets_have_no_ids_beyond_a_small_vocabulary():
    assert GPT2Config.from_preset("gpt-nano", vocab_size=65).eos_token_id is None


def test_an_unknown_preset_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="gpt-nano, gpt-mini, gpt2; got 'gpt-3'"):
        GPT2Config.from_preset("gpt-3")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_layers": 3}, "GPT2Config has no setting 'n_layers'; did you mean 'n_layer'?"),
        ({"zzz": 3}, "GPT2Config has no setting 'zzz'$"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest(settings, message):
    with pytest.raises(TypeError, match=message):
        GPT2Config(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_layer": 0}, "n_layer must be a whole number of at least 1; got 0"),
        ({"n_layer": "12"}, "n_layer must be a whole number of at least 1; got '12'"),
        ({"n_embd": True}, "n_embd must be a whole number"),
        ({"vocab_size": 2.5}, "vocab_size must be a whole number"),
        ({"n_positions": 2**31}, "n_positions must be a whole number"),
        ({"n_head": 5}, r"n_head \(5\) must divide n_embd \(768\)"),
        ({"attn_pdrop": 1.5}, "attn_pdrop is a share from 0 to 1; got 1.5"),
        ({"attn_pdrop": float("nan")}, "attn_pdrop is a share"),
        ({"layer_norm_epsilon": -1}, "layer_norm_epsilon must be a number of at least 0"),
        ({"activation_function": "mish"}, "activation_function must be one of gelu, .*'mish'"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings must be True or False"),
        ({"eos_token_id": "</s>"}, "eos_token_id must be an id of a token"),
        ({"architectures": "GPT2LMHeadModel"}, "architectures must be a list of names"),
        ({"problem_type": "guess"}, "problem_type must be one of regression"),
        ({"id2label": {1: "a"}}, "id2label must name the classes 0, 1"),
        ({"id2label": ["a"]}, "id2label must name the classes 0, 1"),
        ({"id2label": {"x": "a"}}, "id2label must name the classes 0, 1"),
        ({"num_labels": 3, "id2label": {0: "a"}}, "num_labels is 3, but id2label names 1"),
        ({"add_cross_attention": True}, "add_cross_attention is True, which changes"),
        ({"is_causal": False}, "is_causal is False, which changes .* only True or None"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is"),
        ({"auto_map": {"AutoModel": "x.py"}}, "auto_map is"),
    ],
)
def test_a_value_out_of_range_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        GPT2Config(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_attention_heads": 3}, r"num_attention_heads \(3\) must divide hidden_size"),
        ({"num_key_value_heads": 5}, r"num_key_value_heads \(5\) must divide num_attention_heads"),
        ({"head_dim": 7}, "head_dim must be even"),
        ({"sliding_window": 128}, "sliding_window is 128, which changes"),
        ({"rope_interleaved": True}, "rope_interleaved is True, which changes"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "rope_type 'yarn' is not computed"),
        ({"rope_parameters": {"rope_type": "linear"}}, "rope_type 'linear' needs factor"),
        ({"rope_theta": 0}, "rope_theta must be a number above 0; got 0"),
        ({"rope_parameters": [1]}, "rope_parameters must hold rope_theta"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor must be 1"),
    ],
)
def test_what_llama_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        LlamaConfig(**settings)


def test_rotary_settings_of_older_files():
    config = LlamaConfig(rope_theta=5e5, rope_scaling={"type": "linear", "factor": 2})
    assert config.rope_parameters == {"rope_theta": 5e5, "rope_type": "linear", "factor": 2.0}
    assert LlamaConfig(rope_theta=7.0).rope_parameters["rope_theta"] == 7.0
    assert "rope_theta" not in config.extra


def test_labels():
    config = DistilBertConfig(num_labels=3)
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert config.label2id["LABEL_2"] == 2
    named = DistilBertConfig.from_dict({"id2label": {"0": "NEGATIVE", "1": "POSITIVE"}})
    assert named.num_labels == 2
    assert named.label2id == {"NEGATIVE": 0, "POSITIVE": 1}
    assert named.to_dict()["id2label"] == {0: "NEGATIVE", 1: "POSITIVE"}
    assert "id2label" not in DistilBertConfig().to_dict()


def test_other_labels_replace_those_of_a_file():
    settings = DistilBertConfig(num_labels=2, id2label={0: "no", 1: "yes"}).to_dict()
    assert DistilBertConfig.from_dict(settings, num_labels=4).num_labels == 4


def test_a_file_keeps_what_it_held(tmp_path):
    settings = GPT2Config(vocab_size=65).to_dict()
    settings |= {"task_specific_params": {"a": [1]}, "n_ctx": 1024, "invented": "kept"}
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    config = GPT2Config.from_pretrained(tmp_path)
    assert config.invented == "kept"
    assert config.n_ctx == 1024
    config.save_pretrained(tmp_path / "again")
    text = (tmp_path / "again" / "config.json").read_text(encoding="utf-8")
    assert json.loads(text) == settings


def test_settings_can_be_replaced_while_reading(tmp_path):
    GPT2Config(vocab_size=65).save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path, vocab_size=99, n_ctx=64, hidden_size=24)
    assert (type(config), config.vocab_size, config.n_embd) == (GPT2Config, 99, 24)
    with pytest.raises(TypeError, match="no setting 'vocab'; did you mean 'vocab_size'"):
        AutoConfig.from_pretrained(tmp_path, vocab=99)


def test_a_file_of_another_type_is_refused(tmp_path):
    GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(FolderError, match="holds a model of type 'gpt2', not 'llama'"):
        LlamaConfig.from_pretrained(tmp_path)


def test_a_key_that_changes_the_computation_is_refused_by_name(tmp_path):
    settings = GPT2Config().to_dict() | {"quantization_config": {"bits": 8}}
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(FolderError, match="config.json: quantization_config is"):
        AutoConfig.from_pretrained(tmp_path)


def test_auto_names_the_types_that_there_are(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "t5"}', encoding="utf-8")
    with pytest.raises(FolderError, match="one of gpt2, llama, distilbert; got 't5'"):
        AutoConfig.from_pretrained(tmp_path)
    with pytest.raises(TypeError, match="AutoConfig.from_pretrained"):
        AutoConfig()


def test_an_attribute_that_is_not_there():
    with pytest.raises(AttributeError, match="no setting 'n_heads'; did you mean 'n_head'"):
        _ = GPT2Config().n_heads


def test_configurations_compare_copy_and_print():
    import copy

    config = LlamaConfig(vocab_size=65)
    assert copy.deepcopy(config) == config != LlamaConfig()
    assert repr(config).startswith("LlamaConfig {") and '"vocab_size": 65' in repr(config)


# The settings of three published models, as their files have them.
PUBLISHED_GPT2 = """{"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
"attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256,
"initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024,
"n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1,
"summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true,
"summary_type": "cls_index", "summary_use_proj": true, "task_specific_params":
{"text-generation": {"do_sample": true, "max_length": 50}}, "vocab_size": 50257}"""
PUBLISHED_SST2 = """{"activation": "gelu", "architectures": ["DistilBertForSequenceClassification"],
"attention_dropout": 0.1, "dim": 768, "dropout": 0.1, "finetuning_task": "sst-2",
"hidden_dim": 3072, "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}, "initializer_range": 0.02,
"label2id": {"NEGATIVE": 0, "POSITIVE": 1}, "max_position_embeddings": 512,
"model_type": "distilbert", "n_heads": 12, "n_layers": 6, "output_past": true, "pad_token_id": 0,
"qa_dropout": 0.1, "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": false, "tie_weights_": true,
"transformers_version": "4.31.0.dev0", "vocab_size": 30522}"""
PUBLISHED_LLAMA = """{"architectures": ["LlamaForCausalLM"], "attention_bias": false,
"attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009],
"head_dim": 64, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
"intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false,
"model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 16,
"num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling":
{"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
"original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0,
"tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.45.0.dev0",
"use_cache": true, "vocab_size": 128256}"""


@pytest.mark.parametrize("text", [PUBLISHED_GPT2, PUBLISHED_SST2, PUBLISHED_LLAMA])
def test_published_configurations_are_read_and_kept(text, tmp_path):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    kept = AutoConfig.from_pretrained(tmp_path).to_dict()
    settings = json.loads(text)
    moved = {"rope_theta", "rope_scaling"}
    for name in settings.keys() - moved - {"id2label"}:
        assert kept[name] == settings[name], name
    if moved <= settings.keys():
        theta = {"rope_theta": settings["rope_theta"]}
        assert kept["rope_parameters"] == settings["rope_scaling"] | theta
    if "id2label" in settings:
        assert list(kept["id2label"].values()) == ["NEGATIVE", "POSITIVE"]
