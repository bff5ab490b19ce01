"""The sampling loop, one for every model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minilm.generation.writers import Sampling, writer_of
from minilm.grad_mode import no_grad
from minilm.random import default_generator
from minilm.tensor import Tensor


def generate(
    model: Any,
    input_ids: Any,
    max_new_tokens: int = 50,
    *,
    do_sample: bool = True,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int | None = None,
    eos_token_id: int | None = None,
    suppress_tokens: Sequence[int] = (),
    on_token: Callable[[np.ndarray], None] | None = None,
) -> Tensor:
    """Write on from a prompt, one token at a time.

    The names are those of Hugging Face. An :class:`RNNModel` or :class:`AWDLSTM` writes in the
    core, with its weights packed; another model with ``forward_with_state`` reads the prompt
    once and then a token a step; any other reads all the text again at each step.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``.
    input_ids : Tensor, ndarray or nested sequence of int
        The prompt: ``(time,)``, or ``(batch, time)`` to write several texts at once.
    max_new_tokens : int
        Tokens to add to each text, at most.
    do_sample : bool
        Draw each token at random, as likely as the model thinks it. False always takes the
        likeliest, whatever the options below say. (In Hugging Face False is what is left out.)
    temperature : float
        Logits are divided by it: below 1 the likely gets likelier, 0 always takes the likeliest.
    top_k : int
        Sample from the k likeliest tokens only; 0 means all.
    top_p : float
        Sample from the fewest likeliest tokens whose probabilities reach this sum; 1 means all.
    seed : int, optional
        The same seed writes the same text. By default one is drawn from the generator that
        :func:`minilm.manual_seed` sets.
    eos_token_id : int, optional
        A text ends with this id. In a batch the texts that have ended are filled up with it, until
        all have.
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
    IndexError
        If an id is outside the vocabulary.
    """
    prompt = _checked_prompt(input_ids)
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must not be negative; got {max_new_tokens}")
    if eos_token_id is not None and eos_token_id < 0:
        raise ValueError(f"eos_token_id is an id, or None for none; got {eos_token_id}")
    if seed is None:
        seed = int(default_generator.integers(0, 2**62, ()))
    sampling = Sampling(
        temperature=temperature if do_sample else 0.0,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        suppressed=np.array(suppress_tokens, np.int64),
        end_id=eos_token_id,
    )
    start = prompt.shape[-1]
    # One row of `ids` a text, filled from left to right.
    ids = np.empty((*prompt.shape[:-1], start + max_new_tokens), np.int64)
    ids[..., :start] = prompt
    rows = np.atleast_2d(ids)  # a view: what is written here is in `ids`
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            end = _write(model, rows, start, sampling, on_token)
    finally:
        model.train(was_training)
    return Tensor(ids[..., :end])


def _write(
    model: Any,
    rows: np.ndarray,
    start: int,
    sampling: Sampling,
    on_token: Callable[[np.ndarray], None] | None,
) -> int:
    """Fill the rows from `start` on; return where all texts had ended."""
    last: int = rows.shape[1]
    if start == last:
        return last
    writer = writer_of(model, rows[:, :start], sampling)
    if on_token is None:
        return writer.write(rows, start, last)
    for place in range(start, last):
        end = writer.write(rows, place, place + 1)
        on_token(rows[:, place])
        if writer.all_ended:
            return end
    return last


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
