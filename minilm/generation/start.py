"""What a text begins with when there is no prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minilm.data.tokenizer import backend_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BEFORE = ".\n\n"  # what a passage follows when no prompt is given: the end of a paragraph


def start_ids(tokenizer: Tokenizer) -> np.ndarray:
    """Return the ids to write on from when there is no prompt.

    They are the end of a paragraph, as far as the vocabulary has it, so that the model begins a
    new one; failing that, the first id.
    """
    tokenizer = backend_of(tokenizer)
    known = [tokenizer.token_to_id(token) for token in BEFORE]
    return np.array([token for token in known if token is not None] or [0])
