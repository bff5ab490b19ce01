"""Writing a token after the other, the likeliest or one that is drawn."""

from __future__ import annotations

import numpy as np

from minilm.generation.choosing import Draw
from minilm.generation.logits_process import LogitsProcessorList
from minilm.generation.output import Record
from minilm.generation.prompt import Prompt
from minilm.generation.readers import Reader
from minilm.generation.stopping_criteria import StoppingCriteriaList
from minilm.generation.streamers import BaseStreamer


def write_tokens(
    reader: Reader,
    prompt: Prompt,
    new_tokens: int,
    rules: LogitsProcessorList,
    warpers: LogitsProcessorList,
    draw: Draw,
    criteria: StoppingCriteriaList,
    fill_id: int | None,
    record: Record,
    streamer: BaseStreamer | None,
    warpers_for_record: LogitsProcessorList,
) -> np.ndarray:
    """Write on from prompts.

    Parameters
    ----------
    reader : Reader
        The model.
    prompt : Prompt
        What to write on from.
    new_tokens : int
        Tokens to add, at most.
    rules, warpers : LogitsProcessorList
        Change the scores, one list after the other.
    draw : Draw
        How to choose.
    criteria : StoppingCriteriaList
        When a text ends.
    fill_id : int or None
        What texts that have ended are filled up with; needed if they can end one by one.
    record : Record
        Keeps what is asked for.
    streamer : BaseStreamer or None
        Is given each column.
    warpers_for_record : LogitsProcessorList
        What warps the scores that are kept, where `draw` does it for the tokens.

    Returns
    -------
    ndarray of int64
        The new tokens ``(batch, time)``, until all texts have ended.
    """
    start = prompt.ids.shape[1]
    ids = np.empty((len(prompt), start + new_tokens), np.int64)
    ids[:, :start] = prompt.ids
    ended = np.zeros(len(prompt), bool)
    for place in range(start, start + new_tokens):
        logits = reader.start(prompt) if place == start else reader.step(ids[:, place - 1])
        so_far = ids[:, :place]
        scores = warpers(so_far, rules(so_far, logits))
        if record.scores is not None or record.logits is not None:
            record.keep(warpers_for_record(so_far, scores), logits)
        chosen = draw(scores, place - start)
        ids[:, place] = chosen if fill_id is None else np.where(ended, fill_id, chosen)
        if streamer is not None:
            streamer.put(ids[:, place])
        if criteria:
            ended |= criteria(ids[:, : place + 1], _steps(record))
            if ended.all():
                return ids[:, start : place + 1]
    return ids[:, start:]


def _steps(record: Record) -> tuple[np.ndarray, ...] | None:
    return None if record.scores is None else tuple(record.scores)
