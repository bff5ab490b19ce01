"""Byte-level byte pair encoding, as GPT-2 has it: tokens are frequent strings of bytes.

Every text can be encoded, whatever its language, and decoding gives it back exactly: where nothing
longer is known, a token is one byte.

Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016);
on bytes: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_TEXT = "<|endoftext|>"
BYTES = 256

# A token takes along the space before it, and none reaches over the end of a word. So a text may be
# cut before a single space between two of these, on which all regular expressions agree.
CUT = re.compile(r"(?<=[A-Za-z.,;:!?]) (?=[A-Za-z])")
PIECE_LENGTH = 4_000  # characters
AT_ONCE = 256  # pieces that are encoded together: more would only take memory


def train_bpe_tokenizer(text: str, vocab_size: int = 8_000, *, min_frequency: int = 2) -> Tokenizer:
    """Make a tokenizer to which the most frequent strings of a text are tokens.

    It begins with the 256 bytes and joins, again and again, the two neighbours that stand together
    most often; never over the end of a word.

    Parameters
    ----------
    text : str
        Its words tell what is frequent.
    vocab_size : int
        Tokens to make, with the 256 bytes and ``<|endoftext|>``, id 0, which separates texts. A
        short text gives fewer.
    min_frequency : int
        How often two neighbours have to stand together to become one token.

    Returns
    -------
    tokenizers.Tokenizer
        The same for the same text.

    Raises
    ------
    ValueError
        If the text is empty, or not even the bytes find room.
    """
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    if not text:
        raise ValueError("cannot make a tokenizer from an empty text")
    if vocab_size < BYTES + 1:
        raise ValueError(
            f"vocab_size must be at least {BYTES + 1}, for the bytes and {END_OF_TEXT}; got "
            f"{vocab_size}"
        )
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_pieces(text), trainer)
    return tokenizer


def encode_byte_pairs(tokenizer: Tokenizer, text: str) -> np.ndarray | None:
    """Encode a long text piece by piece, several at a time.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Any.
    text : str
        What to encode.

    Returns
    -------
    ndarray of int64 or None
        The tokenizer's ids ``(tokens,)``. None if it does more than byte-level encoding, so that
        pieces might not give the ids of the whole.
    """
    if not _is_byte_level(tokenizer):
        return None
    parts = [np.empty(0, np.int64)]
    for pieces in _batched(_pieces(text), AT_ONCE):
        parts += [np.array(e.ids, np.int64) for e in tokenizer.encode_batch_fast(pieces)]
    return np.concatenate(parts)


def _batched(pieces: Iterator[str], count: int) -> Iterator[list[str]]:
    while batch := list(islice(pieces, count)):
        yield batch


def _is_byte_level(tokenizer: Tokenizer) -> bool:
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel

    before = tokenizer.pre_tokenizer
    more = tokenizer.normalizer, tokenizer.post_processor, tokenizer.truncation, tokenizer.padding
    return (
        isinstance(tokenizer.model, BPE)
        and isinstance(before, ByteLevel)
        and before.use_regex
        and not before.add_prefix_space
        and all(part is None for part in more)
        and not any(" " in token.content for token in tokenizer.get_added_tokens_decoder().values())
    )


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        found = CUT.search(text, start + PIECE_LENGTH)
        end = found.start() if found else len(text)
        yield text[start:end]
        start = end
