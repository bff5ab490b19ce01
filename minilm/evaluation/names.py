"""What ids stand for, where a tokenizer or a vocabulary tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm.data.tokenizer import backend_of, encode_text
from minilm.data.vocab import UNKNOWN, Vocab

# What ends a line, a sentence or a text, under the names that vocabularies give it.
ENDS = {
    "\n": "end of line",
    "</s>": "end of sentence",
    "<eos>": "end of sentence",
    "[SEP]": "end of sentence",
    "<|endoftext|>": "end of text",
    "<|end_of_text|>": "end of text",
}


class Names:
    """The tokens behind ids.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer, PreTrainedTokenizerFast, Vocab or None
        With None, ids have no names.
    """

    def __init__(self, tokenizer: Any = None) -> None:
        self._tokenizer = backend_of(tokenizer)

    def encode(self, text: str) -> np.ndarray:
        """Return the ids of a text.

        Raises
        ------
        TypeError
            If the tokenizer cannot encode a text, or there is none.
        """
        if not hasattr(self._tokenizer, "encode_batch_fast"):
            raise TypeError(
                "a text is read through the model's tokenizer: pass tokenizer=, such as "
                f"load_tokenizer(folder) returns, or ids; got {type(self._tokenizer).__name__}"
            )
        return encode_text(self._tokenizer, text)

    def token(self, index: int) -> str | None:
        """Return a token, or None."""
        if self._tokenizer is None:
            return None
        if isinstance(self._tokenizer, Vocab):
            return self._tokenizer.lookup_token(index)
        token: str | None = self._tokenizer.id_to_token(index)
        return token

    def text(self, ids: Sequence[int]) -> str | None:
        """Return the text that ids stand for, or None."""
        if self._tokenizer is None:
            return None
        if isinstance(self._tokenizer, Vocab):
            return " ".join(self._tokenizer.lookup_tokens(ids))
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def terms(self, counts: np.ndarray) -> tuple[str, ...]:
        """Say which ends of lines and texts counted, and how many tokens were unknown.

        Parameters
        ----------
        counts : ndarray of int
            How often each id was a target, ``(vocab,)``.
        """
        if self._tokenizer is None:
            return ()
        counted = [name for end, name in ENDS.items() if self._count(counts, end)]
        ends = " and ".join(dict.fromkeys(counted)) or "no end of line or sentence"
        unknown = self._count(counts, UNKNOWN)
        terms = (f"{ends} counted",)
        return (*terms, f"{unknown:,} unknown read as {UNKNOWN}") if unknown else terms

    def _count(self, counts: np.ndarray, token: str) -> int:
        if isinstance(self._tokenizer, Vocab):
            index = self._tokenizer[token] if token in self._tokenizer else None
        else:
            index = self._tokenizer.token_to_id(token)
        return int(counts[index]) if index is not None and index < len(counts) else 0
