"""GPT-2 and Llama in int8: what they say is close to float32, and the same on every machine."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from test_models_decoding_transformer import MODELS, gpt2, ids_of, llama, logits_of

import minilm
from minilm import optim
from minilm.evaluation import evaluate
from minilm.generation import generate
from minilm.models import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

kernels = pytest.mark.kernels


def rounded(weight: np.ndarray, axis: int) -> np.ndarray:
    """Round each row to 127 levels on both sides of 0; a row goes along the axis."""
    step = np.abs(weight.astype(np.float64)).max(axis, keepdims=True) / 127
    return (np.round(weight / step) * step).astype(np.float32)


def with_rounded_weights(model: Any) -> Any:
    """Return the model in float32, with the weights that int8 keeps: the slow twin."""
    twin = copy.deepcopy(model)
    for name, parameter in twin.named_parameters():
        array = parameter.detach().numpy()
        if array.ndim == 2 and "wpe" not in name:
            array[...] = rounded(array, 0 if ".c_" in name else 1)
    return twin


@kernels
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_rounded_weights(name):
    """What is left is the rounding of vectors to 12 bits."""
    model, ids = MODELS[name](), ids_of(2, 40)
    expected = logits_of(with_rounded_weights(model), ids)
    got = logits_of(model.quantize(), ids)
    assert np.abs(got - expected).max() < 5e-3 * np.abs(expected).max()
    assert np.abs(got - logits_of(model, ids)).max() > 0


def test_memory_is_about_a_quarter():
    config = GPT2Config(vocab_size=3000, n_positions=8, n_embd=256, n_layer=4, n_head=4)
    model = GPT2LMHeadModel(config)
    assert 0.25 <= model.quantize().nbytes / (4 * model.num_parameters()) < 0.28
    assert model.quantize().num_parameters() == model.num_parameters()
    with pytest.raises(TypeError, match=r"MiB for 3,\d+,\d+ parameters, and has no parts"):
        model.quantize().summary()


# --- a model that has learned something -----------------------------------------------------------


def trained(make: str) -> tuple[Any, np.ndarray]:
    """A small model, and a text that it has not seen."""
    words = ["the", "cat", "dog", "sat", "ran", "on", "under", "mat", "log", "big", "old"]
    rng = np.random.default_rng(0)
    text = " ".join(words[i] for i in (rng.zipf(1.5, 6000) - 1) % len(words))
    letters = sorted(set(text))
    ids = np.array([letters.index(letter) for letter in text])
    train, valid = ids[:-4000], ids[-4000:]
    minilm.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 48}
    sizes |= {"vocab_size": len(letters), "max_position_embeddings": 64, "eos_token_id": None}
    if make == "gpt2":
        model: Any = GPT2LMHeadModel(GPT2Config(**sizes))
    else:
        sizes |= {"intermediate_size": 96, "num_key_value_heads": 2}
        model = LlamaForCausalLM(LlamaConfig(**sizes))
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(80):
        starts = rng.integers(0, len(train) - 32, 16)
        rows = train[starts[:, None] + np.arange(32)]
        loss = model(rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), valid


@pytest.mark.parametrize("make", ["gpt2", "llama"])
def test_perplexity_on_unseen_text_is_within_a_hundredth(make):
    model, valid = trained(make)
    expected = evaluate(model, valid).loss
    assert expected < 0.75 * np.log(model.config.vocab_size)  # it has learned
    perplexity = np.exp(evaluate(model.quantize(), valid).loss)
    assert abs(perplexity / np.exp(expected) - 1) < 0.01


# --- the contract ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [gpt2, llama])
def test_labels_give_the_loss_of_the_logits(make):
    quantized, ids = make().quantize(), ids_of(2, 9)
    labels = ids.copy()
    labels[1, 5:] = -100
    output = quantized(ids, labels=labels)
    logits = output.logits.numpy().astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    terms = [
        -log_probs[text, t - 1, labels[text, t]]
        for text in range(2)
        for t in range(1, 9)
        if labels[text, t] >= 0
    ]
    assert output.loss.item() == pytest.approx(np.mean(terms), rel=1e-5)


@pytest.mark.parametrize("make", [gpt2, llama])
def test_padding_on_either_side_changes_nothing(make):
    quantized, ids = make().quantize(), ids_of(3, 9)
    mask = np.ones((3, 9), np.int64)
    mask[0, :4] = mask[1, 6:] = 0
    logits = quantized(ids, attention_mask=mask).logits.numpy()
    for text, part in enumerate([slice(4, None), slice(0, 6), slice(None)]):
        np.testing.assert_array_equal(
            logits[text, part], logits_of(quantized, ids[None, text, part])[0]
        )
    assert (logits[0, :4] == 0).all()


@pytest.mark.parametrize("length", [1, 5, 50])
@pytest.mark.parametrize("make", [gpt2, llama])
def test_it_writes_the_likeliest_of_its_own_logits(make, length):
    quantized, text = make().quantize(), ids_of(1, length).tolist()[0]
    written = generate(quantized, text, 9, do_sample=False).tolist()
    for _ in range(9):
        text.append(int(logits_of(quantized, np.array([text]))[0, -1].argmax()))
    assert written == text


def test_beyond_its_positions_it_sees_the_last_of_the_text():
    quantized, text = gpt2(n_positions=12).quantize(), ids_of(1, 8).tolist()[0]
    written = generate(quantized, text, 10, do_sample=False).tolist()
    for _ in range(10):
        text.append(int(logits_of(quantized, np.array([text[-12:]]))[0, -1].argmax()))
    assert written == text
    with pytest.raises(ValueError, match="13 tokens, but the model has 12 positions"):
        quantized(ids_of(1, 13))


def test_the_model_it_is_made_from_stays_as_it_is():
    model = gpt2()
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    quantized = model.quantize()
    logits = logits_of(quantized, ids_of(1, 9))
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    model.transformer.wte.weight.detach().numpy()[:] = 0
    np.testing.assert_array_equal(logits_of(quantized, ids_of(1, 9)), logits)


def test_it_has_nothing_to_learn_and_cannot_be_saved(tmp_path):
    quantized = llama().quantize()
    assert list(quantized.parameters()) == [] and not quantized.training
    assert copy.deepcopy(quantized) is quantized
    assert repr(quantized) == "QuantizedCausalLM(llama, int8)"
    with pytest.raises(TypeError, match="save the model that it was made from"):
        quantized.save_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_matrix_that_is_too_wide_for_exact_sums():
    model = gpt2(n_inner=8200)
    with pytest.raises(ValueError, match="block 0: down: int8 sums at most 8192.*8200"):
        model.quantize()
