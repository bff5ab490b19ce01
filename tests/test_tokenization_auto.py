"""Folders of tokenizers, whole and damaged, and names of the hub."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from reference.tokenizer_cases import BATCH, SENTENCES, TEXTS
from tokenization_helpers import (
    byte_pair_folder,
    byte_pairs,
    word_piece_folder,
    word_pieces,
    write_settings,
)

import minilm
from minilm.data import train_bpe_tokenizer
from minilm.models import FolderError, HubError
from minilm.tokenization import AutoTokenizer, PreTrainedTokenizerFast

load = AutoTokenizer.from_pretrained


def same(one: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast) -> None:
    """Check that two tokenizers do the same."""
    assert [one(text) for text in TEXTS] == [other(text) for text in TEXTS]
    assert one.special_tokens_map == other.special_tokens_map
    assert one.get_vocab() == other.get_vocab()
    names = ("model_max_length", "padding_side", "truncation_side", "model_input_names")
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]


@pytest.mark.parametrize("make", [byte_pairs, word_pieces])
def test_a_tokenizer_comes_back(make, tmp_path: Path) -> None:
    tokenizer = make(tmp_path, model_max_length=32, truncation_side="left")
    tokenizer.padding_side = "left"
    tokenizer.add_special_tokens({"additional_special_tokens": ["<user>"]})
    tokenizer.add_tokens(["zebra"])
    tokenizer.chat_template = "{{ messages[0].content }}"
    files = tokenizer.save_pretrained(tmp_path / "saved")
    names = ["tokenizer.json", "chat_template.jinja", "tokenizer_config.json"]
    assert [Path(file).name for file in files] == names
    again = load(tmp_path / "saved")
    same(tokenizer, again)
    assert again.chat_template == tokenizer.chat_template
    assert again.extra_special_tokens == ["<user>"]


@pytest.mark.parametrize("make", [byte_pairs, word_pieces])
def test_transformers_reads_what_is_written(make, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = make(tmp_path, model_max_length=32)
    tokenizer.add_tokens(["zebra"])
    tokenizer.save_pretrained(tmp_path / "saved")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    for text in [*TEXTS, "a zebra"]:
        assert theirs(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert theirs.special_tokens_map == tokenizer.special_tokens_map
    assert theirs.model_max_length == 32


@pytest.mark.parametrize("kind", ["GPT2Tokenizer", "DistilBertTokenizer", "BertTokenizer"])
def test_what_transformers_writes_is_read(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    made = byte_pair_folder(tmp_path) if kind == "GPT2Tokenizer" else word_piece_folder(tmp_path)
    theirs = getattr(transformers, kind).from_pretrained(made, model_max_length=24)
    theirs.add_tokens(["zebra"])
    theirs.save_pretrained(tmp_path / "saved")
    ours = load(tmp_path / "saved")
    for text in [*TEXTS, "a zebra"]:
        assert dict(ours(text)) == dict(theirs(text))
    named = {name: token for name, token in ours.special_tokens_map.items()}
    if kind == "GPT2Tokenizer":
        del named["pad_token"]  # ours by default
    assert named == theirs.special_tokens_map
    assert ours.model_max_length == 24


def test_the_preset_pad_token_is_not_written(tmp_path: Path) -> None:
    tokenizer = load(byte_pair_folder(tmp_path))
    tokenizer.save_pretrained(tmp_path / "saved")
    settings = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text("utf-8"))
    assert "pad_token" not in settings and settings["eos_token"] == "<|endoftext|>"
    assert load(tmp_path / "saved").pad_token == "<|endoftext|>"


def test_older_files_are_read(tmp_path: Path) -> None:
    folder = byte_pair_folder(tmp_path)
    size = len(load(folder))
    token = {"content": "<|endoftext|>", "lstrip": False, "normalized": True}
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": token}), "utf-8")
    (folder / "added_tokens.json").write_text(
        json.dumps({"late": size + 1, "early": size}), "utf-8"
    )
    write_settings(
        folder,
        eos_token="<|endoftext|>",
        pad_token="<pad>",
        add_prefix_space=True,
        added_tokens_decoder={
            str(size + 2): {"content": "<pad>", "special": True},
            str(size + 3): {"content": "<x>", "special": False},
        },
        chat_template=[{"name": "default", "template": "one"}],
        author="somebody",
    )
    tokenizer = load(folder)
    tokens = ["early", "late", "<pad>", "<x>"]
    assert tokenizer.convert_tokens_to_ids(tokens) == list(range(size, size + 4))
    assert tokenizer.special_tokens_map == {
        **dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
        "pad_token": "<pad>",
    }
    assert tokenizer.tokenize("the cat") == ["Ġthe", "Ġcat"]
    assert tokenizer.chat_template == {"default": "one"}
    tokenizer.save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved")
    same(tokenizer, again)
    assert again.init_kwargs["author"] == "somebody"
    assert again.chat_template == {"default": "one"}


def test_overrides(tmp_path: Path) -> None:
    folder = word_piece_folder(tmp_path, padding_side="left")
    assert load(folder).padding_side == "left"
    tokenizer = load(folder, use_fast=False, padding_side="right", eos_token="[SEP]")
    assert (tokenizer.padding_side, tokenizer.eos_token_id) == ("right", 3)
    with pytest.raises(ValueError, match="padding_side is 'left' or 'right'; got 'top'"):
        load(folder, padding_side="top")


def test_padding_of_a_file_does_not_reach_a_call(tmp_path: Path) -> None:
    made = train_bpe_tokenizer(SENTENCES, 300)
    expected = made.encode(BATCH[0]).ids
    made.enable_padding(length=50)
    made.enable_truncation(2)
    made.save(str(tmp_path / "tokenizer.json"))
    assert load(tmp_path).encode(BATCH[0]) == expected


def test_it_is_saved_with_its_model(tmp_path: Path) -> None:
    tokenizer = byte_pairs(tmp_path)
    settings = dict(n_embd=4, n_layer=1, n_head=1, n_positions=8)
    model = minilm.GPT2LMHeadModel(minilm.GPT2Config(vocab_size=len(tokenizer), **settings))
    model.save_pretrained(tmp_path / "saved", tokenizer)
    same(tokenizer, load(tmp_path / "saved"))
    assert minilm.models.load_tokenizer(tmp_path / "saved").get_vocab() == tokenizer.get_vocab()


# --- what is missing or damaged -------------------------------------------------------------------


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"x")
    message = r"no tokenizer: expected tokenizer.json, or .*it has spiece.model.*SentencePiece"
    with pytest.raises(FolderError, match=message):
        load(tmp_path)
    with pytest.raises(FolderError, match="expected a folder with a tokenizer"):
        load(tmp_path / "spiece.model")


def test_the_hub_without_a_network(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(HubError, match="no folder 'gpt2' here.*hf download gpt2"):
        load("gpt2", cache_dir=tmp_path, local_files_only=True)
    with pytest.raises(TypeError, match="AutoTokenizer.from_pretrained"):
        AutoTokenizer()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tokenizer.json", "{", "tokenizer.json is damaged: .*line 1"),
        ("tokenizer.json", "{}", "tokenizer.json is damaged: it has no model"),
        ("tokenizer.json", '{"model": {"type": "BPE"}}', "tokenizer.json is damaged"),
        ("tokenizer.json", "[1]", "expected an object, got list"),
        ("merges.txt", "#version: 0.2\na b c\n", "merges.txt is damaged: 'a b c' is not a pair"),
        ("merges.txt", "qq zz\n", "vocab.json and merges.txt do not go together"),
        ("vocab.json", '{"a": -1}', "do not go together"),
        ("vocab.json", "\xff", "vocab.json is damaged"),
        ("tokenizer_config.json", '{"padding_side": 3}', "padding_side cannot be 3"),
        ("tokenizer_config.json", '{"padding_side": "up"}', "'left' or 'right'; got 'up'"),
        ("tokenizer_config.json", '{"eos_token": 3}', "eos_token: a special token is text"),
        ("tokenizer_config.json", '{"chat_template": [3]}', "chat_template is a text, or a list"),
        ("tokenizer_config.json", '{"model_max_length": Infinity}', "do not fit"),
        ("added_tokens.json", '{"a": "b"}', "the added tokens are damaged"),
    ],
)
def test_a_damaged_file_is_named(name: str, text: str, message: str, tmp_path: Path) -> None:
    folder = byte_pair_folder(tmp_path)
    (folder / name).write_text(text, encoding="latin-1")
    with pytest.raises(FolderError, match=message):
        load(folder)


def test_a_vocabulary_that_is_not_of_bert(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("a\nb\n[CLS]\n", "utf-8")
    with pytest.raises(FolderError, match=r"has 3 tokens, but not \[UNK\], \[SEP\]"):
        load(tmp_path)


def damaged(text: bytes, chance: random.Random) -> bytes:
    """Change a few bytes, cut some out, double some, or exchange a word or number."""
    data = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(data)), chance.randint(1, 9)
        kind = chance.randrange(5)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        else:
            words = [b"null", b"-1", b"0", b"99999999999", b"true", b'""', b"[]", b"{}", b"1e400"]
            start = data.find(b": ", at)
            end = min((i for i in (data.find(c, start) for c in (b",", b"\n")) if i > 0), default=0)
            if 0 <= start < end:
                data[start + 2 : end] = chance.choice(words)
    return bytes(data) or b"x"


@pytest.mark.parametrize("make", [byte_pairs, word_pieces])
def test_a_damaged_tokenizer_never_ends_the_process(make, tmp_path: Path) -> None:
    make(tmp_path).save_pretrained(tmp_path / "saved")
    path = tmp_path / "saved" / "tokenizer.json"
    # Without most of its vocabulary, so that the settings are hit rather than tokens.
    values = json.loads(path.read_text("utf-8"))
    whole = json.dumps(values, indent=1).encode()
    head = len(json.dumps({**values, "model": None}, indent=1))
    chance = random.Random(0)
    loaded = 0
    for turn in range(300):
        part = whole[: head + 900] if turn % 2 else whole
        path.write_bytes(damaged(part, chance) + (whole[head + 900 :] if turn % 2 else b""))
        try:
            tokenizer = load(tmp_path / "saved")
        except FolderError as error:
            assert str(tmp_path) in str(error)
            continue
        loaded += 1
        for text in ("The cat's naïve 日本", ""):
            try:
                tokenizer.decode(tokenizer.encode(text, text))
            except ValueError as error:
                assert "cannot" in str(error)
    assert 0 < loaded < 300
