"""Spans that two sequences share, against comparing all with all."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.evaluation.spans import Match, longest_match, windows_found


def naive_longest(query: list[int], text: list[int]) -> Match:
    best = Match(0, 0, 0)
    for i in range(len(query)):
        for j in range(len(text)):
            length = 0
            while query[i + length : i + length + 1] == text[j + length : j + length + 1] != []:
                length += 1
            if length > best.length:
                best = Match(length, i, j)
    return best


def naive_windows(query: list[int], text: list[int], length: int) -> list[bool]:
    has = {tuple(text[j : j + length]) for j in range(len(text) - length + 1)}
    return [tuple(query[i : i + length]) in has for i in range(len(query) - length + 1)]


few = st.lists(st.integers(0, 1), max_size=40)
many = st.lists(st.integers(-3, 300), max_size=40)


@settings(max_examples=120, deadline=None)
@given(st.one_of(st.tuples(few, few), st.tuples(many, many)), st.integers(1, 12))
def test_against_comparing_all_with_all(sequences, length):
    query, text = sequences
    arrays = np.array(query, np.int64), np.array(text, np.int64)
    assert longest_match(*arrays) == naive_longest(query, text)
    assert windows_found(*arrays, length).tolist() == naive_windows(query, text, length)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 30), st.integers(1, 33), st.integers(0, 40), st.integers(0, 2**32))
def test_a_planted_span_is_found(at, length, source, seed):
    rng = np.random.default_rng(seed)
    query, text = 100 + rng.permutation(64), 200 + rng.permutation(80)
    text[source : source + length] = query[at : at + length]
    assert longest_match(query, text) == Match(length, at, source)


def test_the_text_is_looked_at_in_pieces(monkeypatch):
    rng = np.random.default_rng(0)
    query, text = rng.integers(0, 3, 50), rng.integers(0, 3, 400)
    expected = longest_match(query, text), windows_found(query, text, 5).tolist()
    for chunk in (1, 7, 399):
        monkeypatch.setattr("minilm.evaluation.spans.CHUNK", chunk)
        assert (longest_match(query, text), windows_found(query, text, 5).tolist()) == expected


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_ids_of_any_kind(kind):
    ids = np.array([1, 2, 3, 250], kind)
    assert longest_match(ids, np.array([9, 2, 3, 250])) == Match(3, 1, 1)


def thue_morse(doublings: int) -> np.ndarray:
    """A sequence on which hashes by powers of a number modulo 2^64 collide."""
    word = np.zeros(1, np.int64)
    for _ in range(doublings):
        word = np.concatenate([word, 1 - word])
    return word


def test_where_hashes_collide():
    query, text = thue_morse(10), 1 - thue_morse(10)
    length = longest_match(query, text).length
    letters, others = ("".join(map(str, word)) for word in (query, text))
    spans = [[letters[i : i + n] for i in range(1025 - n)] for n in (length, length + 1)]
    assert [any(span in others for span in some) for some in spans] == [True, False]
    assert not windows_found(query, text, 1024).any()


@pytest.mark.parametrize(
    "query",
    [np.zeros(2000, int), np.tile([0, 1], 1000), thue_morse(11)],
    ids=["one token", "two by turns", "Thue-Morse"],
)
def test_repetition_takes_no_more_than_its_share(query):
    """All places match, and the number of places that are looked at stays linear."""
    text = np.tile(query, 50)
    assert longest_match(query, text) == Match(len(query), 0, 0)
    assert windows_found(query, text, 8).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["repetitive", "random"])
def test_ten_million_tokens_take_seconds(kind):
    rng = np.random.default_rng(0)
    text = np.zeros(10_000_000, int) if kind == "repetitive" else rng.integers(0, 60, 10_000_000)
    query = text[5_000_000:5_100_000].copy()
    started = time.process_time()
    assert longest_match(query, text).length == 100_000
    print(f"{kind}: {time.process_time() - started:.1f} s")  # shown, not asserted
