from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from minilm.data import encode_text, train_char_tokenizer, train_word_tokenizer

TEXT = """\
First Citizen:
Before we proceed any further, hear me speak.

All:
"Speak, 'tis well," they said (all of them): "don't you 1,000.50%?"
No... wait--what's the King’s £5 [sic]; a $3.88 well-known o'clock!
“Curly”, ‘single’ and the dogs' tails {x} #tag @name
"""
characters = st.text(st.characters(exclude_categories=["Cs"]))
words_of_any_kind = st.one_of(
    characters,
    st.text(st.sampled_from("aZé1９²'’\"`.,:-([{)$<unk>“\u0301\x1c\x85Σİ_"), max_size=12),
)


# --- characters -----------------------------------------------------------------------------------


def test_char_ids_are_in_the_order_of_code_points() -> None:
    tokenizer = train_char_tokenizer("hé\nab😀a")
    assert tokenizer.get_vocab() == {
        token: i for i, token in enumerate(["<unk>", "\n", "a", "b", "h", "é", "😀"])
    }
    assert tokenizer.encode("ab?\n").ids == [2, 3, 0, 1]
    assert tokenizer.encode("ab?\n").tokens == ["a", "b", "<unk>", "\n"]


@given(characters.filter(bool))
def test_char_round_trip_is_exact(text: str) -> None:
    tokenizer = train_char_tokenizer(text)
    ids = encode_text(tokenizer, text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text


@given(characters, characters.filter(bool))
def test_char_encoding_is_the_tokenizers_own(text: str, known: str) -> None:
    tokenizer = train_char_tokenizer(known)
    ids = encode_text(tokenizer, text)
    assert ids.dtype == np.int64
    assert ids.tolist() == tokenizer.encode(text).ids


def test_spelled_out_unk_is_five_characters() -> None:
    tokenizer = train_char_tokenizer("<unk>")
    ids = encode_text(tokenizer, "<unk>")
    assert len(ids) == 5
    assert 0 not in ids
    assert tokenizer.decode(ids) == "<unk>"


# --- words ----------------------------------------------------------------------------------------


def test_word_ids_go_by_frequency_then_alphabet() -> None:
    vocab = train_word_tokenizer("b a b c a b\nd").get_vocab()
    assert sorted(vocab, key=vocab.get) == ["<unk>", "b", "a", "\n", "c", "d"]
    assert sorted(vocab.values()) == [0, 1, 2, 3, 4, 5]


def test_words_are_cut() -> None:
    text = "\"Don't,\" he said. '`Tis 3.88 o'clock...no--well-known (yes)\n<unk>"
    expected = "`` Don't , '' he said . ' ` Tis 3.88 o'clock ... no -- well-known ( yes )".split()
    assert train_word_tokenizer(text).encode(text).tokens == [*expected, "\n", "<unk>"]


def test_words_that_were_not_there_are_unknown() -> None:
    tokenizer = train_word_tokenizer("one two")
    assert tokenizer.encode("one three two").ids == [1, 0, 2]
    assert tokenizer.decode([1, 0, 2]) == "one <unk> two"


def test_generated_words_read_well() -> None:
    tokenizer = train_word_tokenizer(TEXT)
    assert tokenizer.decode(tokenizer.encode(TEXT).ids) == TEXT


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("a  b\tc", "a b c"),
        ("  indented\r\nlines \n", "indented\nlines\n"),
        ("dash -- dash — dash", "dash--dash—dash"),
        ("odd , spaces ( here )", "odd, spaces (here)"),
    ],
)
def test_what_words_lose(text: str, decoded: str) -> None:
    tokenizer = train_word_tokenizer(text)
    assert tokenizer.decode(tokenizer.encode(text).ids) == decoded


@example("' '")
@given(st.text(st.sampled_from("ab'’\"`. ,-()\n$<“”é1"), max_size=60))
def test_words_streamed_are_words_decoded(text: str) -> None:
    # Generation prints token by token: the space before a token must not depend on later ones.
    tokenizer = train_word_tokenizer(text + " a")
    ids = tokenizer.encode(text).ids
    stream = DecodeStream(skip_special_tokens=False)
    pieces = [stream.step(tokenizer, token) for token in ids]
    assert "".join(piece for piece in pieces if piece is not None) == tokenizer.decode(ids)


@given(st.lists(st.sampled_from(TEXT.split("\n")), max_size=30), st.integers(1, 100))
def test_word_encoding_is_the_tokenizers_own(lines: list[str], piece: int) -> None:
    import minilm.data.tokenizer as module

    tokenizer = train_word_tokenizer(TEXT)
    text = "\n".join(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHORT", 0)
        patch.setattr(module, "PIECE_LENGTH", piece)
        ids = encode_text(tokenizer, text)
    assert ids.dtype == np.int64
    assert ids.tolist() == tokenizer.encode(text).ids


@given(
    st.lists(st.one_of(st.sampled_from(TEXT.split()), words_of_any_kind), max_size=30),
    st.sampled_from([" ", "\n", "\t", "", "\u2028", "\r\n", "  "]),
    st.integers(1, 40),
    st.booleans(),
)
def test_word_encoding_of_any_text(
    words: list[str], between: str, piece: int, lowercase: bool
) -> None:
    from minilm.data import tokenizer as cutting
    from minilm.data import word_ids

    text = between.join(words)
    tokenizer = train_word_tokenizer(TEXT + text[: len(text) // 2], lowercase=lowercase)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "SHORT", 0)
        patch.setattr(cutting, "PIECE_LENGTH", piece)
        patch.setattr(word_ids, "KEPT", 5)
        patch.setattr(word_ids, "LONGEST_KEPT", 8)
        ids = encode_text(tokenizer, text)
    assert ids.tolist() == tokenizer.encode(text).ids


@pytest.mark.parametrize("lowercase", [False, True])
def test_python_cuts_familiar_characters_as_the_tokenizer_does(
    lowercase: bool, monkeypatch
) -> None:
    # A letter, a digit, white space and a mark are cut in different ways: what each character is
    # can be told from the words that it makes with an a and a 1 on either side.
    from minilm.data.word_ids import FAMILIAR

    familiar = [c for c in map(chr, range(0x3000)) if FAMILIAR.fullmatch(c)]
    assert len(familiar) > 800
    parts = [part for c in familiar for part in (c, f"a{c}a", f"1{c}1", f'{c}"{c}"', f"'{c}'{c}")]
    text = "\n".join(parts)
    tokenizer = train_word_tokenizer(text, lowercase=lowercase)
    monkeypatch.setattr("minilm.data.tokenizer.SHORT", 0)
    ids = encode_text(tokenizer, text)
    assert ids.tolist() == tokenizer.encode(text).ids
    assert len(set(ids.tolist())) > 1000


def test_chunks_are_cut_once_and_the_strange_ones_by_the_tokenizer(monkeypatch) -> None:
    from minilm.data import word_ids

    asked = []

    class Counting(word_ids.WordIds):
        def _cut(self, chunk: str) -> list[int]:
            asked.append(chunk)
            return super()._cut(chunk)

    monkeypatch.setattr("minilm.data.tokenizer.WordIds", Counting)
    monkeypatch.setattr("minilm.data.tokenizer.SHORT", 0)
    text = "one two one\none two 東京 one 東京"
    tokenizer = train_word_tokenizer(text)
    assert encode_text(tokenizer, text).tolist() == tokenizer.encode(text).ids
    assert asked == ["one", "two", "\n", "東京"]
    monkeypatch.undo()
    assert encode_text(tokenizer, text).tolist() == tokenizer.encode(text).ids  # short: as it is
    assert len(asked) == 4


def test_the_vocabulary_is_limited() -> None:
    text = "a a a b b c"
    assert train_word_tokenizer(text, vocab_size=3).get_vocab() == {"<unk>": 0, "a": 1, "b": 2}
    assert train_word_tokenizer(text, min_frequency=3).get_vocab() == {"<unk>": 0, "a": 1}


def test_lower_case() -> None:
    tokenizer = train_word_tokenizer("The THE the", lowercase=True)
    assert tokenizer.get_vocab() == {"<unk>": 0, "the": 1}
    assert encode_text(tokenizer, "tHe").tolist() == [1]


# --- both -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", [train_char_tokenizer, train_word_tokenizer])
def test_saved_and_loaded_it_does_the_same(train, tmp_path: Path) -> None:
    tokenizer = train(TEXT)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    loaded = Tokenizer.from_file(str(path))
    ids = encode_text(loaded, TEXT)
    assert ids.tolist() == tokenizer.encode(TEXT).ids
    assert loaded.decode(ids) == TEXT
    assert loaded.to_str() == tokenizer.to_str() == train(TEXT).to_str()


@pytest.mark.parametrize("train", [train_char_tokenizer, train_word_tokenizer])
def test_nothing_to_encode(train) -> None:
    ids = encode_text(train(TEXT), "")
    assert ids.dtype == np.int64
    assert ids.shape == (0,)


@pytest.mark.parametrize("train", [train_char_tokenizer, train_word_tokenizer])
def test_an_empty_text_makes_no_tokenizer(train) -> None:
    with pytest.raises(ValueError, match="cannot make a tokenizer"):
        train("")


def test_no_word_left() -> None:
    with pytest.raises(ValueError, match="no word is left.*min_frequency=2"):
        train_word_tokenizer("each word once", min_frequency=2)
    with pytest.raises(ValueError, match="of 3 characters"):
        train_word_tokenizer(" \t ")


def test_other_tokenizers_are_encoded_as_they_do_it() -> None:
    from tokenizers import models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({"?": 0, "a": 1, "b": 2, "[S]": 3}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("[S] $A", special_tokens=[("[S]", 3)])
    assert encode_text(words, "b a").tolist() == words.encode("b a").ids == [3, 2, 1]
    merges = Tokenizer(models.BPE({"<unk>": 0, "a": 1, "b": 2, "ab": 3}, [("a", "b")]))
    assert encode_text(merges, "aba").tolist() == merges.encode("aba").ids == [3, 1]


def test_tokenizers_that_do_more_are_encoded_as_they_do_it(monkeypatch) -> None:
    from tokenizers import models

    monkeypatch.setattr("minilm.data.tokenizer.SHORT", 0)
    words = train_word_tokenizer(TEXT)
    words.enable_truncation(3)
    assert encode_text(words, "All : speak , speak").tolist() == words.encode("All : speak").ids
    words.no_truncation()
    words.add_tokens(["All :"])
    assert encode_text(words, "All :").tolist() == words.encode("All :").ids
    assert len(encode_text(words, "All :")) == 1
    fused = Tokenizer(models.BPE({"<unk>": 0, "a": 1}, [], unk_token="<unk>", fuse_unk=True))
    assert encode_text(fused, "xyax").tolist() == fused.encode("xyax").ids == [0, 1, 0]


def test_real_text(shakespeare: str) -> None:
    tokenizer = train_char_tokenizer(shakespeare)
    ids = encode_text(tokenizer, shakespeare)
    assert tokenizer.get_vocab_size() == 66
    assert tokenizer.decode(ids) == shakespeare
    words = train_word_tokenizer(shakespeare)
    ids = encode_text(words, shakespeare)
    assert ids.tolist() == words.encode(shakespeare).ids
    pairs = zip(shakespeare.split("\n"), words.decode(ids).split("\n"), strict=True)
    assert sum(line != decoded for line, decoded in pairs) < 50  # of 40,000
