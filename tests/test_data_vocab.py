import pytest

from minilm.data import UnknownTokenError, Vocab, build_vocab_from_iterator


@pytest.fixture
def vocab() -> Vocab:
    return Vocab(["<unk>", "hello", "world"])


def test_looks_up_both_ways(vocab: Vocab) -> None:
    assert vocab["world"] == 2
    assert vocab.lookup_token(1) == "hello"
    assert vocab.lookup_tokens([2, 0]) == ["world", "<unk>"]
    assert vocab.get_itos() == ["<unk>", "hello", "world"]
    assert vocab.get_stoi() == {"<unk>": 0, "hello": 1, "world": 2}
    for look_up in (vocab, vocab.forward, vocab.lookup_indices):
        assert look_up(["world", "hello"]) == [2, 1]


def test_is_used_like_the_tutorials_dict(vocab: Vocab) -> None:
    assert len(vocab) == 3
    assert "hello" in vocab
    assert "bye" not in vocab
    assert list(vocab) == ["<unk>", "hello", "world"]
    assert {index: word for word, index in vocab.items()} == {0: "<unk>", 1: "hello", 2: "world"}
    assert vocab.get("bye", vocab["<unk>"]) == 0
    assert vocab.get("bye") is None
    assert vocab == {"<unk>": 0, "hello": 1, "world": 2}


def test_get_answers_with_its_own_default(vocab: Vocab) -> None:
    vocab.set_default_index(0)
    assert vocab.get("bye", 7) == 7


@pytest.mark.parametrize("kind", [KeyError, RuntimeError, UnknownTokenError])
def test_an_unknown_token_is_named_with_its_nearest(vocab: Vocab, kind: type[Exception]) -> None:
    with pytest.raises(kind) as error:
        vocab(["hello", "wurld"])
    assert str(error.value).startswith("token 'wurld' is not in the vocabulary of 3 tokens")
    assert "nearest: 'world'" in str(error.value)


def test_the_default_index_stands_for_unknown_tokens(vocab: Vocab) -> None:
    assert vocab.get_default_index() is None
    vocab.set_default_index(vocab["<unk>"])
    assert vocab.get_default_index() == 0
    assert vocab["bye"] == 0
    assert vocab(["bye", "world"]) == [0, 2]
    assert "bye" not in vocab
    vocab.set_default_index(None)
    with pytest.raises(KeyError):
        vocab["bye"]


def test_tokens_are_added(vocab: Vocab) -> None:
    vocab.append_token("again")
    vocab.insert_token(",", 1)
    assert vocab.get_itos() == ["<unk>", ",", "hello", "world", "again"]
    assert [vocab[token] for token in vocab.get_itos()] == [0, 1, 2, 3, 4]


def test_bad_calls_are_refused(vocab: Vocab) -> None:
    with pytest.raises(ValueError, match="'hello' is in the vocabulary already, with id 1"):
        vocab.append_token("hello")
    with pytest.raises(ValueError, match="already"):
        Vocab(["a", "a"])
    with pytest.raises(IndexError, match="id 3 is outside the vocabulary of 3 tokens"):
        vocab.lookup_token(3)
    with pytest.raises(IndexError, match="expected 0 to 2"):
        vocab.lookup_tokens([0, -1])
    with pytest.raises(IndexError, match="expected 0 to 3"):
        vocab.insert_token("x", 4)
    with pytest.raises(IndexError):
        vocab.set_default_index(3)
    assert len(vocab) == 3


LINES = [["b", "c", "a", "b"], ["c", "<unk>", "b", "d"]]  # b 3, c 2, a 1, d 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["b", "c", "<unk>", "a", "d"]),
        ({"specials": ["<pad>", "<unk>"]}, ["<pad>", "<unk>", "b", "c", "a", "d"]),
        ({"specials": ["<unk>"], "special_first": False}, ["b", "c", "a", "d", "<unk>"]),
        ({"min_freq": 2, "specials": ["<unk>"]}, ["<unk>", "b", "c"]),
        ({"max_tokens": 3, "specials": ["<unk>"]}, ["<unk>", "b", "c"]),
        ({"max_tokens": 9, "specials": ["<unk>"]}, ["<unk>", "b", "c", "a", "d"]),
    ],
)
def test_building(options: dict, expected: list[str]) -> None:
    vocab = build_vocab_from_iterator(iter(LINES), **options)
    assert vocab.get_itos() == expected
    assert vocab.get_default_index() is None


def test_building_refuses_impossible_sizes() -> None:
    with pytest.raises(ValueError, match="min_freq"):
        build_vocab_from_iterator(LINES, min_freq=0)
    with pytest.raises(ValueError, match="max_tokens=1 leaves no room beside 1 special"):
        build_vocab_from_iterator(LINES, specials=["<unk>"], max_tokens=1)
