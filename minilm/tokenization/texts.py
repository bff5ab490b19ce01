"""What a tokenizer may be called with: a text, a pair of texts, or a batch of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def read_texts(text: Any, text_pair: Any, words: bool) -> tuple[list[Any], bool]:
    """Return the samples of a call, and whether it was a batch.

    Parameters
    ----------
    text : str or sequence
        A text or a batch of texts; in a batch, a pair of texts may stand as a tuple.
    text_pair : str, sequence or None
        What goes with it.
    words : bool
        Whether a text is a sequence of words.

    Returns
    -------
    samples : list
        Texts, or pairs of texts.
    batched : bool
        Whether `text` was a batch.

    Raises
    ------
    TypeError
        If something is no text; the message says where.
    ValueError
        If there are not as many second texts as first ones.
    """
    if not _is_sequence(text) and not isinstance(text, str):
        raise TypeError(
            f"a tokenizer takes a text or a list of texts; got {type(text).__name__}. Ids become "
            "text with decode"
        )
    batched = _is_sequence(text) and not (words and _is_words(text))
    if not batched:
        sample = _check(text, words, "text")
        if text_pair is None:
            return [sample], False
        return [(sample, _check(text_pair, words, "text_pair"))], False
    firsts = list(text)
    if text_pair is None:
        return [_check_sample(item, words, f"text {i}") for i, item in enumerate(firsts)], True
    if isinstance(text_pair, str) or not _is_sequence(text_pair) or len(firsts) != len(text_pair):
        count = len(text_pair) if _is_sequence(text_pair) else "one that is no list"
        raise ValueError(f"a batch of {len(firsts)} texts takes as many in text_pair; got {count}")
    pairs = zip(firsts, text_pair, strict=True)
    checked = [
        (_check(a, words, f"text {i}"), _check(b, words, f"text_pair {i}"))
        for i, (a, b) in enumerate(pairs)
    ]
    return checked, True


def _is_sequence(value: Any) -> bool:
    """Tell lists, tuples, arrays and columns of data sets from a text."""
    listed = isinstance(value, Sequence) or hasattr(value, "tolist")
    return listed and not isinstance(value, str | bytes)


def _is_words(value: Any) -> bool:
    return _is_sequence(value) and all(isinstance(word, str) for word in value)


def _check_sample(value: Any, words: bool, where: str) -> Any:
    """Let a pair of texts pass, where a batch gives them as tuples."""
    pair = isinstance(value, tuple | list) and len(value) == 2
    if pair and all((_is_words(part) if words else isinstance(part, str)) for part in value):
        return tuple(value)
    return _check(value, words, where)


def _check(value: Any, words: bool, where: str) -> Any:
    if words and _is_words(value):
        return list(value)
    if not words and isinstance(value, str):
        return str(value)
    expected = "a list of words" if words else "a text"
    raise TypeError(
        f"{where}: expected {expected}, got {type(value).__name__} ({value!r:.60}). A column that "
        "misses values has to be cleaned first"
        if value is None or isinstance(value, float)
        else f"{where}: expected {expected}, got {type(value).__name__} ({value!r:.60})"
    )
