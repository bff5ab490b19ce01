import math

import numpy as np
import pytest
from evaluation_helpers import Stateless, token_losses
from training_helpers import Bigram, WithOutput, tiny_model

import minilm
from minilm.data.tokenizer import train_char_tokenizer
from minilm.evaluation import evaluate
from minilm.models import NGramModel, RNNModel

IDS = np.random.default_rng(0).integers(0, 5, 500)


def nats(model, ids: np.ndarray) -> np.ndarray:
    """The loss of each token but the first, read in one piece."""
    with minilm.no_grad():
        logits = model.eval()(ids[None, :-1]).numpy()[0].astype(np.float64)
    chosen = logits[np.arange(len(logits)), ids[1:]]
    return np.log(np.exp(logits).sum(1)) - chosen


@pytest.mark.parametrize("length", [2, 3, 20, 21, 40, 41, 42, 499, 500])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_every_token_counts_once(length, batch_size):
    minilm.manual_seed(0)
    model = Bigram()  # what it says depends on no more than one token of context
    ids = IDS[:length]
    reached = evaluate(model, ids, batch_size=batch_size, seq_len=20)
    assert reached.tokens == length - 1
    assert reached.loss == pytest.approx(nats(model, ids).mean(), rel=1e-5)


@pytest.mark.parametrize("length", [2, 20, 41, 500])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_lanes_of_a_model_with_state_count_once_too(length, batch_size):
    model = tiny_model("rnn")
    with minilm.no_grad():  # forgets at once: the state adds nothing
        for name, parameter in model.named_parameters():
            if "weight_hh" in name:
                parameter.zero_()
    ids = IDS[:length]
    reached = evaluate(model, ids, batch_size=batch_size, seq_len=20)
    assert reached.loss == pytest.approx(nats(model, ids).mean(), rel=1e-5)


def test_one_lane_carries_the_state_through_the_whole_text():
    model = tiny_model("lstm")
    reached = evaluate(model, IDS, lanes=1, seq_len=20)
    assert reached.loss == pytest.approx(nats(model, IDS).mean(), rel=1e-5)


def test_without_state_a_token_sees_at_least_the_context():
    model = Stateless()
    reached = evaluate(model, IDS, batch_size=4, seq_len=20)
    assert set(model.shapes) == {(4, 40)}
    windows = [nats(model, IDS[0:41])] + [
        nats(model, IDS[i : min(i + 41, 500)])[20:] for i in range(20, 480, 20)
    ]
    assert reached.loss == pytest.approx(np.concatenate(windows).mean(), rel=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_every_token_costs_what_the_slow_twin_says(cell):
    model = tiny_model(cell)
    ids = IDS[:120]
    expected = token_losses(model, ids)
    assert evaluate(model, ids, lanes=1).loss == pytest.approx(expected.mean(), rel=1e-6)
    for place in (1, 2, 50, 119):  # one token alone
        labels = np.full(ids.shape, -100)
        labels[place] = ids[place]
        reached = evaluate(model, {"input_ids": ids[None], "labels": labels[None]})
        assert reached.tokens == 1
        assert reached.loss == pytest.approx(expected[place - 1], rel=1e-5)


@pytest.mark.parametrize("detail", [False, True])
@pytest.mark.parametrize("stateless", [False, True])
def test_batch_size_changes_nothing(stateless, detail):
    model = Stateless() if stateless else tiny_model("lstm")
    losses = [
        evaluate(model, IDS, seq_len=16, batch_size=size, detail=detail).loss for size in (1, 5, 32)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_lanes_change_nothing_where_the_memory_is_shorter_than_the_context(cell):
    model = tiny_model(cell)
    with minilm.no_grad():
        model.rnn.weight_hh_l0.mul_(0.3)
        model.rnn.bias_ih_l0.fill_(-1.0)  # gates that hold little
    losses = [evaluate(model, IDS, seq_len=40, lanes=lanes).loss for lanes in (1, 2, 7, 32)]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-6)


def test_lanes_are_those_asked_for_and_said():
    said = str(evaluate(tiny_model(), IDS, seq_len=20, lanes=4))
    assert "state carried along 4 lanes after 20 tokens of context or more" in said
    assert "carried through the whole text" in str(evaluate(tiny_model(), IDS, lanes=1))


# --- strides, and models that read so many tokens and no more ---------------------------------


def strided(model, ids, context: int, stride: int) -> np.ndarray:
    """The loss of each token, read in windows one after the other."""
    losses = list(token_losses(model, ids[: context + stride + 1]))
    for begin in range(stride, len(ids) - 1 - context, stride):
        losses += list(token_losses(model, ids[begin : begin + context + stride + 1])[context:])
    return np.array(losses)


@pytest.mark.parametrize("stride", [1, 7, 30])
@pytest.mark.parametrize("with_state", [False, True])
def test_a_stride_reads_windows(stride, with_state):
    model = tiny_model("lstm") if with_state else Stateless()
    ids = IDS[:100]
    reached = evaluate(model, ids, seq_len=12, stride=stride)
    expected = strided(tiny_model("lstm"), ids, 12, stride)
    assert reached.tokens == len(expected) == 99
    assert reached.loss == pytest.approx(expected.mean(), rel=1e-5)
    assert f"stride {stride} after 12 tokens of context or more" in str(reached)


@pytest.mark.parametrize(
    ("options", "context", "stride"),
    [
        ({}, 8, 8),
        ({"seq_len": 4}, 4, 4),
        ({"seq_len": 100}, 8, 8),
        ({"stride": 12}, 4, 12),
        ({"stride": 16}, 0, 16),
        ({"seq_len": 3, "stride": 5}, 3, 5),
    ],
)
def test_windows_are_no_longer_than_the_model_can_read(options, context, stride):
    model, ids = Stateless(n_positions=16), IDS[:100]
    reached = evaluate(model, ids, **options)
    assert max(time for _, time in model.shapes) == context + stride
    expected = strided(model.inner, ids, context, stride).mean()
    assert reached.loss == pytest.approx(expected, rel=1e-5)
    assert f"stride {stride} after {context} tokens" in str(reached)


@pytest.mark.parametrize("longest", [1, 3])
def test_an_odd_or_tiny_length_is_fine(longest):
    assert evaluate(Stateless(longest), IDS[:50]).tokens == 49


def test_a_stride_beyond_what_the_model_reads_is_refused():
    with pytest.raises(ValueError, match="stride 17: the model reads at most 16 tokens"):
        evaluate(Stateless(16), IDS, stride=17)


def test_rows_beyond_what_the_model_reads_are_refused():
    with pytest.raises(ValueError, match="rows of 17 tokens: the model reads at most 16.*stream"):
        evaluate(Stateless(16), [IDS[:18]])


# --- texts ------------------------------------------------------------------------------------


def test_a_text_is_encoded_and_measured_in_characters_and_bytes():
    text = "naïve café\n"  # 11 characters, 13 bytes
    tokenizer = train_char_tokenizer("acefinv é\n")  # without ï
    minilm.manual_seed(0)
    model = RNNModel(tokenizer.get_vocab_size(), 4, 8)
    reached = evaluate(model, text, tokenizer=tokenizer)
    ids = tokenizer.encode(text).ids
    assert reached.tokens == 10
    loss = token_losses(model, ids).mean()
    assert reached.loss == pytest.approx(loss, rel=1e-6)
    assert reached.bits_per_char() == pytest.approx(loss / math.log(2), rel=1e-6)
    assert reached.bits_per_byte() == pytest.approx(loss / math.log(2) * 11 / 13, rel=1e-6)
    assert reached.terms == (
        "all but the first",
        "end of line counted",
        "1 unknown read as <unk>",
        "state carried through the whole text",
    )
    assert evaluate(model, ids, tokenizer=tokenizer).loss == reached.loss


def test_a_text_needs_a_tokenizer():
    with pytest.raises(TypeError, match="read through the model's tokenizer.*got NoneType"):
        evaluate(tiny_model(), "text")


def test_outputs_with_logits_are_read():
    minilm.manual_seed(0)
    bare = Bigram()
    minilm.manual_seed(0)
    assert evaluate(WithOutput(), IDS) == evaluate(bare, IDS)


def test_the_mode_is_left_as_it_was():
    model = tiny_model(dropout=0.5).train()
    assert evaluate(model, IDS) == evaluate(model, IDS)
    assert model.training


@pytest.mark.parametrize("length", [0, 1])
def test_nothing_to_predict(length):
    with pytest.raises(ValueError, match=f"has {length} tokens, at least 2"):
        evaluate(Bigram(), IDS[:length])


def test_training_has_the_same_names():
    from minilm import evaluation, training

    assert training.evaluate is evaluation.evaluate
    assert training.Evaluation is evaluation.Evaluation


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0, 1, 2, 5, 1], r"token 5 at position 3 is outside .*, 0 to 4\. .* another tokenizer"),
        ([0, 1, 2, -1], r"token -1 at position 3 "),
        ([0, 1, 2, -100, 0], r"token -100 at position 3 "),
        ([0, 1, 2, -100], r"token -100 at position 3 "),
        ([9, 1, 2], r"token 9 at position 0 "),
    ],
)
def test_ids_outside_the_vocabulary_are_named_by_their_place(ids, message):
    with pytest.raises(IndexError, match=message):
        evaluate(tiny_model(), ids)
    with pytest.raises(IndexError, match=message):
        evaluate(tiny_model(), np.array(ids), batch_size=1, lanes=2, seq_len=1)
    with pytest.raises(IndexError, match=message):
        evaluate(NGramModel(2, 5).count([0, 1, 2, 3, 4]), np.array(ids))


def test_ids_in_rows_are_named_by_their_row():
    with pytest.raises(IndexError, match="token 7 at position 2 of row 3 is outside"):
        evaluate(tiny_model(), [[0, 1, 2]] * 3 + [[0, 1, 7]], batch_size=2)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (np.zeros((2, 3), int), ValueError, r"one axis \(tokens,\); got the shape \(2, 3\)"),
        (np.zeros(5), TypeError, "data: token ids are whole numbers; got float64"),
        (7, TypeError, "a text, a sequence of ids, a DataLoader or a Dataset; got int"),
    ],
)
def test_data_of_another_kind(data, kind, message):
    with pytest.raises(kind, match=message):
        evaluate(tiny_model(), data)


@pytest.mark.parametrize("name", ["batch_size", "seq_len", "stride", "lanes"])
def test_sizes_are_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1 on, got 0"):
        evaluate(tiny_model(), IDS, **{name: 0})


def test_a_model_comes_first():
    with pytest.raises(TypeError, match="a language model.*got ndarray"):
        evaluate(IDS, tiny_model())


def test_the_mode_is_put_back_after_an_error_too():
    model = tiny_model(dropout=0.5).train()
    with pytest.raises(KeyError):
        evaluate(model, IDS, on_window=lambda: {}["stop"])
    assert model.training


def test_ids_on_disk_are_read_window_by_window(tmp_path):
    IDS.astype(np.uint16).tofile(tmp_path / "ids.bin")
    mapped = np.memmap(tmp_path / "ids.bin", np.uint16, "r")
    assert evaluate(tiny_model(), mapped) == evaluate(tiny_model(), IDS)
