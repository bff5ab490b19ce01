"""A text, cut into tokens and split for training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minilm.data.byte_pairs import train_bpe_tokenizer
from minilm.data.tokenizer import encode_text, train_char_tokenizer, train_word_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TRAIN_SHARE = 0.9

TOKENIZERS: dict[str, Callable[..., Tokenizer]] = {
    "char": train_char_tokenizer,
    "word": train_word_tokenizer,
    "bpe": train_bpe_tokenizer,
}


@dataclass(frozen=True)
class Corpus:
    """What a model is trained and validated on.

    Attributes
    ----------
    name : str
        What the text is called in a report.
    level : str
        "char", "word" or "bpe".
    tokenizer : tokenizers.Tokenizer
        Knows every token of the text.
    train_ids, valid_ids : ndarray of int64
        The first 90 % of the tokens, and the rest.
    chars_per_token : float
        Of the whole text.
    """

    name: str
    level: str
    tokenizer: Tokenizer
    train_ids: np.ndarray
    valid_ids: np.ndarray
    chars_per_token: float

    @property
    def vocab_size(self) -> int:
        """Number of token types."""
        return self.tokenizer.get_vocab_size()


def make_corpus(
    text: str,
    level: str,
    name: str,
    *,
    vocab_size: int | None = None,
    tokenizer: Tokenizer | None = None,
) -> Corpus:
    """Train a tokenizer on a text, and split the text's tokens 90 to 10.

    Parameters
    ----------
    text : str
        What to learn from.
    level : {"char", "word", "bpe"}
        What a token is.
    name : str
        What the text is called in messages and reports.
    vocab_size : int, optional
        Most token types to have; what is rarer is unknown, or made of shorter tokens. Characters
        have no limit.
    tokenizer : tokenizers.Tokenizer, optional
        One that is there already, such as that of a model to train on.

    Returns
    -------
    Corpus

    Raises
    ------
    ValueError
        If the text is empty, `level` is unknown, or characters are to have a limit.
    """
    if level not in TOKENIZERS:
        raise ValueError(f"level must be one of {', '.join(TOKENIZERS)}; got {level!r}")
    if not text.strip():
        what = "holds only white space" if text else "is empty"
        raise ValueError(f"{name} {what}: there is nothing to learn from")
    if tokenizer is None:
        tokenizer = _train_tokenizer(text, level, vocab_size)
    ids = encode_text(tokenizer, text)
    cut = int(TRAIN_SHARE * len(ids))
    return Corpus(name, level, tokenizer, ids[:cut], ids[cut:], len(text) / len(ids))


def _train_tokenizer(text: str, level: str, vocab_size: int | None) -> Tokenizer:
    if vocab_size is None:
        return TOKENIZERS[level](text)
    if level == "char":
        raise ValueError(
            "a vocabulary of characters has as many as the text: leave --vocab-size out, or take "
            "--tokenizer bpe or word"
        )
    return TOKENIZERS[level](text, vocab_size=vocab_size)


def source_loss(corpus: Corpus, text: str) -> float:
    """Return what a perfect model pays for the validation tokens of the package's stories.

    Parameters
    ----------
    corpus : Corpus
        Made of `text`.
    text : str
        As :func:`minilm.data.stories.stories` wrote it.

    Returns
    -------
    float
        Nats a token.
    """
    from minilm.data.stories import story_nats

    start = corpus.tokenizer.encode(text).offsets[len(corpus.train_ids)][0]
    return sum(story_nats(text)[start:]) / len(corpus.valid_ids)
