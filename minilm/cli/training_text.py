"""The text that a model was trained on, split as it was split then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def training_ids(
    folder: str, tokenizer: Tokenizer, path: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the ids that a model was trained on, and those that it was only validated on.

    Parameters
    ----------
    folder : str
        The model's.
    tokenizer : tokenizers.Tokenizer
        The model's.
    path : str
        The file given to ``minilm train --data``. Where its number of tokens is not that of the
        run, it is another file, and taken to be training text as a whole.

    Returns
    -------
    train_ids : ndarray of int64
        ``(tokens,)``.
    held_out : ndarray of int64 or None
        ``(tokens,)``; None where nothing was held out.
    """
    from minilm.data.text import read_text
    from minilm.data.tokenizer import encode_text
    from minilm.models.folder import read_config

    ids = encode_text(tokenizer, read_text(path))
    training = read_config(folder).get("training")
    if isinstance(training, dict):
        train, valid = training.get("train_tokens"), training.get("valid_tokens")
        if isinstance(train, int) and isinstance(valid, int) and train + valid == len(ids):
            return ids[:train], ids[train:]
    return ids, None
