"""From a prompt in letters to a passage in letters, printed as it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minilm.data.tokenizer import encode_text
from minilm.data.vocab import UNKNOWN
from minilm.generation.generate import generate

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BEFORE = ".\n\n"  # what a passage follows when no prompt is given: the end of a paragraph


def start_ids(tokenizer: Tokenizer) -> np.ndarray:
    """Return the ids to write on from when there is no prompt.

    They are the end of a paragraph, as far as the vocabulary has it, so that the model begins a
    new one; failing that, the first id.
    """
    known = [tokenizer.token_to_id(token) for token in BEFORE]
    return np.array([token for token in known if token is not None] or [0])


def stream_text(
    model: Any,
    tokenizer: Tokenizer,
    prompt: str = "",
    max_new_tokens: int = 200,
    *,
    write: Callable[[str], object],
    **options: Any,
) -> None:
    """Write on from a prompt, handing over each piece of text as soon as it is known.

    Parameters
    ----------
    model : nn.Module
        See :func:`minilm.generation.generate`.
    tokenizer : tokenizers.Tokenizer
        The one that the model was trained with.
    prompt : str
        Text to go on from; it is written first. Empty: the model begins a new paragraph.
    max_new_tokens : int
        Tokens to add.
    write : callable
        Called with each piece, such as ``sys.stdout.write``.
    **options
        ``temperature``, ``top_k``, ``top_p``, ``seed`` of :func:`minilm.generation.generate`.
    """
    from tokenizers.decoders import DecodeStream

    decoder = DecodeStream(skip_special_tokens=False)

    def write_token(column: np.ndarray) -> None:
        piece = decoder.step(tokenizer, int(column[0]))
        if piece is not None:
            write(piece)

    ids = encode_text(tokenizer, prompt)
    if len(ids) == 0:
        ids = start_ids(tokenizer)
    else:
        write(prompt)
        for token in ids:
            decoder.step(tokenizer, int(token))
    unknown = tokenizer.token_to_id(UNKNOWN)  # what it stands for, nobody can write
    generate(
        model,
        ids,
        max_new_tokens,
        suppress_tokens=[] if unknown is None else [unknown],
        on_token=write_token,
        **options,
    )
