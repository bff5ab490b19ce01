r"""The ids of a text at the level of words, found again rather than cut again.

No word of ours, and no rule that tells one, reaches across a space or a line end: what stands
before a quote, a number or a word is asked for only as "a white space or the start", what follows
only as "no white space" or "no letter". So a text may be cut there into chunks, and the ids of a
chunk are the same wherever it stands. A language says most things again: a chunk is cut into words
once, and then looked up.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING

from minilm.data.vocab import UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer

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

CHUNK_END = re.compile("[ \n]")

# Characters of which Python's regular expressions and those of `tokenizers` agree whether they are
# letters, digits or white space, and of their small letters: ASCII, Latin and Cyrillic, and
# typographic marks.
FAMILIAR = re.compile(
    r"[\t-\r -~\u00a0-\u012f\u0131-\u024f\u0400-\u0482\u048a-\u04ff\u2010-\u203e]*"
)

# At most so many chunks are kept, and only short ones: some 100 MB.
KEPT = 500_000
LONGEST_KEPT = 50


class WordIds(dict[str, bytes]):
    """The ids of each chunk that was met, int32 as bytes.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Of which `cuts_our_words` is true. It cuts what is not `FAMILIAR`.
    lowercase : bool
        Whether it turns text to lower case.
    """

    def __init__(self, tokenizer: Tokenizer, lowercase: bool) -> None:
        self._tokenizer = tokenizer
        self._lowercase = lowercase
        self._vocab = tokenizer.get_vocab()
        self._unknown = self._vocab[tokenizer.model.unk_token]
        self._words = re.compile(WORD).findall
        self._open_quotes = re.compile(OPENING_QUOTE).sub

    def encode(self, piece: str) -> bytes:
        """Return the ids of a part of a text that starts and ends where chunks do."""
        if len(self) > KEPT:
            self.clear()
        return b"".join(map(self.__getitem__, piece.replace("\n", " \n ").split(" ")))

    def __missing__(self, chunk: str) -> bytes:
        ids = array("i", self._cut(chunk)).tobytes()
        if len(chunk) <= LONGEST_KEPT:
            self[chunk] = ids
        return ids

    def _cut(self, chunk: str) -> list[int]:
        get, unknown = self._vocab.get, self._unknown
        if chunk.isascii() and chunk.isalpha():  # most are: one word, with nothing to cut
            return [get(chunk.lower() if self._lowercase else chunk, unknown)]
        if not FAMILIAR.fullmatch(chunk):
            return self._tokenizer.encode(chunk).ids
        if '"' in chunk:
            chunk = self._open_quotes("``", chunk).replace('"', "''")
        words = self._words(chunk.lower() if self._lowercase else chunk)
        return [get(word, unknown) for word in words]
