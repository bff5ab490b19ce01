"""Reading a window of a stream: where the state starts anew, and how far gradients flow back."""

from __future__ import annotations

import inspect
import operator
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np

import minilm.nn.functional as F
from minilm.data.stream import IGNORED, Window
from minilm.grad_mode import is_grad_enabled
from minilm.models.base import detach_state, map_state, read_on
from minilm.tensor import Tensor, as_tensor


def window_loss(
    model: Any,
    window: Any,
    state: Any = None,
    *,
    weight: Any = None,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, int, Any]:
    """Run a model over a window of a stream, going on from a state.

    A lane that starts a document reads it from zeros; gradients of the other lanes flow on through
    the state. A model whose ``forward_with_state`` has a parameter ``starts`` does that itself.

    Where gradients are cut in the middle of a window, or the state is carried on from there (see
    :class:`minilm.data.StreamLoader`), the window is read in pieces that end at these steps; and
    for a model without ``starts``, also where documents start. All other windows are read in one
    call.

    A model without ``forward_with_state`` reads every window in one call and from nothing: it
    carries no state that could be reset or cut.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``; ``forward_with_state`` is used where it exists.
    window : Window or pair
        ``(inputs, targets)``, each ``(batch, time)``; targets of -100 do not count.
    state : object
        What the last call returned; None at the start of a pass.
    weight : Tensor, optional
        How much each class counts in the loss, ``(vocab,)``.
    label_smoothing : float
        The share of each target that is spread over all classes.

    Returns
    -------
    loss : Tensor
        Summed over the targets that count, in nats. Divide it by their number for the mean.
    count : int
        How many targets count.
    state : object
        To go on from; cut from the tape. None for a model that carries none.

    Raises
    ------
    TypeError
        If gradients must flow from piece to piece, and ``forward_with_state`` has no parameter
        ``detach``; or if lanes of a state are to be reset that is not made of tensors
        ``(layers, batch, ...)``.

    Examples
    --------
    >>> state = None
    >>> for window in loader:
    ...     loss, count, state = window_loss(model, window, state)
    ...     (loss / count).backward()
    """
    inputs, targets = (as_tensor(part).numpy() for part in window)
    counted = targets != IGNORED
    options = {"weight": weight, "label_smoothing": label_smoothing, "reduction": "sum"}
    if not (isinstance(window, Window) and hasattr(model, "forward_with_state")):
        window = Window(inputs, targets)  # nothing to lead a state through
    losses: list[Tensor] = []
    carried = None
    length = inputs.shape[1]
    starts_within = window.starts is not None and _takes(model, "starts")
    for begin, end in pairwise(_bounds(window, counted, starts_within)):
        more = {}
        if starts_within:
            more["starts"] = window.starts[:, begin:end]
        else:
            state = _reset(state, window.starts, begin)
        through = end < length and end not in window.cuts and not _all_start(window.starts, end)
        logits, state = _read(model, inputs[:, begin:end], state, through, **more)
        last_chance = end == length and not losses  # for a loss with a tape, be it 0
        if last_chance or counted[:, begin:end].any():
            scores = logits.transpose(1, 2)
            losses.append(F.cross_entropy(scores, targets[:, begin:end], **options))
        if end == window.carry:
            carried = detach_state(state)
    return reduce(operator.add, losses), int(counted.sum()), carried


def _takes(model: Any, name: str) -> bool:
    """Tell whether ``forward_with_state`` has a parameter of this name."""
    return name in inspect.signature(model.forward_with_state).parameters


def _bounds(window: Window, counted: np.ndarray, starts_within: bool) -> list[int]:
    """Return the time steps at which pieces begin and end."""
    length = counted.shape[1]
    inner = {window.carry, *window.cuts}
    if window.carry < length:
        # Context is read again for its state alone: a piece of its own needs no head.
        inner.add(int(counted.any(axis=0).argmax()))
    if window.starts is not None and not starts_within:
        inner.update(np.flatnonzero(window.starts.any(axis=0)).tolist())
    return sorted({0, length, *inner})


def _all_start(starts: np.ndarray | None, step: int) -> bool:
    return starts is not None and bool(starts[:, step].all())


def _reset(state: Any, starts: np.ndarray | None, step: int) -> Any:
    """Put zeros into the state of every lane that starts a document at a time step."""
    if state is None or starts is None or not starts[:, step].any():
        return state
    if _all_start(starts, step):
        return None
    return map_state(lambda part: _with_zeros(part, starts[:, step]), state)


def _with_zeros(part: Any, lanes: np.ndarray) -> Tensor:
    if not isinstance(part, Tensor) or part.dim() < 2 or part.shape[1] != len(lanes):
        what = f"shape {part.shape}" if isinstance(part, Tensor) else type(part).__name__
        raise TypeError(
            f"documents start in some of the {len(lanes)} lanes, whose state must then become 0: "
            "that is done for tensors (layers, batch, ...), and tuples or lists of them; "
            f"forward_with_state returned {what}"
        )
    return part.masked_fill(lanes.reshape(-1, *[1] * (part.dim() - 2)), 0.0)


def _read(
    model: Any, ids: np.ndarray, state: Any, through: bool, **more: np.ndarray
) -> tuple[Tensor, Any]:
    """Read a piece; gradients of the next one flow back `through` the state that is returned."""
    if not (through and is_grad_enabled()):
        return read_on(model, ids, state, **more)
    parameters = inspect.signature(model.forward_with_state).parameters.values()
    if not any(p.name == "detach" or p.kind is p.VAR_KEYWORD for p in parameters):
        raise TypeError(
            "this window is read in pieces, because documents start in it or k2 is larger than k1, "
            f"and gradients flow from piece to piece: {type(model).__name__}.forward_with_state "
            "must take the keyword detach=True, and return its state without detach() if that is "
            "False. Without it, read a stream of no documents with k2 <= k1"
        )
    logits, state = model.forward_with_state(as_tensor(ids), state, detach=False, **more)
    return logits, state
