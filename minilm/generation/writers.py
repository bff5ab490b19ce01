"""Two ways to write: any model's forward pass, token by token, and packed weights in the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minilm import _core
from minilm.models.base import LanguageModel, read_on
from minilm.models.decoding import zero_states

# A prompt of more tokens is read by the forward pass, whose products take many tokens at once.
SHORT_PROMPT = 32


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; see :func:`minilm.generation.generate`."""

    temperature: float
    top_k: int
    top_p: float
    seed: int
    suppressed: np.ndarray
    end_id: int | None


class Writer(Protocol):
    """Writes on in rows of ids ``(batch, time)``, from left to right."""

    @property
    def all_ended(self) -> bool:
        """Whether every text has come to its end."""

    def write(self, rows: np.ndarray, begin: int, end: int) -> int:
        """Write the columns from `begin` to `end`; return where all texts had ended."""


def writer_of(model: Any, prompt: np.ndarray, sampling: Sampling) -> Writer:
    """Return the faster of the ways in which a model can write.

    Parameters
    ----------
    model : nn.Module
        A :class:`LanguageModel` is asked for its packed weights.
    prompt : ndarray of int
        ``(batch, time)``.
    sampling : Sampling
        How to draw.
    """
    decoder = model._decoder() if isinstance(model, LanguageModel) else None
    if decoder is None:
        return ForwardWriter(model, prompt, sampling)
    return DecoderWriter(model, decoder, prompt, sampling)


class ForwardWriter:
    """Asks the model for the logits after all ids so far, and draws from their last."""

    def __init__(self, model: Any, prompt: np.ndarray, sampling: Sampling) -> None:
        self._read = _reader(model)
        self._start = prompt.shape[1]
        self._sampling = sampling
        self._ended = np.zeros(len(prompt), bool)

    @property
    def all_ended(self) -> bool:
        """Whether every text has come to its end."""
        return bool(self._ended.all())

    def write(self, rows: np.ndarray, begin: int, end: int) -> int:
        """Write the columns from `begin` to `end`; return where all texts had ended."""
        s = self._sampling
        for place in range(begin, end):
            for text, logits in enumerate(self._read(rows[:, :place])):
                if self._ended[text]:
                    rows[text, place] = s.end_id
                    continue
                logits[s.suppressed] = -np.inf
                offset = place - self._start
                rows[text, place] = _core.sample(
                    logits, s.temperature, s.top_k, s.top_p, s.seed + text, offset
                )
                self._ended[text] = rows[text, place] == s.end_id
            if self.all_ended:
                return place + 1
        return end


def _reader(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from all ids so far (batch, time) to the next one's logits (batch, V)."""
    state, seen = None, 0
    longest = getattr(model, "max_length", None)

    def read(ids: np.ndarray) -> np.ndarray:
        nonlocal state, seen
        if longest is not None:  # it sees the last of the text, as it did in training
            seen = max(seen, ids.shape[1] - longest)
        logits, state = read_on(model, ids[:, seen:], state)
        if state is not None:  # else the model forgets, and reads all of it again
            seen = ids.shape[1]
        return logits.numpy()[:, -1]

    return read


class DecoderWriter:
    """Leaves the loop over tokens to the core."""

    def __init__(
        self, model: Any, decoder: _core.Decoder, prompt: np.ndarray, sampling: Sampling
    ) -> None:
        self._decoder = decoder
        self._start = prompt.shape[1]
        self._sampling = sampling
        self._ended = np.zeros(len(prompt), np.uint8)
        self._states = zero_states(decoder, len(prompt))
        read = prompt[:, :-1]  # the last is read when the token after it is written
        if read.shape[1] > SHORT_PROMPT:
            _, state = read_on(model, read, None)
            parts = model._decoder_state(state)
            self._states = tuple(np.array(part.numpy(), order="C") for part in parts)
        elif read.shape[1] > 0:
            decoder.read(np.array(read, np.int64, order="C"), self._states, logits=False)

    @property
    def all_ended(self) -> bool:
        """Whether every text has come to its end."""
        return bool(self._ended.all())

    def write(self, rows: np.ndarray, begin: int, end: int) -> int:
        """Write the columns from `begin` to `end`; return where all texts had ended."""
        s = self._sampling
        return self._decoder.write(
            rows,
            self._states,
            begin,
            end,
            temperature=s.temperature,
            top_k=s.top_k,
            top_p=s.top_p,
            seed=s.seed,
            offset=begin - self._start,
            suppressed=s.suppressed,
            end_id=-1 if s.end_id is None else s.end_id,
            ended=self._ended,
        )
