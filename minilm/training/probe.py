"""A look inside a model on one window: gates, units, predictions, gradients through time.

It leaves no trace. The model reads a few lanes in evaluation mode, no gradient of a parameter is
touched, and every stream of random numbers is put back where it stood.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import minilm.nn.functional as F
from minilm.data.stream import IGNORED
from minilm.models.base import logits_of
from minilm.tensor import Tensor
from minilm.training.replay import Replay, is_recurrent, replay
from minilm.training.snapshot import random_streams_kept

LANES = 4  # read of a batch: enough for shares, and as cheap as one
WINDOW = 32  # time steps read of a longer window, the last ones
# A sigmoid out there passes on less than a fifth of the gradient that it does in its middle.
LOW, HIGH = 0.05, 0.95
SATURATED_TANH = 0.97  # 1 - h^2 is below 0.06
DEAD_RANGE = 1e-3  # a unit that moves less, in all places read, tells nothing


class Seen(NamedTuple):
    """What a recurrent module read and put out, each ``(time, batch, features)``."""

    name: str
    module: Any
    x: np.ndarray
    y: Tensor


def probe(model: Any, inputs: Any, targets: Any) -> dict[str, Any]:
    """Look inside a model on one batch.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits, or to an output with ``.logits``.
    inputs, targets : array of int
        ``(batch, time)``; targets of -100 do not count. `LANES` lanes of them are read, of a
        recurrent model their last `WINDOW` steps, from a state of zeros.

    Returns
    -------
    dict
        Numbers only. ``entropy``: mean of the predictions', nats; ``classes``: of how many.
        ``saturated``: by layer and gate, the share of values below `LOW` or above `HIGH` (of a
        tanh, ``h``, of those beyond `SATURATED_TANH`). ``dead``: by layer, the share of units
        that move by less than `DEAD_RANGE`. ``state_grads``: by layer, the norm of the last
        step's loss differentiated by the state so many steps before (Pascanu et al. 2013,
        https://arxiv.org/abs/1211.5063, section 2.1), at 0, 1, 2, 4 ... steps and the most.
    """
    inputs, targets = (np.asarray(part)[:LANES] for part in (inputs, targets))
    if any(is_recurrent(module) for module in model.modules()):
        inputs, targets = inputs[:, -WINDOW:], targets[:, -WINDOW:]
    seen: list[Seen] = []
    with random_streams_kept(), _evaluating(model), _frozen(model), _watched(model, seen):
        logits = logits_of(model(inputs))
        if logits.dim() != 3:
            return {}
        last = targets[:, -1]
        if logits.requires_grad and (last != IGNORED).any():
            F.cross_entropy(logits[:, -1], last).backward()
    found: dict[str, Any] = {
        "entropy": _entropy(logits.detach().numpy()),
        "classes": logits.shape[-1],
    }
    layers = dict(_layers(seen))
    if layers:
        found["saturated"] = {name: _saturated(one) for name, one in layers.items()}
        found["dead"] = {name: _dead(one.hidden) for name, one in layers.items()}
        found["state_grads"] = {name: _by_distance(one) for name, one in layers.items()}
    return found


def _layers(seen: list[Seen]) -> Iterator[tuple[str, Replay]]:
    for name, module, x, y in seen:
        dy = np.zeros(y.shape, np.float32) if y.grad is None else y.grad.numpy()
        if module.batch_first:
            x, dy = x.swapaxes(0, 1), dy.swapaxes(0, 1)
        for number, one in enumerate(replay(module, x, dy)):
            yield f"{name}.l{number}", one


def _saturated(one: Replay) -> dict[str, float]:
    gates = one.gates or {"h": one.hidden}
    if "h" in gates:
        return {"h": float((np.abs(one.hidden) > SATURATED_TANH).mean())}
    return {name: float(((g < LOW) | (g > HIGH)).mean()) for name, g in gates.items()}


def _dead(hidden: np.ndarray) -> float:
    """Return the share of units that are the same everywhere; hidden is (time, batch, units)."""
    return float((np.ptp(hidden, axis=(0, 1)) < DEAD_RANGE).mean())


def _by_distance(one: Replay) -> dict[str, float]:
    """Return norms by the number of steps back, as text, since JSON names are text."""
    most = len(one.grad_norms) - 1
    powers = (2**k for k in range(most.bit_length()) if 2**k < most)
    distances = dict.fromkeys([0, *powers, most])
    return {str(back): float(one.grad_norms[most - back]) for back in distances}


def _entropy(logits: np.ndarray) -> float:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    weights = np.exp(shifted)
    total = weights.sum(axis=-1)
    return float((np.log(total) - (weights * shifted).sum(axis=-1) / total).mean())


# --- no trace is left -----------------------------------------------------------------------------


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Switch dropout off, and each module back to the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """Keep gradients from the parameters: those of the step are in there."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad = True


@contextmanager
def _watched(model: Any, seen: list[Seen]) -> Iterator[None]:
    """Note what recurrent modules read and put out; the tape begins at the first of them."""
    watched = [(name, one) for name, one in model.named_modules() if is_recurrent(one)]

    def watch(name: str, module: Any) -> None:
        forward = module.forward

        def watching(x: Any, *args: Any, **kwargs: Any) -> Any:
            if not x.requires_grad:
                x = x.detach().requires_grad_()
            output = forward(x, *args, **kwargs)
            if x.dim() == 3 and output[0].requires_grad:
                output[0].retain_grad()
                read = x.detach().numpy()
                seen.append(Seen(name or type(module).__name__, module, read, output[0]))
            return output

        module.forward = watching

    for name, module in watched:
        watch(name, module)
    try:
        yield
    finally:
        for _, module in watched:
            del module.forward
