import numpy as np
import pytest
from test_models_decoding_transformer import gpt2, ids_of, llama, logits_of

from minilm.models import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2LMHeadModel,
    GPT2Model,
    LlamaForCausalLM,
    QuantizedCausalLM,
    RNNModel,
    from_pretrained,
)


@pytest.mark.parametrize("make", [gpt2, llama])
def test_it_is_what_quantize_returns(make, tmp_path):
    model, ids = make(), ids_of(2, 9)
    model.generation_config.eos_token_id = 4
    model.save_pretrained(tmp_path)
    expected = model.quantize()
    for load in (
        AutoModelForCausalLM.from_pretrained,
        type(model).from_pretrained,
        from_pretrained,
    ):
        loaded = load(tmp_path, load_in_8bit=True)
        assert type(loaded) is QuantizedCausalLM
        np.testing.assert_array_equal(logits_of(loaded, ids), logits_of(expected, ids))
        assert loaded.generation_config == expected.generation_config
        assert type(load(tmp_path, load_in_8bit=False)) is type(model)


def test_a_quantized_model_ends_where_the_model_does():
    model = gpt2()
    text = model.quantize().generate([1, 2, 3], 6, do_sample=False).tolist()
    model.generation_config.eos_token_id = text[4]
    assert model.quantize().generate([1, 2, 3], 6, do_sample=False).tolist() == text[:5]


def test_recurrent_models_and_settings(tmp_path):
    RNNModel(7, 4, 5, "gru").save_pretrained(tmp_path)
    ids = np.array([[1, 2, 3]])
    expected = RNNModel.from_pretrained(tmp_path).quantize()(ids).numpy()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, load_in_8bit=True)
    np.testing.assert_array_equal(loaded(ids).numpy(), expected)
    llama().save_pretrained(tmp_path / "llama")
    loaded = LlamaForCausalLM.from_pretrained(
        tmp_path / "llama", load_in_8bit=True, dtype="float32", bos_token_id=5, load_in_4bit=False
    )
    assert loaded.config.bos_token_id == 5


@pytest.mark.parametrize("load", [AutoModelForCausalLM.from_pretrained, GPT2LMHeadModel])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"load_in_8bit": 1}, TypeError, "load_in_8bit is True or False; got 1, a int"),
        ({"load_in_4bit": True}, ValueError, "load_in_4bit=True is not supported: minilm rounds"),
        (
            {"load_in_8bit": True, "load_in_4bit": True},
            ValueError,
            "load_in_4bit=True and load_in_8bit=True exclude each other",
        ),
        (
            {"quantization_config": {"bits": 4}},
            ValueError,
            "quantization_config={'bits': 4} is not supported.*pass load_in_8bit=True",
        ),
    ],
)
def test_what_is_refused_before_anything_is_read(load, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        getattr(load, "from_pretrained", load)(tmp_path / "nothing here", **options)


def test_what_has_no_form_in_int8(tmp_path):
    classifier = DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=5, dim=4, hidden_dim=4, n_layers=1, n_heads=1)
    )
    classifier.save_pretrained(tmp_path / "classifier")
    gpt2().save_pretrained(tmp_path / "gpt2")
    message = "no form in int8, language models have"
    for load in (DistilBertForSequenceClassification, AutoModelForSequenceClassification):
        with pytest.raises(TypeError, match=f"DistilBertForSequenceClassification has {message}"):
            load.from_pretrained(tmp_path / "classifier", load_in_8bit=True)
    with pytest.raises(TypeError, match=f"GPT2Model has {message}"):
        GPT2Model.from_pretrained(tmp_path / "gpt2", load_in_8bit=True)
