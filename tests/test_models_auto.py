import json

import pytest

import minilm
from minilm.models import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    FolderError,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
    RNNModel,
    from_pretrained,
)

GPT2 = GPT2Config(vocab_size=5, n_positions=4, n_embd=4, n_layer=1, n_head=2)
LLAMA = LlamaConfig(
    vocab_size=5, hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1
)
DISTILBERT = DistilBertConfig(vocab_size=5, dim=4, hidden_dim=4, n_layers=1, n_heads=1)


@pytest.mark.parametrize(
    ("auto", "config", "model_class"),
    [
        (AutoModelForCausalLM, GPT2, GPT2LMHeadModel),
        (AutoModelForCausalLM, LLAMA, LlamaForCausalLM),
        (AutoModelForSequenceClassification, DISTILBERT, DistilBertForSequenceClassification),
    ],
)
def test_models_are_made_and_loaded_by_their_type(auto, config, model_class, tmp_path):
    model = auto.from_config(config)
    assert type(model) is model_class
    assert model.training
    model.save_pretrained(tmp_path)
    again = auto.from_pretrained(tmp_path)
    assert type(again) is model_class
    assert not again.training
    assert again.config == config.from_dict(config.to_dict(), architectures=[model_class.__name__])


def test_where_a_model_is(tmp_path):
    model = GPT2LMHeadModel(GPT2)
    model.save_pretrained(tmp_path)
    for place in (None, "auto", "cpu"):
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path, device_map=place)
        assert loaded.to(loaded.device).device == minilm.device("cpu")
        assert loaded.dtype == minilm.float32
    no_matter = {"use_safetensors": True, "low_cpu_mem_usage": True, "trust_remote_code": False}
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path, **no_matter)) is GPT2LMHeadModel
    with pytest.raises(RuntimeError, match="runs on the CPU only, there is no device 'cuda'"):
        AutoModelForCausalLM.from_pretrained(tmp_path, device_map="cuda")


def test_a_recurrent_model_is_a_language_model_too(tmp_path):
    RNNModel(5, 3, 4, "lstm").save_pretrained(tmp_path)
    assert isinstance(AutoModelForCausalLM.from_pretrained(tmp_path), RNNModel)


def test_what_there_is_no_model_for_is_named(tmp_path):
    with pytest.raises(
        TypeError, match="makes models of GPT2Config, LlamaConfig; got a DistilBert"
    ):
        AutoModelForCausalLM.from_config(DISTILBERT)
    GPT2LMHeadModel(GPT2).save_pretrained(tmp_path)
    with pytest.raises(FolderError, match=r"type distilbert \(DistilBertFor.*got 'gpt2'"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with pytest.raises(TypeError, match="AutoModelForCausalLM.from_pretrained"):
        AutoModelForCausalLM()


def test_an_architecture_that_is_not_supported_is_named_with_those_that_are(tmp_path):
    settings = GPT2.to_dict() | {"architectures": ["GPT2ForTokenClassification"]}
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(FolderError, match="TokenClassification.*GPT2LMHeadModel, GPT2Model"):
        from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}', encoding="utf-8")
    for load in (from_pretrained, AutoModelForCausalLM.from_pretrained):
        with pytest.raises(FolderError, match="rnn.*gpt2.*llama.*got 't5'"):
            load(tmp_path)


def test_a_folder_that_holds_no_language_model(tmp_path):
    GPT2Model(GPT2).save_pretrained(tmp_path)
    with pytest.raises(FolderError, match="holds a GPT2Model, which is no language model"):
        from_pretrained(tmp_path)


def test_the_package_has_the_names():
    assert minilm.AutoModelForCausalLM is AutoModelForCausalLM
    assert minilm.GPT2Config is GPT2Config
