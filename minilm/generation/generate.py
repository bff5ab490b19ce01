"""The sampling loop, one for every model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilm import _core
from minilm.grad_mode import no_grad
from minilm.models.base import read_on
from minilm.random import default_generator
from minilm.tensor import Tensor


def generate(
    model: Any,
    input_ids: Any,
    max_new_tokens: int = 50,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int | None = None,
    suppress_tokens: Sequence[int] = (),
    on_token: Callable[[np.ndarray], None] | None = None,
) -> Tensor:
    """Write on from a prompt, one sampled token at a time.

    A model with ``forward_with_state`` reads the prompt once and then a token a step; any other
    reads all the text again at each step.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``.
    input_ids : Tensor, ndarray or nested sequence of int
        The prompt: ``(time,)``, or ``(batch, time)`` to write several texts at once.
    max_new_tokens : int
        Tokens to add to each text.
    temperature : float
        Logits are divided by it: below 1 the likely gets likelier, 0 always takes the likeliest.
    top_k : int
        Sample from the k likeliest tokens only; 0 means all.
    top_p : float
        Sample from the fewest likeliest tokens whose probabilities reach this sum; 1 means all.
    seed : int, optional
        The same seed writes the same text. By default one is drawn from the generator that
        :func:`minilm.manual_seed` sets.
    suppress_tokens : sequence of int
        Ids that are never written.
    on_token : callable, optional
        Called with each new column of ids, ``(batch,)``, as soon as it is known.

    Returns
    -------
    Tensor
        Prompt and new tokens, int64, with the axes of `input_ids`.

    Raises
    ------
    TypeError
        If the prompt is not of integers.
    ValueError
        If the prompt is empty or has more than two axes, or an option is out of range.
    """
    prompt = _checked_prompt(input_ids)
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must not be negative; got {max_new_tokens}")
    if seed is None:
        seed = int(default_generator.integers(0, 2**62, ()))
    start = prompt.shape[-1]
    # One row of `ids` a text, filled from left to right.
    ids = np.empty((*prompt.shape[:-1], start + max_new_tokens), np.int64)
    ids[..., :start] = prompt
    rows = np.atleast_2d(ids)  # a view: what is written here is in `ids`
    read = _reader(model)
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            for end in range(start, rows.shape[1]):
                for lane, logits in enumerate(read(rows[:, :end])):
                    logits[list(suppress_tokens)] = -np.inf
                    rows[lane, end] = _core.sample(
                        logits, temperature, top_k, top_p, seed + lane, end - start
                    )
                if on_token is not None:
                    on_token(rows[:, end])
    finally:
        model.train(was_training)
    return Tensor(ids)


def _checked_prompt(input_ids: Any) -> np.ndarray:
    prompt = np.asarray(input_ids.numpy() if isinstance(input_ids, Tensor) else input_ids)
    if prompt.size == 0:
        raise ValueError("the prompt is empty; give at least one token to start from")
    if prompt.ndim not in (1, 2):
        raise ValueError(
            f"a prompt has the axes (time,) or (batch, time); got the shape {prompt.shape}"
        )
    if not np.issubdtype(prompt.dtype, np.integer):
        raise TypeError(f"token ids are integers; got {prompt.dtype}")
    return prompt


def _reader(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from all ids so far (batch, time) to the next one's logits (batch, V)."""
    state, seen = None, 0

    def read(ids: np.ndarray) -> np.ndarray:
        nonlocal state, seen
        logits, state = read_on(model, ids[:, seen:], state)
        if state is not None:  # else the model forgets, and reads all of it again
            seen = ids.shape[1]
        return logits.numpy()[:, -1]

    return read
