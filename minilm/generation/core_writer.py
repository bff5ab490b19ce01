"""The fastest way to write: the loop over tokens in the core, where packed weights are."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm import _core
from minilm.generation.choosing import Draw
from minilm.generation.prompt import PADDING, Prompt
from minilm.generation.readers import states_before_last
from minilm.generation.streamers import BaseStreamer


def write_in_core(
    model: Any,
    decoder: _core.Decoder,
    prompt: Prompt,
    new_tokens: int,
    draw: Draw,
    suppressed: list[int],
    end_id: int | None,
    streamer: BaseStreamer | None,
) -> np.ndarray:
    """Write on from prompts; all in one call of the core, or a call a column with a streamer.

    Parameters
    ----------
    model : LanguageModel
        Whose weights the decoder has.
    decoder : _core.Decoder
        Packed weights.
    prompt : Prompt
        What to write on from.
    new_tokens : int
        Tokens to add, at most.
    draw : Draw
        How to choose.
    suppressed : list of int
        Ids that are never written.
    end_id : int or None
        What a text ends with; those that have ended are filled up with it.
    streamer : BaseStreamer or None
        Is given each column.

    Returns
    -------
    ndarray of int64
        The new tokens ``(batch, time)``, until all texts have ended.
    """
    start = prompt.ids.shape[1]
    last = start + new_tokens
    rows = np.empty((len(prompt), last), np.int64)
    rows[:, :start] = np.where(prompt.ids == PADDING, 0, prompt.ids)
    if new_tokens == 0:
        return rows[:, start:]
    # The last token that is written is not read.
    states = states_before_last(model, decoder, prompt, last - 1)
    ended = np.zeros(len(prompt), np.uint8)

    def write(begin: int, end: int) -> int:
        return decoder.write(
            rows,
            states,
            begin,
            end,
            temperature=draw.temperature,
            top_k=draw.top_k,
            top_p=draw.top_p,
            seed=draw.seed,
            offset=begin - start,
            suppressed=np.array(suppressed, np.int64),
            end_id=-1 if end_id is None else end_id,
            ended=ended,
        )

    if streamer is None:
        return rows[:, start : write(start, last)]
    for place in range(start, last):
        write(place, place + 1)
        streamer.put(rows[:, place])
        if ended.all():
            return rows[:, start : place + 1]
    return rows[:, start:]
