"""What transformers share: checks of ids and masks, where each token stands, activations, heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minilm.nn.functional as F
from minilm.nn import checks
from minilm.tensor import Tensor

# What configurations call an activation, and what the core does.
CORE_ACTIVATIONS = {
    "gelu": "gelu",
    **dict.fromkeys(("gelu_new", "gelu_pytorch_tanh", "gelu_fast"), "gelu_tanh"),
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": F.tanh,
}
ACTIVATIONS = {name: _FUNCTIONS[core] for name, core in CORE_ACTIVATIONS.items()}


def checked_ids(input_ids: Any, vocab_size: int, longest: int, past: int = 0) -> np.ndarray:
    """Return token ids as an array, or say what is wrong with them.

    Parameters
    ----------
    input_ids : Tensor, ndarray or nested list of int
        ``(batch, time)``.
    vocab_size : int
        Number of token types V.
    longest : int
        How many positions the model has.
    past : int
        How many positions a cache holds already.

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If they have other axes, there are none, or the sequence is too long.
    IndexError
        If one is not in the vocabulary.
    """
    ids = checks.ids("model", "input_ids", _rectangle("input_ids", input_ids)).numpy()
    if ids.ndim != 2 or ids.size == 0:
        hint = ": add the batch axis with input_ids[None]" if ids.ndim == 1 and ids.size else ""
        raise ValueError(
            f"input_ids have the axes (batch, time), at least one token; got shape {ids.shape}"
            + hint
        )
    if past + ids.shape[1] > longest:
        held = f", after {past} in past_key_values" if past else ""
        raise ValueError(
            f"the sequence has {ids.shape[1]} tokens{held}, but the model has {longest} positions. "
            f"Tokenize with truncation=True, max_length={longest}: that keeps the first "
            f"{longest} tokens and drops the rest"
        )
    wrong = np.argwhere((ids < 0) | (ids >= vocab_size))
    if len(wrong):
        row, column = (int(i) for i in wrong[0])
        raise IndexError(
            f"input_ids: id {ids[row, column]} at (batch {row}, time {column}) is outside 0 to "
            f"{vocab_size - 1}. Is the tokenizer another model's, or was a token added to it?"
        )
    return ids


def _rectangle(name: str, values: Any) -> Any:
    if not isinstance(values, list | tuple):
        return values
    try:
        return np.asarray(values)
    except ValueError:
        lengths = sorted({len(row) for row in values if hasattr(row, "__len__")})
        raise ValueError(
            f"{name}: rows of {', '.join(map(str, lengths))} elements cannot stack into one array; "
            "tokenize with padding=True (and truncation=True), and pass the attention_mask"
        ) from None


def checked_mask(attention_mask: Any, batch: int, length: int) -> np.ndarray | None:
    """Return which positions may be seen, ``(batch, past and time)`` of bool, or None for all.

    Raises
    ------
    ValueError
        If the mask has another shape, or holds other numbers than 0 and 1.
    """
    if attention_mask is None:
        return None
    values = _rectangle("attention_mask", attention_mask)
    mask = values.detach().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if mask.shape != (batch, length):
        raise ValueError(
            f"attention_mask has shape {mask.shape}, expected ({batch}, {length}) (batch, time), 1 "
            "for a token and 0 for padding; with past_key_values it covers the past as well"
        )
    seen = mask != 0
    if not (seen == mask).all():
        raise ValueError("attention_mask holds 1 for a token and 0 for padding, nothing else")
    return None if seen.all() else seen


def positions_of(
    position_ids: Any, mask: np.ndarray | None, batch: int, time: int, past: int, longest: int
) -> np.ndarray:
    """Return where each token stands in its text, ``(batch, time)``, or ``(1, time)`` for all.

    Parameters
    ----------
    position_ids : Tensor or ndarray of int, optional
        ``(batch, time)`` or ``(1, time)``, if the caller knows better.
    mask : ndarray of bool or None
        As from :func:`checked_mask`. Padding does not count: a text stands where it would stand
        alone, as Hugging Face's ``generate`` has it.
    batch, time, past, longest : int
        Sizes; how many positions a cache holds; how many positions the model has.

    Raises
    ------
    ValueError
        If `position_ids` have another shape.
    IndexError
        If one is no position of the model.
    """
    if position_ids is not None:
        given = checks.ids("model", "position_ids", position_ids).numpy()
        if given.shape not in ((batch, time), (1, time)):
            raise ValueError(
                f"position_ids have shape {given.shape}, expected ({batch}, {time}) (batch, time)"
            )
        if given.min() < 0 or given.max() >= longest:
            raise IndexError(
                f"position_ids from {given.min()} to {given.max()} are not all in 0 to "
                f"{longest - 1}, the model's positions"
            )
        return given
    if mask is None:
        return np.arange(past, past + time)[None]
    places: np.ndarray = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
    return places[:, past:]


def split_heads(x: Tensor, size: int) -> Tensor:
    """Bring ``(batch, time, heads * size)`` to ``(batch, heads, time, size)``."""
    batch, time, width = x.shape
    return x.reshape(batch, time, width // size, size).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Bring ``(batch, heads, time, size)`` to ``(batch, time, heads * size)``."""
    batch, heads, time, size = x.shape
    return x.transpose(1, 2).reshape(batch, time, heads * size)
