"""From a prompt in letters to a passage in letters, printed as it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minilm.data.tokenizer import backend_of, encode_text
from minilm.data.vocab import UNKNOWN
from minilm.generation.generate import generate
from minilm.generation.start import start_ids

if TYPE_CHECKING:
    from tokenizers import Tokenizer


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
        Of :func:`minilm.generation.generate`: ``temperature``, ``top_p``, ``seed``, ...
    """
    from tokenizers.decoders import DecodeStream

    tokenizer = backend_of(tokenizer)
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
    streams = options.get("num_beams", 1) == 1  # beams know at the end alone
    written: np.ndarray = generate(
        model,
        ids,
        max_new_tokens,
        tokenizer=tokenizer,
        suppress_tokens=None if unknown is None else [unknown],
        on_token=write_token if streams else None,
        **options,
    ).numpy()
    if not streams:
        for token in written[len(ids) :]:
            write_token(np.array([token]))
