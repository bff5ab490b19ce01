"""Rows of all kinds give the loss of their tokens, and padding never changes it."""

import math

import numpy as np
import pytest
from evaluation_helpers import Stateless, token_losses
from hypothesis import given, settings
from hypothesis import strategies as st
from training_helpers import Bigram, tiny_model

import minilm
from minilm.data import DataLoader, StreamLoader, TensorDataset, TokenDataset
from minilm.evaluation import evaluate

RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(0, 5, length) for length in (9, 4, 2, 13, 7, 6)]
MODEL = tiny_model("gru")
EXPECTED = np.concatenate([token_losses(MODEL, text) for text in TEXTS])


def padded(texts, side: str, pad_id: int, extra: int) -> dict[str, np.ndarray]:
    """Return texts under each other as a Hugging Face collator gives them."""
    width = max(map(len, texts)) + extra
    ids = np.full((len(texts), width), pad_id)
    mask = np.zeros((len(texts), width), int)
    for row, text in enumerate(texts):
        part = slice(0, len(text)) if side == "right" else slice(width - len(text), width)
        ids[row, part], mask[row, part] = text, 1
    return {"input_ids": ids, "attention_mask": mask}


def check(reached, expected=EXPECTED) -> None:
    assert reached.tokens == len(expected)
    assert reached.loss == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("detail", [False, True])
@pytest.mark.parametrize("extra", [0, 5])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side, extra, detail):
    batch = padded(TEXTS, side, pad_id=3, extra=extra)
    check(evaluate(MODEL, batch, detail=detail))
    check(evaluate(MODEL, [padded([text], side, 3, extra) for text in TEXTS]))


@pytest.mark.parametrize("side", ["left", "right"])
def test_nor_does_it_for_a_model_without_state(side):
    model = Stateless()
    expected = np.concatenate([token_losses(model.inner, text) for text in TEXTS])
    check(evaluate(model, padded(TEXTS, side, 3, 2)), expected)


def test_padding_may_have_ids_that_no_token_has():
    check(evaluate(MODEL, padded(TEXTS, "left", pad_id=-100, extra=1)))
    check(evaluate(MODEL, padded(TEXTS, "right", pad_id=50256, extra=1)))


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_rows_of_ids_are_texts_of_their_own(batch_size):
    reached = evaluate(MODEL, TEXTS, batch_size=batch_size)
    check(reached)
    assert reached.terms == ("6 rows, each read on its own", "padding and ignored labels excluded")
    lists = [text.tolist() for text in TEXTS]
    assert evaluate(MODEL, lists, batch_size=batch_size) == reached


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_padding_and_any_labels(data):
    width = data.draw(st.integers(2, 12))
    rows = data.draw(st.integers(1, 4))
    grid = st.lists(
        st.lists(st.booleans(), min_size=width, max_size=width), min_size=rows, max_size=rows
    )
    mask, kept = np.array(data.draw(grid)), np.array(data.draw(grid))
    ids = np.random.default_rng(width).integers(0, 5, (rows, width))
    labels = np.where(kept, ids, -100)
    expected = []
    for row in range(rows):
        seen = np.flatnonzero(mask[row])  # with holes, too: what is masked is not there
        losses = token_losses(MODEL, ids[row, seen]) if len(seen) > 1 else []
        expected += [loss for loss, at in zip(losses, seen[1:], strict=True) if kept[row, at]]
    batch = {"input_ids": ids, "attention_mask": mask.astype(int), "labels": labels}
    if expected:
        check(evaluate(MODEL, batch), np.array(expected))
    else:
        with pytest.raises(ValueError, match="nothing to predict"):
            evaluate(MODEL, batch)


def test_long_rows_are_read_on_with_their_state():
    text = RNG.integers(0, 5, 700)
    check(
        evaluate(MODEL, [text, text[:300]]),
        np.r_[*map(lambda t: token_losses(MODEL, t), [text, text[:300]])],
    )


# --- pairs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_pairs_of_a_loader(batch_size):
    dataset = TokenDataset(TEXTS[3], sequence_length=4, stride=3)
    expected = np.concatenate([token_losses(MODEL, TEXTS[3][i : i + 5]) for i in (0, 3, 6)])
    check(evaluate(MODEL, DataLoader(dataset, batch_size)), expected)
    check(evaluate(MODEL, dataset, batch_size=batch_size), expected)
    check(evaluate(MODEL, iter(DataLoader(dataset, batch_size))), expected)


def test_the_last_batch_weighs_what_its_tokens_weigh():
    minilm.manual_seed(1)
    model = Bigram()
    inputs, targets = RNG.integers(0, 5, (2, 5, 3))
    pairs = TensorDataset(inputs, targets)
    table = model.table.weight.detach().numpy().astype(np.float64)
    losses = [
        math.log(np.exp(table[x]).sum()) - table[x, y]
        for x, y in zip(inputs.ravel(), targets.ravel(), strict=True)
    ]
    for batch_size in (1, 2, 4, 5):  # 4 leaves a batch of one
        check(evaluate(model, DataLoader(pairs, batch_size)), np.array(losses))


def test_targets_of_minus_100_do_not_count():
    inputs, targets = np.array([[0, 1, 2, 3]]), np.array([[1, -100, 3, -100]])
    expected = token_losses(MODEL, [0, 1, 2, 3])[[0, 2]]
    check(evaluate(MODEL, [(inputs, targets)]), expected)
    check(evaluate(MODEL, [(minilm.tensor(inputs[0]), minilm.tensor(targets[0]))]), expected)


def test_tensors_of_torch_are_read():
    torch = pytest.importorskip("torch")
    batch = {name: torch.tensor(rows) for name, rows in padded(TEXTS, "left", 3, 1).items()}
    check(evaluate(MODEL, torch.utils.data.DataLoader([batch], batch_size=None)))
    assert evaluate(MODEL, torch.tensor(TEXTS[0])) == evaluate(MODEL, TEXTS[0])


# --- streams with documents -------------------------------------------------------------------


def test_of_a_stream_loader_the_whole_text_is_read():
    ids = RNG.integers(0, 5, 101)
    loader = StreamLoader(ids, batch_size=3, bptt=7)
    assert evaluate(MODEL, loader, lanes=1) == evaluate(MODEL, ids, lanes=1)
    check(evaluate(MODEL, loader, lanes=1), token_losses(MODEL, ids))


def test_documents_begin_anew_and_predict_nothing_across():
    starts = np.cumsum([0, *map(len, TEXTS[:-1])])
    loader = StreamLoader(np.concatenate(TEXTS), 2, 5, document_starts=starts)
    check(evaluate(MODEL, loader, batch_size=4))


def test_a_separator_ends_the_document_before_it():
    ids = np.array([3, 1, 4, 0, 1, 2, 0, 3, 0])  # 0 separates; the last document is empty
    documents = ([3, 1, 4, 0], [0, 1, 2, 0], [0, 3, 0])
    expected = np.concatenate([token_losses(MODEL, one) for one in documents])
    check(evaluate(MODEL, StreamLoader(ids, 1, 4, document_start=0)), expected)


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "the text has 0 tokens"),
        (iter([]), "holds no batch with at least one target. Is the validation set empty"),
        ([[1], [2]], "holds no batch with at least one target.*single token"),
        ([([0, 1], [-100, -100])] * 3, "of 6 targets all are ignored, as -100 or as padding"),
        (
            {"input_ids": [[0, 1, 2]], "attention_mask": [[0, 0, 0]]},
            "nothing to predict",
        ),
        ({"input_ids": [[0, 1, 2]], "labels": [[5, -100, -100]]}, "of 2 targets all are ignored"),
    ],
)
def test_nothing_to_predict(data, message):
    with pytest.raises(ValueError, match=message):
        evaluate(MODEL, data)


@pytest.mark.parametrize(
    ("item", "kind", "message"),
    [
        ({"ids": [0, 1]}, TypeError, "a mapping with input_ids .*got a mapping with ids"),
        (([0, 1], [1, 2], [2, 3]), TypeError, r"expected a pair .*; got 3 fields"),
        (([0, 1], [1]), ValueError, r"targets of shape \(1, 1\) and inputs of shape \(1, 2\)"),
        (([0.5, 1.0], [1, 2]), TypeError, "inputs: token ids are whole numbers; got float64"),
        (
            {"input_ids": [[0, 1]], "labels": [1]},
            ValueError,
            r"labels of shape \(1, 1\) and input_ids of shape \(1, 2\) differ",
        ),
        ({"input_ids": [0, 1], "attention_mask": [[1]]}, ValueError, "attention_mask of shape"),
        (np.zeros((2, 2, 2), int), ValueError, r"axes \(rows, time\); got the shape \(2, 2, 2\)"),
    ],
)
def test_a_batch_of_another_kind_is_named(item, kind, message):
    with pytest.raises(kind, match=message) as caught:
        evaluate(MODEL, iter([([0, 1], [1, 2]), item]))
    assert caught.value.__notes__ == ["In batch 1 of the data, from 0."]
