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
from typing import TYPE_CHECKING

import numpy as np

from minilm.data.vocab import UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.models import Model

# What is one token at the level of words, tried in this order. Line ends are tokens, all other
# white space only separates. An apostrophe belongs to the word: don't, 'tis, o'clock.
WORD = "|".join(
    [
        UNKNOWN,  # some corpora spell it out
        r"\n",
        "``|''",  # straight double quotes, told apart by OPENING_QUOTE
        r"\d+(?:[.,:]\d+)+(?!\w)",  # 3.88, 1,000, 10:30
        r"['’]?\w+(?:['’\-]\w+)*",
        r"\.{2,}|-{2,}",
        r"[^\w\s]",
    ]
)

# A straight double quote with a space, a line's start or a bracket before it.
OPENING_QUOTE = r'(?<![^\s(\[{])"(?=\S)'

# Spaces that decoding drops from the tokens joined by spaces.
UNWANTED_SPACE = "|".join(
    [
        r"\A ",
        r" (?=\n)|(?<=\n) ",
        r" (?=[.,;:!?%)\]}”»…]|'')",  # before what closes
        r" (?=['’](?: |\z))",  # before an apostrophe that stands alone, at the end of a word
        r"(?<=[(\[{“‘«$£#@]) ",  # after what opens
        r" (?=--|—)|(?<=--|—) ",
    ]
)

PIECE_LENGTH = 10_000  # characters encoded as one item; several go to several threads


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


def encode_text(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """Encode a text of any length, quickly.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Any; those of this module are quick on megabytes.
    text : str
        What to encode.

    Returns
    -------
    ndarray of int64
        Ids ``(tokens,)``: those of ``tokenizer.encode(text).ids``.
    """
    if (table := _character_table(tokenizer)) is not None:
        points = np.frombuffer(text.encode("utf-32-le"), "<u4")
        return np.take(table, points, mode="clip")
    pieces = list(_pieces(text)) if _cuts_at_line_ends(tokenizer) else []
    encodings = tokenizer.encode_batch_fast(pieces or [text])
    return np.concatenate([np.array(encoding.ids, np.int64) for encoding in encodings])


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
            decoders.Replace(Regex(r"\A"), " "),  # before each token
            decoders.Fuse(),
            decoders.Replace(Regex(UNWANTED_SPACE), ""),
            decoders.Replace(Regex("`` ?|''"), '"'),
        ]
    )
    return tokenizer


def _pieces(text: str) -> Iterator[str]:
    """Cut a text at line ends, where no token of ours goes across."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + PIECE_LENGTH) + 1 or len(text)
        yield text[start:end]
        start = end


def _cuts_at_line_ends(tokenizer: Tokenizer) -> bool:
    """Tell whether encoding line by line gives the same, as it does with our words."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    ours = Split(Regex(WORD), "removed", invert=True)
    return repr(tokenizer.pre_tokenizer) == repr(ours) and tokenizer.post_processor is None


def _character_table(tokenizer: Tokenizer) -> np.ndarray | None:
    """Return the id of every code point, the last entry for unknown ones.

    None if the tokenizer does more than look up single characters.
    """
    from tokenizers.models import BPE

    model = tokenizer.model
    more = tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.post_processor
    if not isinstance(model, BPE) or any(part is not None for part in more):
        return None
    vocab = tokenizer.get_vocab()
    unknown = vocab.pop(UNKNOWN, None)
    if unknown is None or tokenizer.get_added_tokens_decoder() or max(map(len, vocab)) > 1:
        return None
    points = np.array([ord(token) for token in vocab])
    table = np.full(points.max() + 2, unknown, np.int64)
    table[points] = list(vocab.values())
    return table
