"""Calls of a tokenizer: what transformers answers, live and stored."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.tokenizer_cases import BATCH, CALLS, SENTENCES, TEXTS, WORD_PIECES, plain
from tokenization_helpers import byte_pairs, stored, word_pieces

import minilm
from minilm.data import train_bpe_tokenizer
from minilm.tokenization import AutoTokenizer, PreTrainedTokenizerFast

KINDS = {
    "byte pairs": byte_pairs,
    "bert": lambda folder: word_pieces(folder, tokenizer_class="BertTokenizer"),
    "bert, cased": lambda folder: word_pieces(
        folder, tokenizer_class="BertTokenizer", do_lower_case=False
    ),
    "distilbert": word_pieces,
}
any_text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    return byte_pairs(folder)


@pytest.fixture(scope="module")
def pieces(folder: Path) -> PreTrainedTokenizerFast:
    return word_pieces(folder)


@pytest.fixture(scope="module")
def gpt2(data_dir: Path) -> PreTrainedTokenizerFast:
    if not (data_dir / "gpt2").is_dir():
        pytest.skip(f"no folder {data_dir / 'gpt2'}")
    return AutoTokenizer.from_pretrained(data_dir / "gpt2")


# --- the answers of transformers ------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_texts_are_those_of_transformers(kind: str, folder: Path) -> None:
    ours, theirs = KINDS[kind](folder), stored()[kind]
    assert [ours(text)["input_ids"] for text in TEXTS] == theirs["ids"]
    assert ours.batch_decode(theirs["ids"]) == theirs["decoded"]
    assert ours.batch_decode(theirs["ids"], skip_special_tokens=True) == theirs["without"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", KINDS)
def test_calls_are_those_of_transformers(kind: str, call: str, folder: Path) -> None:
    found = plain(KINDS[kind](folder)(**CALLS[call]))
    assert json.loads(json.dumps(found)) == stored()[kind]["calls"][call]


def test_gpt2_ids_are_those_of_transformers(gpt2: PreTrainedTokenizerFast) -> None:
    assert [gpt2(text)["input_ids"] for text in TEXTS] == stored()["gpt2"]["ids"]
    assert gpt2("Hello world")["input_ids"] == [15496, 995]
    assert (len(gpt2), gpt2.eos_token_id, gpt2.bos_token_id) == (50257, 50256, 50256)


@given(any_text)
def test_gpt2_gives_every_text_back(gpt2: PreTrainedTokenizerFast, text: str) -> None:
    assert gpt2.decode(gpt2.encode(text)) == text


def test_gpt2_is_that_of_transformers_on_any_text(gpt2: PreTrainedTokenizerFast, data_dir) -> None:
    transformers = pytest.importorskip("transformers")
    files = [str(data_dir / "gpt2" / name) for name in ("vocab.json", "merges.txt")]
    theirs = transformers.GPT2Tokenizer(*files)

    @given(any_text)
    def compare(text: str) -> None:
        assert gpt2.encode(text) == theirs.encode(text)
        assert gpt2.tokenize(text) == theirs.tokenize(text)

    compare()


@pytest.mark.parametrize("lower", [True, False])
def test_word_pieces_are_those_of_transformers_on_any_text(lower: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    vocab = {piece: index for index, piece in enumerate(WORD_PIECES)}
    theirs = transformers.DistilBertTokenizer(vocab, do_lower_case=lower)
    ours = word_pieces(tmp_path, do_lower_case=lower)

    @given(any_text)
    def compare(text: str) -> None:
        assert ours.encode(text) == theirs.encode(text)
        assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text))

    compare()


# --- calls ----------------------------------------------------------------------------------------


def test_tensors_are_those_of_minilm(tokenizer: PreTrainedTokenizerFast) -> None:
    encoding = tokenizer(BATCH, padding=True, return_tensors="pt")
    assert isinstance(encoding.input_ids, minilm.Tensor)
    assert encoding.input_ids.dtype == np.int64
    assert encoding["attention_mask"].numpy().sum(axis=1).tolist() == [
        len(ids) for ids in tokenizer(BATCH)["input_ids"]
    ]
    one = tokenizer(BATCH[0], return_tensors="np")["input_ids"]
    assert isinstance(one, np.ndarray) and one.shape == (1, len(tokenizer.encode(BATCH[0])))
    assert tokenizer("", return_tensors="pt").input_ids.shape == (1, 0)


def test_unequal_lengths_cannot_stack(tokenizer: PreTrainedTokenizerFast) -> None:
    lengths = [len(ids) for ids in tokenizer(BATCH)["input_ids"]]
    message = rf"text 0 has {lengths[0]} tokens, but text 1 has {lengths[1]}.*padding=True"
    with pytest.raises(ValueError, match=message):
        tokenizer(BATCH, return_tensors="pt")


def test_the_model_says_how_long_a_text_may_be(folder: Path) -> None:
    short = byte_pairs(folder, model_max_length=4)
    assert [len(ids) for ids in short(BATCH, truncation=True)["input_ids"]] == [4, 2, 4]
    assert len(short(BATCH[1], padding="max_length")["input_ids"]) == 4
    assert len(short(BATCH[0])["input_ids"]) > 4
    left = byte_pairs(folder, truncation_side="left")
    assert left.encode(BATCH[0], truncation=True, max_length=3) == left.encode(BATCH[0])[-3:]


def test_a_call_leaves_nothing_behind(tokenizer: PreTrainedTokenizerFast) -> None:
    before = tokenizer.backend_tokenizer.to_str()
    tokenizer(BATCH, padding=True, truncation=True, max_length=3)
    with pytest.raises(ValueError, match="cannot encode"):
        tokenizer(BATCH, truncation=True, max_length=3, stride=3)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_without_a_known_length_truncation_says_that_it_does_nothing(tokenizer) -> None:
    with pytest.warns(UserWarning, match="truncation=True has no effect.*Pass max_length"):
        assert tokenizer(BATCH[0], truncation=True) == tokenizer(BATCH[0])


def test_encode_and_tokenize(pieces: PreTrainedTokenizerFast) -> None:
    assert pieces.tokenize("The cats") == ["the", "cat", "##s"]
    ids = pieces.convert_tokens_to_ids(["[CLS]", "the", "cat", "##s", "[SEP]"])
    assert pieces.encode("The cats") == ids
    assert pieces.tokenize("The cat", "a dog", add_special_tokens=True) == [
        *("[CLS]", "the", "cat", "[SEP]"),
        *("a", "dog", "[SEP]"),
    ]
    assert pieces.num_special_tokens_to_add() == 2
    assert pieces.num_special_tokens_to_add(pair=True) == 3


def test_a_column_of_a_data_set_is_a_batch(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer(tuple(BATCH)) == tokenizer(np.array(BATCH)) == tokenizer(BATCH)
    assert tokenizer([]) == {"input_ids": [], "attention_mask": []}


def test_pad_is_what_a_call_does(tokenizer: PreTrainedTokenizerFast) -> None:
    for side in ("left", "right"):
        expected = tokenizer(BATCH, padding=True, padding_side=side)
        assert tokenizer.pad(tokenizer(BATCH), padding_side=side) == expected
        samples = [tokenizer(text) for text in BATCH]
        assert tokenizer.pad(samples, padding_side=side) == expected
        tensors = [tokenizer(text, return_tensors="pt")["input_ids"][0] for text in BATCH]
        padded = tokenizer.pad({"input_ids": tensors}, padding_side=side, return_tensors="np")
        assert padded["input_ids"].tolist() == expected["input_ids"]
        assert padded["attention_mask"].tolist() == expected["attention_mask"]
    assert tokenizer.pad(tokenizer(BATCH[0]), "max_length", 20)["attention_mask"][-1] == 0
    with pytest.raises(ValueError, match="samples with input_ids.*columns text"):
        tokenizer.pad([{"text": "a"}])


# --- making one -----------------------------------------------------------------------------------


def test_it_wraps_a_tokenizer_and_leaves_it_alone(tmp_path: Path) -> None:
    made = train_bpe_tokenizer(SENTENCES, 300)
    before = made.to_str()
    ours = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>")
    ours.add_tokens(["<new>"])
    assert made.to_str() == before
    assert (ours.vocab_size, len(ours)) == (made.get_vocab_size(), made.get_vocab_size() + 1)
    assert ours.encode("cat") == made.encode("cat").ids
    made.save(str(tmp_path / "tokenizer.json"))
    again = PreTrainedTokenizerFast(tokenizer_file=tmp_path / "tokenizer.json")
    assert again.encode(BATCH[0]) == ours.encode(BATCH[0])
    assert PreTrainedTokenizerFast(tokenizer_object=again).get_vocab() == made.get_vocab()


def test_it_can_be_copied_and_shown(tokenizer: PreTrainedTokenizerFast) -> None:
    other = copy.deepcopy(tokenizer)
    other.add_special_tokens({"mask_token": "<mask>"})
    assert tokenizer.mask_token is None and len(other) == len(tokenizer) + 1
    assert "vocab_size" in repr(tokenizer) and bool(tokenizer)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: PreTrainedTokenizerFast(), "tokenizer_object or of tokenizer_file"),
        (lambda t: PreTrainedTokenizerFast(tokenizer_object=t, padding_side="up"), "'left' or"),
        (lambda t: t("a", padding="longer"), "padding is True, False or one of.*'longer'"),
        (lambda t: t("a", truncation="last"), "truncation is True, False or one of.*'last'"),
        (lambda t: t("a", max_length=0), "at least 1 token; got 0"),
        (lambda t: t(["a", "bc"], padding=True, padding_side="up"), "'left' or 'right'"),
        (lambda t: t("a", return_tensors="tf"), "return_tensors is 'np'.*got 'tf'"),
        (lambda t: t("a", padding="max_length", max_length=4, return_tensors=1), "got 1"),
    ],
)
def test_wrong_options(tokenizer: PreTrainedTokenizerFast, call, message: str) -> None:
    with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
        call(tokenizer)
