"""Models of all kinds as readers of windows: what they say to each token that counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np

import minilm.nn.functional as F
from minilm.data.stream import IGNORED
from minilm.evaluation.windows import StreamPlan, Window
from minilm.grad_mode import no_grad
from minilm.models.base import logits_of, read_on
from minilm.models.ngram import NGramModel
from minilm.nn.deferred import head_of
from minilm.tensor import Tensor

BLOCK = 1 << 20  # logits looked at together: 4 MiB of them
NGRAM_STRIDE = 2048  # tokens of a window
CONTEXT = 128  # tokens, where a model says nothing of how many it can read


class Scores(Protocol):
    """What a model says to the targets of a window."""

    def total(self) -> float:
        """Return the summed loss of the targets that count, in nats."""

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield places among ``targets.ravel()``, and the logits there ``(places, vocab)``."""


class Reader(Protocol):
    """A model that reads windows."""

    carries_state: bool
    vocab_size: int | None  # None where only its answers tell
    longest: int | None  # tokens that it can read at once; None for any number

    def plan(self, targets: int, seq_len: int | None, stride: int | None, lanes: int) -> StreamPlan:
        """Say how the model is to read a stream."""

    def reading(self) -> AbstractContextManager[None]:
        """Return a context in which the model reads, and after which it is as it was."""

    def read(self, window: Window, state: Any) -> tuple[Scores, Any]:
        """Read a window on from a state, None at the start; return the state after it."""


def reader_of(model: Any) -> Reader:
    """Return the reader for a model.

    Raises
    ------
    TypeError
        If it is no model.
    """
    if isinstance(model, NGramModel):
        return NGramReader(model)
    if not callable(model) or not hasattr(model, "eval"):
        raise TypeError(
            "evaluate takes a language model, an nn.Module that maps ids to logits or an "
            f"NGramModel, as its first argument; got {type(model).__name__}"
        )
    return NeuralReader(model)


# --- neural models --------------------------------------------------------------------------------


class NeuralReader:
    """Any module that maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.carries_state = hasattr(model, "forward_with_state")
        self.vocab_size = _size(model, "vocab_size")
        self.longest = _size(model, "n_positions") or _size(model, "max_position_embeddings")

    def plan(self, targets: int, seq_len: int | None, stride: int | None, lanes: int) -> StreamPlan:
        """Carry the state along lanes, or read windows; see :func:`minilm.evaluation.evaluate`."""
        context = seq_len or (CONTEXT if self.longest is None else self.longest // 2)
        if self.carries_state and stride is None:
            return StreamPlan.of_lanes(targets, context, lanes)
        if self.longest is not None:
            own = stride or -(-self.longest // 2)
            if own > self.longest:
                raise ValueError(
                    f"stride {own}: the model reads at most {self.longest} tokens at once, so no "
                    "more than these can count in a window"
                )
            context = min(context, self.longest - own)
        return StreamPlan.of_windows(targets, context, stride or context or 1)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Switch dropout off and keep no tape, and put the mode back at the end."""
        was_training = self._model.training
        self._model.eval()
        try:
            with no_grad():
                yield
        finally:
            self._model.train(was_training)

    def read(self, window: Window, state: Any) -> tuple[NeuralScores, Any]:
        """Read a window on from a state, None at the start; return the state after it."""
        logits, state = read_on(self._model, window.inputs, state)
        return NeuralScores(logits_of(logits), window.targets), state


class NeuralScores:
    """Logits ``(batch, time, vocab)``, which may not be computed so far."""

    def __init__(self, logits: Tensor, targets: np.ndarray) -> None:
        self._logits = logits
        self._targets = targets

    def total(self) -> float:
        """Return the summed loss, head and loss in one pass where that can be."""
        loss = F.cross_entropy(self._logits.transpose(1, 2), self._targets, reduction="sum")
        return float(loss.item())

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the logits some rows at a time: of a large head, those alone are computed."""
        vocab = self._logits.shape[-1]
        rows = self._logits.reshape(-1, vocab)
        head = head_of(rows)
        for places in _cut(self._targets, vocab):
            if head is None:
                yield places, rows.numpy()[places]
            else:
                x, *parameters = map(Tensor, head.arrays)
                inputs = x.numpy().reshape(-1, x.shape[-1])[places]
                yield places, F.linear(inputs, *parameters).numpy()


def _size(model: Any, name: str) -> int | None:
    """Return a size that a model's configuration gives, a mapping or an object."""
    config = getattr(model, "config", None)
    value = config.get(name) if isinstance(config, dict) else getattr(config, name, None)
    return value if isinstance(value, int) else None


# --- n-grams --------------------------------------------------------------------------------------


class NGramReader:
    """An n-gram model: it looks at the last tokens of a window only, so no state is carried."""

    def __init__(self, model: NGramModel) -> None:
        self._model = model
        self.carries_state = False
        self.vocab_size: int | None = model.vocab_size
        self.longest: int | None = None

    def plan(self, targets: int, seq_len: int | None, stride: int | None, lanes: int) -> StreamPlan:
        """Read windows, each with all the context that the model looks at."""
        context = self._model.order - 1
        seen = f"{self._model.order}-grams"
        return StreamPlan(targets, context, NGRAM_STRIDE, context + NGRAM_STRIDE, seen)

    def reading(self) -> AbstractContextManager[None]:
        """Return a context that does nothing: reading leaves the counts as they are."""
        return nullcontext()

    def read(self, window: Window, state: Any) -> tuple[NGramScores, Any]:
        """Read a window."""
        _check_next(window)
        return NGramScores(self._model, window), None


class NGramScores:
    """What an n-gram model says to the targets of a window."""

    def __init__(self, model: NGramModel, window: Window) -> None:
        self._model = model
        self._inputs = window.inputs
        self._targets = window.targets

    def total(self) -> float:
        """Return the summed loss, in double precision."""
        counted = self._targets != IGNORED
        text = np.pad(self._inputs, ((0, 0), (0, 1)))
        text[:, 1:][counted] = self._targets[counted]  # the last one that counts ends the text
        losses = [-self._model.log_prob(row, start=1) for row in text]
        return float(np.where(counted, losses, 0.0).sum())

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield logarithms of distributions, some rows at a time."""
        vocab, time = self._model.vocab_size, self._targets.shape[1]
        for places in _cut(self._targets, vocab):
            logits = np.empty((len(places), vocab), np.float32)
            for one, place in zip(logits, places.tolist(), strict=True):
                context = self._inputs[place // time, : place % time + 1]
                one[:] = np.log(self._model.distribution(context[-self._model.order :]))
            yield places, logits


def _check_next(window: Window) -> None:
    """Refuse targets that are not the next inputs: an n-gram model knows no others."""
    counted = window.targets != IGNORED
    more = counted[:, ::-1].cumsum(1)[:, -2::-1] > 0  # whether another one follows in the row
    wanted, following = window.targets[:, :-1], window.inputs[:, 1:]
    wrong = np.argwhere(counted[:, :-1] & more & (wanted != following))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise ValueError(
            f"an n-gram model predicts the next token, but the target {wanted[row, column]} in "
            f"row {row}, column {column} of a batch is followed by the input "
            f"{following[row, column]}: targets are inputs shifted by one"
        )


def _cut(targets: np.ndarray, vocab: int) -> Iterator[np.ndarray]:
    """Cut the places of the targets that count into blocks."""
    places = np.flatnonzero(targets.ravel() != IGNORED)
    step = max(1, BLOCK // vocab)
    for begin in range(0, len(places), step):
        yield places[begin : begin + step]
