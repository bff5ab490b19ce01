r"""Tokenizers as Hugging Face ``tokenizers`` objects, at the level of characters or of words.

Both save themselves to ``tokenizer.json`` (``tokenizer.save(path)``), which every program that
knows this format can read. Both have ``<unk>`` at id 0, for what the training text did not hold.

At the level of characters, decoding gives back exactly the text that was encoded. At the level of
words it gives text that reads well, which is not always the same: words are joined by one space,
with none before a comma or after an opening bracket; line ends are tokens and come back, while
indents, repeated spaces, the ``"\r"`` of ``"\r\n"`` and spaces around dashes do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minilm.data.byte_pairs import encode_byte_pairs
from minilm.data.vocab import UNKNOWN
from minilm.data.word_ids import CHUNK_END, OPENING_QUOTE, WORD, WordIds

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.models import Model

# Stands for the token '' while decoding, so that two apostrophes that lose the space between them
# are not taken for it: a character that no text is to hold (Unicode calls it a noncharacter).
CLOSING_QUOTE = "\ufdd0"

# Spaces that decoding drops from the tokens joined by spaces.
UNWANTED_SPACE = "|".join(
    [
        r"\A ",
        r" (?=\n)|(?<=\n) ",
        rf" (?=[.,;:!?%)\]}}”»…{CLOSING_QUOTE}])",  # before what closes
        r" (?=['’](?: |\z))",  # before an apostrophe that stands alone, at the end of a word
        r"(?<=[(\[{“‘«$£#@]) ",  # after what opens
        r" (?=--|—)|(?<=--|—) ",
    ]
)

PIECE_LENGTH = 4_000  # characters encoded at a time: what is in the works stays in the cache
SHORT = 20_000  # characters: so few are encoded before the quick way is set up


def train_char_tokenizer(text: str) -> Tokenizer:
    """Make a tokenizer to which every character of a text is a token.

    Parameters
    ----------
    text : str
        Its characters become the vocabulary, in the order of their code points, from id 1.

    Returns
    -------
    tokenizers.Tokenizer
        Decoding gives back exactly what was encoded: line ends, spaces, any Unicode.

    Raises
    ------
    ValueError
        If the text is empty.
    """
    from tokenizers import Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import BPE

    if not text:
        raise ValueError("cannot make a tokenizer from an empty text")
    vocab = {token: index for index, token in enumerate([UNKNOWN, *sorted(set(text))])}
    # Byte pair encoding that merges no pairs is an encoding of single characters.
    tokenizer = Tokenizer(BPE(vocab, [], unk_token=UNKNOWN))
    tokenizer.decoder = Fuse()
    return tokenizer


def train_word_tokenizer(
    text: str,
    *,
    vocab_size: int | None = None,
    min_frequency: int = 1,
    lowercase: bool = False,
) -> Tokenizer:
    """Make a tokenizer to which words, punctuation marks and line ends are tokens.

    Parameters
    ----------
    text : str
        Its words become the vocabulary, the most frequent first, from id 1.
    vocab_size : int, optional
        Keep the most frequent tokens only, so many with ``<unk>``.
    min_frequency : int
        Leave out tokens that come less often.
    lowercase : bool
        Turn all text to lower case before anything else.

    Returns
    -------
    tokenizers.Tokenizer
        What decoding does not give back is listed at the top of this module.

    Raises
    ------
    ValueError
        If no token of the text is left.

    Examples
    --------
    >>> text = '"Late again," she said.'
    >>> tokenizer = train_word_tokenizer(text)
    >>> tokenizer.encode(text).tokens
    ['``', 'Late', 'again', ',', "''", 'she', 'said', '.']
    >>> tokenizer.decode(tokenizer.encode(text).ids) == text
    True
    """
    from tokenizers.models import WordLevel
    from tokenizers.trainers import WordLevelTrainer

    trainer = WordLevelTrainer(
        vocab_size=len(text) + 1 if vocab_size is None else vocab_size,
        min_frequency=min_frequency,
        special_tokens=[UNKNOWN],
        show_progress=False,
    )
    learner = _word_pipeline(WordLevel({}, unk_token=UNKNOWN), lowercase)
    learner.train_from_iterator(_pieces(text), trainer)
    vocab = learner.get_vocab()
    if len(vocab) < 2:
        raise ValueError(
            f"cannot make a tokenizer: of a text of {len(text)} characters, no word is left "
            f"(min_frequency={min_frequency}, vocab_size={vocab_size})"
        )
    # A new one, in which <unk> is no special token: it is shown when decoded, not left out.
    return _word_pipeline(WordLevel(vocab, unk_token=UNKNOWN), lowercase)


def backend_of(tokenizer: Any) -> Any:
    """Return the `tokenizers.Tokenizer` that a `PreTrainedTokenizerFast` wraps.

    Parameters
    ----------
    tokenizer : object
        Anything else is returned as it is.
    """
    return getattr(tokenizer, "backend_tokenizer", tokenizer)


def encode_text(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """Encode a text of any length, quickly.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Any, or what wraps one, as a `PreTrainedTokenizerFast` does. Those of `minilm.data` take
        some seconds for 100 MB, and little memory beside the ids.
    text : str
        What to encode.

    Returns
    -------
    ndarray of int64
        Ids ``(tokens,)``: those of ``tokenizer.encode(text).ids``.
    """
    tokenizer = backend_of(tokenizer)
    if (table := _character_table(tokenizer)) is not None:
        return _encode_characters(table, text)
    if len(text) > SHORT and (word_ids := _word_ids(tokenizer)) is not None:
        parts = [np.frombuffer(word_ids.encode(piece), np.int32) for piece in _pieces(text)]
        return np.concatenate(parts, dtype=np.int64)
    if len(text) > SHORT and (ids := encode_byte_pairs(tokenizer, text)) is not None:
        return ids
    return np.array(tokenizer.encode_batch_fast([text])[0].ids, np.int64)


def _word_pipeline(model: Model, lowercase: bool) -> Tokenizer:
    """Put a model between the cutting into words and the joining of words."""
    from tokenizers import Regex, Tokenizer, decoders, normalizers
    from tokenizers.pre_tokenizers import Split

    tokenizer = Tokenizer(model)
    steps = [
        normalizers.Replace(Regex(OPENING_QUOTE), "``"),
        normalizers.Replace('"', "''"),
        *([normalizers.Lowercase()] if lowercase else []),
    ]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = Split(Regex(WORD), "removed", invert=True)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(Regex(r"\A''\z"), CLOSING_QUOTE),
            decoders.Replace(Regex(r"\A"), " "),  # before each token
            decoders.Fuse(),
            decoders.Replace(Regex(UNWANTED_SPACE), ""),
            decoders.Replace(Regex(f"`` ?|{CLOSING_QUOTE}"), '"'),
        ]
    )
    return tokenizer


def _pieces(text: str) -> Iterator[str]:
    """Cut a text at spaces and line ends, where no token of ours goes across."""
    start = 0
    while start < len(text):
        found = CHUNK_END.search(text, start + PIECE_LENGTH)
        end = found.end() if found else len(text)
        yield text[start:end]
        start = end


def _word_ids(tokenizer: Tokenizer) -> WordIds | None:
    """Return the quick way to the same ids; None if the tokenizer does not just cut our words."""
    from tokenizers.models import WordLevel

    model = tokenizer.model
    if not isinstance(model, WordLevel) or not _adds_nothing(tokenizer):
        return None
    if tokenizer.token_to_id(model.unk_token) is None:
        return None
    for lowercase in (False, True):
        ours = _word_pipeline(model, lowercase)
        if repr(ours.normalizer) == repr(tokenizer.normalizer) and (
            repr(ours.pre_tokenizer) == repr(tokenizer.pre_tokenizer)
        ):
            return WordIds(tokenizer, lowercase)
    return None


def _adds_nothing(tokenizer: Tokenizer) -> bool:
    """Tell whether the ids are those of the model, with none added and none left out."""
    more = tokenizer.post_processor, tokenizer.truncation, tokenizer.padding
    return not tokenizer.get_added_tokens_decoder() and all(part is None for part in more)


def _encode_characters(table: np.ndarray, text: str) -> np.ndarray:
    ids = np.empty(len(text), np.int64)
    for start in range(0, len(text), PIECE_LENGTH):
        piece = text[start : start + PIECE_LENGTH]
        points = np.frombuffer(piece.encode("utf-32-le"), "<u4")
        np.take(table, points, mode="clip", out=ids[start : start + len(piece)])
    return ids


def _character_table(tokenizer: Tokenizer) -> np.ndarray | None:
    """Return the id of every code point, the last entry for unknown ones.

    None if the tokenizer does more than look up single characters.
    """
    from tokenizers.models import BPE

    model = tokenizer.model
    if not isinstance(model, BPE) or model.fuse_unk or not _adds_nothing(tokenizer):
        return None
    if tokenizer.normalizer is not None or tokenizer.pre_tokenizer is not None:
        return None
    vocab = tokenizer.get_vocab()
    unknown = vocab.pop(UNKNOWN, None)
    if unknown is None or max(map(len, vocab)) > 1:
        return None
    points = np.array([ord(token) for token in vocab])
    table = np.full(points.max() + 2, unknown, np.int64)
    table[points] = list(vocab.values())
    return table
