"""From ids back to tokens and text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minilm.data.guard import guarded
from minilm.tokenization.special_tokens import SpecialTokens

# Spaces that belong to no text, but stand between its tokens; the list is that of transformers.
UNWANTED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


class IdsToText(SpecialTokens):
    """The part of a tokenizer that knows what ids stand for."""

    clean_up_tokenization_spaces: bool

    # --- the vocabulary ---------------------------------------------------------------------------

    @property
    def vocab_size(self) -> int:
        """Number of tokens, without those that were added."""
        return int(self.backend_tokenizer.get_vocab_size(with_added_tokens=False))

    def __len__(self) -> int:
        """Return the number of tokens, with those that were added."""
        return int(self.backend_tokenizer.get_vocab_size())

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every token."""
        return dict(self.backend_tokenizer.get_vocab())

    @property
    def vocab(self) -> dict[str, int]:
        """The id of every token."""
        return self.get_vocab()

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> Any:
        """Return the id of a token, or those of several; of an unknown one that of `unk_token`."""
        if isinstance(tokens, str):
            index = self.backend_tokenizer.token_to_id(tokens)
            return self.unk_token_id if index is None else index
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Return the token of an id, or those of several; None where there is no such id."""
        found = _ids_as_lists(ids)
        if isinstance(found, int):
            return self.backend_tokenizer.id_to_token(found)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self.backend_tokenizer.id_to_token(i) for i in found if i not in skipped]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join tokens to the text that they stand for."""
        decoder = self.backend_tokenizer.decoder
        return " ".join(tokens) if decoder is None else str(decoder.decode(list(tokens)))

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return how many special tokens a call puts around a text, or around a pair of texts."""
        return int(self.backend_tokenizer.num_special_tokens_to_add(pair))

    # --- ids to text ------------------------------------------------------------------------------

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> Any:
        """Return the text of ids; of a batch, a list of texts.

        Parameters
        ----------
        token_ids : int, sequence of int, ndarray or Tensor
            ``(time,)`` or ``(batch, time)``.
        skip_special_tokens : bool
            Whether to leave them out.
        clean_up_tokenization_spaces : bool, optional
            Instead of the tokenizer's.

        Raises
        ------
        ValueError
            If an id is negative.
        TypeError
            If it is a text, or nothing.
        """
        ids = _ids_as_lists(token_ids)
        if isinstance(ids, list) and ids and isinstance(ids[0], list):
            return [
                self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in ids
            ]
        ids = [ids] if isinstance(ids, int) else ids
        if min(ids, default=0) < 0:
            raise ValueError(
                f"{min(ids)} is not the id of a token. In labels, -100 marks places that do not "
                "count: take them out first, labels[labels != -100]"
            )
        with guarded(ValueError, "cannot decode"):
            text = str(self.backend_tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))
        clean = clean_up_tokenization_spaces
        clean = self.clean_up_tokenization_spaces if clean is None else clean
        return _clean_up(text) if clean and not self._keeps_spaces() else text

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        """Return the texts of several sequences of ids."""
        options = (skip_special_tokens, clean_up_tokenization_spaces)
        return [self.decode(ids, *options) for ids in _ids_as_lists(sequences)]

    def _keeps_spaces(self) -> bool:
        from tokenizers.models import BPE

        return isinstance(self.backend_tokenizer.model, BPE)


def _ids_as_lists(ids: Any) -> Any:
    """Return ids as Python numbers, in lists if there are several."""
    if isinstance(ids, Mapping):
        ids = ids["input_ids"]
    if isinstance(ids, int | np.integer):
        return int(ids)
    if hasattr(ids, "tolist"):
        return ids.tolist()
    if not isinstance(ids, Iterable) or isinstance(ids, str | bytes):
        raise TypeError(
            f"decode: expected ids, a number or a list of them, got {type(ids).__name__}"
        )
    return [_ids_as_lists(item) for item in ids]


def _clean_up(text: str) -> str:
    for spaced in UNWANTED:
        text = text.replace(spaced, spaced.strip())
    return text
