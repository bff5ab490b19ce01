"""int8: what is rounded and how, what it costs in nats and saves in memory."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from reference.slow import int8 as slow
from training_helpers import tiny_model

import minilm
from minilm import _core, nn, optim
from minilm.evaluation import evaluate
from minilm.models import RNNModel, save_pretrained
from minilm.models.decoding import pack, zero_states

kernels = pytest.mark.kernels
RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def head_alone(weights: np.ndarray) -> _core.Decoder:
    """A decoder whose h is tanh(embedding), and whose logits are weights h."""
    vocab, hidden = weights.shape
    identity, zero = np.eye(hidden, dtype=np.float32), np.zeros((hidden, hidden), np.float32)
    embedding = numbers(vocab, hidden)
    return _core.Decoder(
        "rnn", embedding, ((identity, zero, None, None),), weights, None, int8=True
    )


@kernels
@pytest.mark.parametrize("hidden", [1, 2, 7, 64, 129, 650])
@pytest.mark.parametrize("vocab", [1, 5, 16, 67, 300])
def test_the_product_is_that_of_the_slow_twin(vocab, hidden):
    weights = numbers(vocab, hidden) * np.exp(3 * numbers(vocab, 1))  # rows of many sizes
    decoder = head_alone(weights)
    states = zero_states(decoder, 1)
    logits = decoder.read(np.array([[vocab // 2]]), states)[0, 0]
    # h itself is rounded to levels when it is multiplied, not where it is kept.
    expected = slow.product(weights, states[0][0, 0])
    scale = np.abs(weights).max(axis=1)
    np.testing.assert_allclose(logits / scale, expected / scale, rtol=1e-5, atol=1e-6)


def test_rows_of_zeros_stay_zero():
    weights = numbers(5, 6)
    weights[2] = 0
    decoder = head_alone(weights)
    assert decoder.read(np.array([[1]]), zero_states(decoder, 1))[0, 0, 2] == 0


def test_rows_too_long_for_exact_sums_are_refused():
    with pytest.raises(ValueError, match="weight_ih_l0: int8 sums at most 8192 products.*8193"):
        layers = ((numbers(2, 8193), numbers(2, 2), None, None),)
        _core.Decoder("rnn", numbers(2, 8193), layers, numbers(2, 2), None, int8=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["embedding.weight", "rnn.weight_hh_l0", "fc.weight"])
def test_weights_that_are_not_finite_are_refused(name, value):
    minilm.manual_seed(0)
    model = RNNModel(200, 4, 8, "gru")
    dict(model.named_parameters())[name].detach().numpy()[3] = value
    part = name.partition(".")[2] if "rnn" in name else "head" if "fc" in name else "embedding"
    with pytest.raises(ValueError, match=f"{part}: row 3.*not finite.*diverged"):
        model.quantize()


# --- a model --------------------------------------------------------------------------------------


@kernels
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("vocab", [30, 5000])
def test_logits_are_close_to_those_in_float32(cell, vocab):
    minilm.manual_seed(0)
    model = RNNModel(vocab, 20, 90, cell, num_layers=2).eval()
    ids = RNG.integers(0, vocab, (3, 40))
    quantized = model.quantize()
    with minilm.no_grad():
        expected = model(ids).numpy()
    error = np.abs(quantized(ids).numpy() - expected).max()
    assert 1e-5 < error < 0.03 * np.abs(expected).max()


def test_the_state_goes_on():
    model = tiny_model("lstm").quantize()
    ids = RNG.integers(0, 5, (2, 9))
    whole, state = model.forward_with_state(ids)
    _, half = model.forward_with_state(ids[:, :4])
    rest, end = model.forward_with_state(ids[:, 4:], half)
    np.testing.assert_array_equal(rest.numpy(), whole.numpy()[:, 4:])
    for one, other in zip(state, end, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_it_writes_what_its_logits_say():
    quantized = tiny_model("gru").quantize()
    text = quantized.generate([1, 2], max_new_tokens=20, do_sample=False).tolist()
    for end in range(2, 22):
        assert text[end] == int(quantized([text[:end]]).numpy()[0, -1].argmax())


def test_weights_take_about_a_quarter_of_the_memory():
    minilm.manual_seed(0)
    for vocab, embed, hidden in [(65, 128, 512), (10000, 200, 200)]:
        model = RNNModel(vocab, embed, hidden, "lstm", num_layers=2)
        size = 4 * sum(parameter.numel() for parameter in model.parameters())
        assert 0.25 <= model.quantize().nbytes / size < 0.3


@pytest.fixture(scope="module", params=["rnn", "lstm", "gru"])
def trained_model(request) -> tuple[RNNModel, np.ndarray]:
    """A small model that has learned something, and a text that it has not seen."""
    words = ["the", "cat", "dog", "sat", "ran", "on", "under", "mat", "log", "big", "old"]
    rng = np.random.default_rng(0)
    text = " ".join(words[i] for i in (rng.zipf(1.5, 6000) - 1) % len(words))
    letters = sorted(set(text))
    ids = np.array([letters.index(letter) for letter in text])
    train, valid = ids[:-4000], ids[-4000:]
    minilm.manual_seed(0)
    model = RNNModel(len(letters), 16, 64, request.param, num_layers=2)
    optimizer, criterion = optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
    for _ in range(150):
        starts = rng.integers(0, len(train) - 33, 16)
        rows = train[starts[:, None] + np.arange(33)]
        loss = criterion(model(rows[:, :-1]).transpose(1, 2), minilm.tensor(rows[:, 1:]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, valid


def test_the_loss_on_unseen_text_is_the_same_within_a_hundredth_of_a_nat(trained_model):
    model, valid = trained_model
    expected = evaluate(model, valid).loss
    assert expected < 0.75 * np.log(model.config["vocab_size"])  # it has learned
    assert abs(evaluate(model.quantize(), valid).loss - expected) < 0.01


# --- what it is not -------------------------------------------------------------------------------


def test_the_model_it_is_made_from_stays_as_it_is():
    model = tiny_model()
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    quantized = model.quantize()
    written = quantized.generate([1], max_new_tokens=9, seed=0).tolist()
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    model.fc.weight.detach().numpy()[:] = 0
    assert quantized.generate([1], max_new_tokens=9, seed=0).tolist() == written


def test_it_cannot_be_saved_and_says_what_to_do(tmp_path):
    quantized = tiny_model().quantize()
    with pytest.raises(TypeError, match="save the model that it was made from.*quantize"):
        quantized.save_pretrained(tmp_path)
    with pytest.raises(TypeError, match="quantized"):
        save_pretrained(quantized, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_has_nothing_to_learn_and_its_copy_is_itself():
    quantized = tiny_model().quantize()
    assert list(quantized.parameters()) == []
    assert copy.deepcopy(quantized) is quantized
    assert "cell='lstm'" in repr(quantized) and "int8" in repr(quantized)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([1, 2], ValueError, r"\(batch, time\); got the shape \(2,\)"),
        ([[0.5]], TypeError, "token ids are integers; got float64"),
        ([[1, 9]], IndexError, "got 9"),
    ],
)
def test_ids_that_are_none(ids, error, message):
    with pytest.raises(error, match=message):
        tiny_model().quantize()(np.array(ids))


def test_packing_is_the_same_twice():
    model = tiny_model()
    ids = np.array([[1, 2, 3]])
    one, other = (pack(model, int8=True) for _ in range(2))
    np.testing.assert_array_equal(
        one.read(ids, zero_states(one, 1)), other.read(ids, zero_states(other, 1))
    )
