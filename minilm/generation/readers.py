"""Models as readers: what they have read is carried, in one form or another, from token to token.

The state of a recurrent model and the keys and values of a transformer are the same idea. Each has
an adapter with ``start``, ``step`` and ``reorder``, so that all ways to write are written once.
"""

from __future__ import annotations

import inspect
from typing import Any, Protocol

import numpy as np

from minilm import _core
from minilm.generation.prompt import PADDING, Prompt, by_length
from minilm.generation.watch import Watch
from minilm.models.base import LanguageModel, logits_of, map_state, read_on
from minilm.models.decoding import zero_states
from minilm.models.ngram import NGramModel
from minilm.nn.deferred import head_of
from minilm.nn.functional import linear
from minilm.tensor import Tensor


class Reader(Protocol):
    """A model that reads rows of texts side by side."""

    def start(self, prompt: Prompt) -> np.ndarray:
        """Read the prompts; return the logits of what comes next, ``(batch, vocab)``."""

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Read a token more of each text, ``(batch,)``; return logits as `start` does."""

    def reorder(self, rows: np.ndarray) -> None:
        """Go on with these rows of what was read: a row may come again, or not at all."""


def reader_of(model: Any, use_cache: bool = True, watch: Watch | None = None) -> Reader:
    """Return the reader of a model.

    Parameters
    ----------
    model : nn.Module or NGramModel
        With packed weights in the core, ``past_key_values``, ``forward_with_state``, or nothing.
    use_cache : bool
        If not, all is read again for each token.
    watch : Watch, optional
        Keeps what else the model returns.

    Raises
    ------
    ValueError
        If the model does not return what is to be watched.
    """
    watch = watch or Watch()
    watch.check(model)
    if isinstance(model, NGramModel):
        return NGramReader(model)
    if not use_cache:
        return HistoryReader(model, watch)
    decoder = model._decoder() if isinstance(model, LanguageModel) else None
    if decoder is not None and model.max_length is None:
        return DecoderReader(model, decoder)
    if "past_key_values" in inspect.signature(model.forward).parameters:
        return CacheReader(model, watch)
    if decoder is not None:
        return PackedReader(model, decoder)
    if hasattr(model, "forward_with_state"):
        return StateReader(model)
    return HistoryReader(model, watch)


# --- models that carry nothing --------------------------------------------------------------------


class HistoryReader:
    """Keeps the texts, and has the model read all of them again: the slow twin of the others.

    A model that can read ``max_length`` tokens at most sees the last of a text.
    """

    def __init__(self, model: Any, watch: Watch | None = None) -> None:
        self._model = model
        self._watch = watch or Watch()
        self._longest: int | None = getattr(model, "max_length", None)
        self._ids = np.empty((0, 0), np.int64)

    def start(self, prompt: Prompt) -> np.ndarray:
        """Read the prompts."""
        self._ids = prompt.ids
        return self._read()

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Read all texts again, with a token more."""
        self.append(ids)
        return self._read()

    def append(self, ids: np.ndarray) -> None:
        """Take a token more of each text, without reading it."""
        self._ids = np.concatenate([self._ids, ids[:, None]], axis=1)

    def reorder(self, rows: np.ndarray) -> None:
        """Go on with these texts."""
        self._ids = self._ids[rows]

    def _read(self) -> np.ndarray:
        texts = [row[row != PADDING][-(self._longest or 0) :] for row in self._ids]
        logits: dict[int, np.ndarray] = {}
        groups = list(by_length(texts))
        for places, ids in groups:
            logits.update(zip(places, self._logits(ids), strict=True))
        self._watch.keep([places for places, _ in groups])
        return np.stack([logits[place] for place in range(len(texts))])

    def _logits(self, ids: np.ndarray) -> np.ndarray:
        """Return the logits after texts of one length, ``(batch, vocab)``."""
        output = self._model(Tensor(ids), **self._watch.options)
        self._watch.hold(output)
        return last_logits(logits_of(output))


class NGramReader(HistoryReader):
    """Looks up what came after the last tokens."""

    def __init__(self, model: NGramModel) -> None:
        super().__init__(model)
        self._longest = None  # how far back it looks is the model's business

    def _logits(self, ids: np.ndarray) -> np.ndarray:
        probs = np.stack([self._model.distribution(text) for text in ids])
        logs: np.ndarray = np.log(probs).astype(np.float32)
        return logs


# --- models that carry a state --------------------------------------------------------------------


class StateReader:
    """Carries the state of ``forward_with_state``, whose parts have the batch on axis 1."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._state: Any = None
        self._batch = 0

    def start(self, prompt: Prompt) -> np.ndarray:
        """Read the prompts, those of one length together."""
        self._batch = len(prompt)
        logits, states, order = [], [], []
        for places, ids in by_length([row[row != PADDING] for row in prompt.ids]):
            group_logits, state = read_on(self._model, ids, None)
            logits.append(last_logits(group_logits))
            states.append(state)
            order += places
        back = np.argsort(order)
        self._state = states[0] if len(states) == 1 else _joined(states, back)
        return np.concatenate(logits)[back]

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Read a token more."""
        logits, self._state = read_on(self._model, ids[:, None], self._state)
        return last_logits(logits)

    def reorder(self, rows: np.ndarray) -> None:
        """Pick rows of the state."""
        self._state = map_state(lambda part: Tensor(_rows(part, rows, self._batch)), self._state)
        self._batch = len(rows)


def _joined(states: list[Any], rows: np.ndarray) -> Any:
    """Put states of groups side by side, and pick rows."""
    groups: list[list[np.ndarray]] = []
    for state in states:
        parts: list[Any] = []
        map_state(parts.append, state)
        groups.append([_checked(part) for part in parts])
    joined = iter([np.concatenate(parts, axis=1) for parts in zip(*groups, strict=True)])
    return map_state(lambda _: Tensor(np.take(next(joined), rows, axis=1)), states[0])


def _rows(part: Any, rows: np.ndarray, batch: int) -> np.ndarray:
    return np.take(_checked(part, batch), rows, axis=1)


def _checked(part: Any, batch: int | None = None) -> np.ndarray:
    """Return a part of a state as an array, if its rows are known to be on axis 1."""
    array = part.numpy() if isinstance(part, Tensor) else None
    if array is None or array.ndim < 2 or batch not in (None, array.shape[1]):
        got = type(part).__name__ if array is None else f"the shape {array.shape}"
        raise ValueError(
            "beams and texts of several lengths need a state whose rows can be picked: tensors "
            f"(layers, batch, ...), got {got}. With use_cache=False the model is read without one"
        )
    return array


class DecoderReader:
    """Carries the state of weights that are packed in the core."""

    def __init__(self, model: Any, decoder: _core.Decoder) -> None:
        self._model = model
        self._decoder = decoder
        self._states: tuple[np.ndarray, ...] = ()

    def start(self, prompt: Prompt) -> np.ndarray:
        """Read the prompts."""
        self._states = states_before_last(self._model, self._decoder, prompt)
        return self.step(prompt.ids[:, -1])

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Read a token more."""
        column = np.array(ids[:, None], np.int64, order="C")
        logits = self._decoder.read(column, self._states)
        assert logits is not None  # which it is where they are not asked for
        return logits[:, -1]

    def reorder(self, rows: np.ndarray) -> None:
        """Pick rows of the states."""
        self._states = tuple(np.take(part, rows, axis=1) for part in self._states)


def states_before_last(
    model: LanguageModel, decoder: _core.Decoder, prompt: Prompt, capacity: int | None = None
) -> tuple[np.ndarray, ...]:
    """Return the states of a decoder that has read prompts up to their last token.

    Parameters
    ----------
    model : LanguageModel
        Whose weights the decoder has.
    decoder : _core.Decoder
        Packed weights.
    prompt : Prompt
        What to read.
    capacity : int, optional
        How many tokens will be read in all; see :func:`minilm.models.decoding.zero_states`.

    Returns
    -------
    tuple of ndarray
        With the texts on axis 1.
    """
    states = zero_states(decoder, len(prompt), capacity)
    for places, ids in by_length([row[row != PADDING][:-1] for row in prompt.ids]):
        if ids.shape[1] == 0:
            continue
        parts = zero_states(decoder, len(places), capacity)
        model._read_prompt(decoder, np.array(ids, np.int64, order="C"), parts)
        for whole, part in zip(states, parts, strict=True):
            whole[:, places] = part
    return states


# --- models that carry keys and values ------------------------------------------------------------


class CacheReader:
    """Carries ``past_key_values``, as far as the positions of the model reach.

    From there on it reads the last ``max_length`` tokens again for each: all the others moved.
    """

    def __init__(self, model: Any, watch: Watch | None = None) -> None:
        self._model = model
        self._watch = watch or Watch()
        self._history = HistoryReader(model, self._watch)
        self._longest: int | None = getattr(model, "max_length", None)
        self._cache: Any = None
        self._mask: np.ndarray | None = None

    def start(self, prompt: Prompt) -> np.ndarray:
        """Read the prompts."""
        if not self._fits(prompt.ids.shape[1]):
            return self._history.start(prompt)
        self._history._ids = prompt.ids
        self._mask = prompt.ids != PADDING if prompt.is_padded else None
        return self._read(np.where(prompt.ids == PADDING, 0, prompt.ids))

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Read a token more."""
        self._history.append(ids)
        if self._cache is None or not self._fits(self._cache.get_seq_length() + 1):
            self._cache = None
            return self._history._read()
        if self._mask is not None:
            self._mask = np.pad(self._mask, ((0, 0), (0, 1)), constant_values=True)
        return self._read(ids[:, None])

    def reorder(self, rows: np.ndarray) -> None:
        """Pick rows of the cache."""
        self._history.reorder(rows)
        if self._mask is not None:
            self._mask = self._mask[rows]
        if self._cache is not None:
            self._cache.reorder_cache(rows)

    def _fits(self, length: int) -> bool:
        return self._longest is None or length <= self._longest

    def _read(self, ids: np.ndarray) -> np.ndarray:
        output = self._model(
            Tensor(ids),
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            **self._watch.options,
        )
        self._cache = output.past_key_values
        self._watch.hold(output)
        self._watch.keep([range(len(ids))])
        return last_logits(logits_of(output))


class PackedReader:
    """Carries keys and values of a transformer whose weights are packed in the core.

    They reach as far as the positions of the model; from there on it reads the last ``max_length``
    tokens again for each, as `CacheReader` does. There is room for about twice what was read, so
    that a beam costs what it holds.
    """

    def __init__(self, model: Any, decoder: _core.Decoder) -> None:
        self._model = model
        self._decoder = decoder
        self._history = HistoryReader(model)
        self._longest: int = model.max_length
        self._states: tuple[np.ndarray, ...] | None = None

    def start(self, prompt: Prompt) -> np.ndarray:
        """Read the prompts."""
        time = prompt.ids.shape[1]
        if time > self._longest:
            return self._history.start(prompt)
        self._history._ids = prompt.ids
        self._states = states_before_last(
            self._model, self._decoder, prompt, min(2 * time, self._longest)
        )
        return self._read(prompt.ids[:, -1])

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Read a token more."""
        self._history.append(ids)
        length = self._length()
        if self._states is None or length >= self._longest:
            self._states = None
            return self._history._read()
        if length == self._states[0].shape[3]:
            self._states = self._copy(np.arange(len(ids)), min(2 * length, self._longest))
        return self._read(ids)

    def reorder(self, rows: np.ndarray) -> None:
        """Pick rows of keys and values."""
        batch = len(self._history._ids)
        self._history.reorder(rows)
        if self._states is not None and not np.array_equal(rows, np.arange(batch)):
            self._states = self._copy(rows, self._states[0].shape[3])

    def _length(self) -> int:
        """Return how many positions the longest text has read."""
        return 0 if self._states is None else int(self._states[2].max())

    def _copy(self, rows: np.ndarray, capacity: int) -> tuple[np.ndarray, ...]:
        """Return rows of the states with another capacity; what they have room for is not read."""
        assert self._states is not None  # else there is nothing to copy
        length, fresh = self._length(), zero_states(self._decoder, len(rows), capacity)
        for new, old in zip(fresh[:2], self._states[:2], strict=True):
            for place, row in enumerate(rows):
                new[:, place, :, :length] = old[:, row, :, :length]
        fresh[2][...] = self._states[2][:, rows]
        return fresh

    def _read(self, ids: np.ndarray) -> np.ndarray:
        assert self._states is not None
        column = np.array(ids[:, None], np.int64, order="C")
        logits = self._decoder.read(column, self._states)
        assert logits is not None  # which it is where they are not asked for
        return logits[:, -1]


def last_logits(logits: Tensor) -> np.ndarray:
    """Return the logits at the last place of each text, ``(batch, vocab)`` of float32.

    Of a head that is still to be computed, they alone are.

    Parameters
    ----------
    logits : Tensor
        ``(batch, time, vocab)``.
    """
    head = head_of(logits.reshape(-1, logits.shape[-1]))
    if head is None:
        return np.array(logits.numpy()[:, -1])
    x, *parameters = map(Tensor, head.arrays)
    last = x.numpy().reshape(*logits.shape[:2], x.shape[-1])[:, -1]
    return linear(Tensor(np.ascontiguousarray(last)), *parameters).numpy()
