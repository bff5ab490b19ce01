"""How well a model predicts a text, every token counted once and the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import minilm.nn.functional as F
from minilm.grad_mode import no_grad
from minilm.models.base import read_on

IGNORED = -100  # what cross_entropy leaves out


@dataclass(frozen=True)
class Evaluation:
    """What a model reaches on a text.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, nats a token.
    tokens : int
        Tokens predicted: all but the first.
    """

    loss: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """Return exp(loss), infinite where that overflows."""
        return perplexity(self.loss)

    def bits_per_char(self, chars_per_token: float) -> float:
        """Return the loss in bits a character.

        Parameters
        ----------
        chars_per_token : float
            Length of the text over its number of tokens.
        """
        return self.loss / math.log(2) / chars_per_token


def perplexity(loss: float) -> float:
    """Return exp(loss), infinite where that overflows."""
    return math.exp(loss) if loss < 709 else math.inf


def gap(loss: float, reference: float) -> str:
    """Say how far a loss is from another: ``0.5417 below``, in nats a token."""
    return f"{abs(loss - reference):.4f} {'below' if loss < reference else 'above'}"


def evaluate(
    model: Any,
    ids: np.ndarray,
    *,
    batch_size: int = 32,
    seq_len: int = 128,
    on_window: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Return a model's loss over a stream of tokens.

    The stream is read as `batch_size` lanes. Each lane but the first starts `seq_len` tokens
    early, and what it says about those does not count: so every token but the stream's first is
    counted once, with at least `seq_len` tokens before it, or all there are. A model that carries
    a state reads long lanes, window by window; for any other, each lane is one window of
    ``2 * seq_len`` tokens, of which the second half counts. Memory does not grow with the text.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``.
    ids : ndarray of int
        The stream ``(tokens,)``.
    batch_size : int
        Lanes read side by side.
    seq_len : int
        Tokens of context that a lane starts with.
    on_window : callable
        Called after each window; what it raises ends the evaluation.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If there are fewer than two tokens.
    """
    if len(ids) < 2:
        raise ValueError(f"nothing to predict: the text has {len(ids)} tokens, at least 2 needed")
    targets = len(ids) - 1
    lanes = -(-max(targets - seq_len, 1) // seq_len)
    stride = seq_len
    if hasattr(model, "forward_with_state"):
        lanes = min(lanes, batch_size)
        stride = -(-max(targets - seq_len, 1) // lanes)
    starts = stride * np.arange(lanes)
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            total = sum(
                _nats(model, ids, starts[row : row + batch_size], stride, seq_len, on_window)
                for row in range(0, lanes, batch_size)
            )
    finally:
        model.train(was_training)
    return Evaluation(loss=total / targets, tokens=targets)


def _nats(
    model: Any,
    ids: np.ndarray,
    starts: np.ndarray,
    stride: int,
    context: int,
    on_window: Callable[[], object],
) -> float:
    """Return the summed loss of the lanes that begin at `starts`, in nats."""
    total, state = 0.0, None
    for inputs, targets in _windows(ids, starts, stride, context):
        logits, state = read_on(model, inputs, state)
        total += F.cross_entropy(logits.transpose(1, 2), targets, reduction="sum").item()
        on_window()
    return total


def _windows(
    ids: np.ndarray, starts: np.ndarray, stride: int, context: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut lanes of `context` and `stride` tokens into windows (lanes, 2 * context)."""
    last = len(ids) - 1
    length = min(context + stride, last)
    for begin in range(0, length, 2 * context):
        offsets = np.arange(begin, min(begin + 2 * context, length))
        positions = starts[:, None] + offsets
        # The first tokens of a lane were counted by the lane before; the last lane may end early.
        counted = ((offsets >= context) | (starts[:, None] == 0)) & (positions < last)
        positions = np.minimum(positions, last - 1)
        yield ids[positions], np.where(counted, ids[positions + 1], IGNORED)
