import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import minilm
from minilm.models import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertModel,
    FolderError,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
)
from minilm.models.folder import load_weights
from minilm.models.weights import weight_bytes

IDS = np.array([[1, 2, 3]])
FILE = "model.safetensors"


def gpt2(**settings) -> GPT2LMHeadModel:
    minilm.manual_seed(0)
    sizes = {"vocab_size": 5, "n_positions": 4, "n_embd": 4, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**(sizes | settings))).eval()


def distilbert(**settings) -> DistilBertForSequenceClassification:
    minilm.manual_seed(0)
    config = DistilBertConfig(vocab_size=5, dim=4, hidden_dim=4, n_layers=1, n_heads=2, **settings)
    return DistilBertForSequenceClassification(config).eval()


@pytest.fixture
def folder(tmp_path):
    gpt2().save_pretrained(tmp_path)
    return tmp_path


def change(folder, **changes):
    """Replace weights of a folder, or drop those that are None."""
    weights = load_file(folder / FILE)
    weights |= {name.replace("__", "."): values for name, values in changes.items()}
    save_file({k: v for k, v in weights.items() if v is not None}, folder / FILE)


def rename(folder, new_name):
    save_file({new_name(k): v for k, v in load_file(folder / FILE).items()}, folder / FILE)


def set_config(folder, **settings):
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | settings
    path.write_text(json.dumps(config), encoding="utf-8")


def same(a, b) -> None:
    np.testing.assert_array_equal(a(IDS).logits.detach().numpy(), b(IDS).logits.detach().numpy())


def test_the_published_gpt2_file(folder):
    """It has no prefix and no lm_head, but the triangles of what may be seen."""
    rename(folder, lambda name: name.removeprefix("transformer."))
    triangle = np.tril(np.ones((1, 1, 4, 4), np.float32))
    change(folder, h__0__attn__bias=triangle, h__1__attn__bias=triangle)
    change(folder, h__0__attn__masked_bias=np.array(-1e4, np.float32))
    assert "wte.weight" in load_file(folder / FILE)
    same(GPT2LMHeadModel.from_pretrained(folder), gpt2())


def test_a_tied_head_is_written_once_and_tied_again(folder):
    assert "lm_head.weight" not in load_file(folder / FILE)
    model = GPT2LMHeadModel.from_pretrained(folder)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_a_file_may_hold_the_table_under_both_names_or_under_the_other(folder):
    table = load_file(folder / FILE)["transformer.wte.weight"]
    change(folder, lm_head__weight=table)
    same(GPT2LMHeadModel.from_pretrained(folder), gpt2())
    change(folder, transformer__wte__weight=None)
    same(GPT2LMHeadModel.from_pretrained(folder), gpt2())


def test_two_tables_that_should_be_one_are_refused(folder):
    table = load_file(folder / FILE)["transformer.wte.weight"]
    change(folder, lm_head__weight=table + 1)
    with pytest.raises(FolderError, match="are one parameter .* they differ.*tie_word_emb"):
        GPT2LMHeadModel.from_pretrained(folder)
    set_config(folder, tie_word_embeddings=False)
    model = GPT2LMHeadModel.from_pretrained(folder)
    np.testing.assert_array_equal(model.lm_head.weight.detach().numpy(), table + 1)


def test_all_that_does_not_fit_is_listed(folder):
    change(
        folder,
        transformer__ln_f__bias=None,
        transformer__wpe__weight=np.zeros((9, 4), np.float32),
        score__weight=np.zeros((2, 4), np.float32),
    )
    with pytest.raises(FolderError) as error:
        GPT2LMHeadModel.from_pretrained(folder)
    for part in (
        "missing transformer.ln_f.bias (4,)",
        "transformer.wpe.weight has shape (9, 4), expected (4, 4)",
        "unexpected score.weight (2, 4)",
    ):
        assert part in str(error.value)


def test_whole_numbers_are_no_weights_and_nothing_is_overwritten(folder):
    change(folder, transformer__ln_f__bias=np.zeros(4, np.int8))
    with pytest.raises(FolderError, match="transformer.ln_f.bias is I8, expected F64.*quantized"):
        GPT2LMHeadModel.from_pretrained(folder)
    model = gpt2(initializer_range=0.5)
    before = model.transformer.wte.weight.detach().numpy().copy()
    with pytest.raises(FolderError):
        load_weights(model, folder / FILE)
    np.testing.assert_array_equal(model.transformer.wte.weight.detach().numpy(), before)


def test_buffers_keep_their_own_numbers(tmp_path):
    class Counts(minilm.nn.Module):
        def __init__(self, values):
            super().__init__()
            self.register_buffer("seen", minilm.tensor(values))

    path, seen = tmp_path / FILE, np.array([2**40, -1])
    path.write_bytes(weight_bytes(Counts(seen)))
    again = Counts(np.zeros(2, np.int64))
    load_weights(again, path)
    assert again.seen.tolist() == seen.tolist()


def test_a_tensor_under_two_names_is_unexpected(folder):
    change(folder, wpe__weight=np.zeros((4, 4), np.float32))
    with pytest.raises(FolderError, match=r"unexpected (transformer\.)?wpe.weight \(4, 4\)"):
        GPT2LMHeadModel.from_pretrained(folder)


def test_the_model_without_a_head_takes_its_part(folder):
    model = GPT2Model.from_pretrained(folder)
    expected = gpt2().transformer(IDS).last_hidden_state.detach().numpy()
    np.testing.assert_array_equal(model(IDS).last_hidden_state.detach().numpy(), expected)


def test_a_head_is_put_on_a_model_without(tmp_path):
    distilbert().distilbert.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["architectures"] == [
        "DistilBertModel"
    ]
    minilm.manual_seed(3)
    with pytest.warns(UserWarning, match="holds no pre_classifier.weight, .* start at random"):
        model = DistilBertForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    assert model(IDS).logits.shape == (1, 3)
    assert model.classifier.weight.std().item() > 0
    assert not model.classifier.bias.detach().numpy().any()
    kept = DistilBertModel.from_pretrained(tmp_path)
    expected = kept(IDS).last_hidden_state.detach().numpy()
    np.testing.assert_array_equal(
        model.distilbert(IDS).last_hidden_state.detach().numpy(), expected
    )


def test_another_head_is_left_behind(tmp_path):
    """As distilbert-base-uncased has one, which fills gaps in texts."""
    distilbert().save_pretrained(tmp_path)
    heads = ("classifier.weight", "classifier.bias", "pre_classifier.weight", "pre_classifier.bias")
    change(tmp_path, **dict.fromkeys(heads), vocab_transform__weight=np.ones((4, 4), np.float32))
    set_config(tmp_path, architectures=["DistilBertForMaskedLM"])
    with pytest.warns(UserWarning, match="holds no pre_classifier.weight"):
        DistilBertForSequenceClassification.from_pretrained(tmp_path)


def test_a_part_below_the_head_must_be_there(tmp_path):
    distilbert().distilbert.save_pretrained(tmp_path)
    change(tmp_path, embeddings__LayerNorm__bias=None)
    with pytest.raises(FolderError, match="missing distilbert.embeddings.LayerNorm.bias"):
        DistilBertForSequenceClassification.from_pretrained(tmp_path)


def test_old_files_may_hold_what_follows_from_the_configuration(tmp_path):
    minilm.manual_seed(0)
    config = LlamaConfig(
        vocab_size=5, hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1
    )
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    frequencies = np.ones(2, np.float32)
    change(tmp_path, model__layers__0__self_attn__rotary_emb__inv_freq=frequencies)
    same(LlamaForCausalLM.from_pretrained(tmp_path), model)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_brought_to_float32(folder, dtype):
    weights = {name: values.astype(dtype) for name, values in load_file(folder / FILE).items()}
    save_file(weights, folder / FILE)
    set_config(folder, dtype=np.dtype(dtype).name, torch_dtype="float16")
    model = GPT2LMHeadModel.from_pretrained(folder)
    for name, tensor in model.state_dict().items():
        if name in weights:
            np.testing.assert_array_equal(tensor.numpy(), weights[name].astype(np.float32))
    model.save_pretrained(folder / "again")
    config = json.loads((folder / "again" / "config.json").read_text(encoding="utf-8"))
    assert config["dtype"] == "float32", "else transformers would round the weights again"
    assert "torch_dtype" not in config


def test_a_configuration_of_many_blocks_is_refused_before_they_are_made(folder):
    set_config(folder, n_layer=2**31 - 1)
    with pytest.raises(FolderError, match="n_layer is 2147483647, but there are only 29 weights"):
        GPT2LMHeadModel.from_pretrained(folder)


def test_loading_draws_no_random_numbers(folder):
    minilm.manual_seed(5)
    before = minilm.get_rng_state().numpy().copy()
    GPT2LMHeadModel.from_pretrained(folder)
    np.testing.assert_array_equal(minilm.get_rng_state().numpy(), before)


def test_a_configuration_may_be_given(folder):
    config = GPT2Config(vocab_size=5, n_positions=4, n_embd=4, n_layer=2, n_head=1, resid_pdrop=0.5)
    model = GPT2LMHeadModel.from_pretrained(folder, config=config)
    assert model.config is config
    with pytest.raises(FolderError, match="transformer.wte.weight has shape"):
        GPT2LMHeadModel.from_pretrained(folder, vocab_size=6)


def test_how_to_write_is_kept(folder):
    path = folder / "generation_config.json"
    kept = {"eos_token_id": [3, 4], "pad_token_id": 0, "temperature": 0.7}
    path.write_text(json.dumps(kept), encoding="utf-8")
    model = GPT2LMHeadModel.from_pretrained(folder)
    assert model.generation_config.to_dict() == kept
    model.save_pretrained(folder / "again")
    text = (folder / "again" / "generation_config.json").read_text(encoding="utf-8")
    assert json.loads(text) == kept


def test_another_type_of_model_is_refused(folder):
    with pytest.raises(TypeError, match="holds a GPT2LMHeadModel, not a LlamaForCausalLM"):
        LlamaForCausalLM.from_pretrained(folder)
