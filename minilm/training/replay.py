"""Recurrent layers once more, from outside: their gates, and gradients through time.

The core runs a whole sequence in one call and keeps what happens inside to itself. But all of it
follows from what a layer reads and puts out. A cell sees two products, G gates side by side, and
with h known they are one product each for all time steps::

    a = W_ih x + b_ih    from the input          (T, B, G H)
    r = W_hh h + b_hh    from the state before   (T, B, G H)

Only the gradient has to walk, from the last step back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import minilm.nn.functional as F
from minilm import nn
from minilm.grad_mode import no_grad
from minilm.nn.layer_call import LayerCall
from minilm.tensor import Tensor

Array = np.ndarray
Saved = tuple[Array, ...]
State = tuple[Array, ...]  # (h,) or, for the LSTM, (h, c): each (B, H)


@dataclass(frozen=True)
class Replay:
    """What went on in one layer.

    Attributes
    ----------
    hidden : ndarray
        h after each step, ``(time, batch, hidden)``.
    gates : dict
        By name, the values of each gate that is a sigmoid, shaped likewise.
    grad_norms : ndarray
        ``(time,)``: norm of the loss's gradient with respect to the state after each step, an
        LSTM's c included, since its memory is there.
    """

    hidden: Array
    gates: dict[str, Array]
    grad_norms: Array


class _Cell(NamedTuple):
    states: int
    sigmoids: tuple[str, ...]  # names of the first arrays that `look` returns
    # From a, r, h and the h before each step, what `back` needs: (T, B, H) each.
    look: Callable[[Array, Array, Array, Array], Saved]
    # From a step's part of that and the state's gradient: da, dr, what the state before gets
    # directly.
    back: Callable[[Saved, State], tuple[Array, Array, State]]


def is_recurrent(module: Any) -> bool:
    """Tell whether a module can be replayed: a recurrent layer that reads in one direction."""
    return isinstance(module, (nn.RNN, nn.LSTM, nn.GRU)) and not module.bidirectional


def replay(module: Any, x: Array, dy: Array) -> list[Replay]:
    """Run a recurrent module again, from zeros and without dropout, and back through time.

    Parameters
    ----------
    module : nn.RNN, nn.LSTM or nn.GRU
        With its weights as they are now.
    x : ndarray
        What it read, ``(time, batch, input_size)``.
    dy : ndarray
        Gradient of the loss with respect to its output, ``(time, batch, hidden)``.

    Returns
    -------
    list of Replay
        One a layer, the first layer first.
    """
    cell = _cell_of(module)
    forwards = []
    for layer in range(module.num_layers):
        weights = _weights(module, layer)
        hidden = _hidden(module, x, weights)
        forwards.append((weights, hidden, _look(cell, x, hidden, weights)))
        x = hidden
    replays: list[Replay] = []
    for weights, hidden, saved in reversed(forwards):
        da, norms = _backward(cell, saved, dy, weights[1])
        replays.insert(0, Replay(hidden, dict(zip(cell.sigmoids, saved, strict=False)), norms))
        if len(replays) < module.num_layers:
            dy = _product(da, weights[0].T)
    return replays


def _weights(module: Any, layer: int) -> list[Array]:
    """Return W_ih, W_hh and, where there are some, b_ih and b_hh."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if module.bias else 2]
    return [getattr(module, f"{kind}_l{layer}").detach().numpy() for kind in kinds]


def _hidden(module: Any, x: Array, weights: list[Array]) -> Array:
    """Let the core run one layer alone."""
    relu = {"relu": True} if getattr(module, "nonlinearity", "") == "relu" else {}
    call = LayerCall(
        module._kind,
        input_size=x.shape[2],
        hidden_size=module.hidden_size,
        num_layers=1,
        bias=module.bias,
        **relu,
    )
    initial: list[Tensor | None] = [None] * len(module._states)
    with no_grad():
        return call([Tensor(x), *initial], list(map(Tensor, weights)))[0].numpy()


def _look(cell: _Cell, x: Array, hidden: Array, weights: list[Array]) -> Saved:
    before = np.concatenate([np.zeros_like(hidden[:1]), hidden[:-1]])
    return cell.look(
        _product(x, weights[0], *weights[2:3]),
        _product(before, weights[1], *weights[3:4]),
        hidden,
        before,
    )


def _backward(cell: _Cell, saved: Saved, dy: Array, w_hh: Array) -> tuple[Array, Array]:
    """Return the gradient of a, and the norms of the states' gradients."""
    da = np.empty((*dy.shape[:2], len(w_hh)), np.float32)
    norms = np.empty(len(dy))
    back = np.ascontiguousarray(w_hh.T)
    dstate: State = (np.zeros_like(dy[0]),) * cell.states
    for t in reversed(range(len(dy))):
        dstate = (dstate[0] + dy[t], *dstate[1:])
        norms[t] = norm(*dstate)
        da[t], dr, (dh, *others) = cell.back(tuple(array[t] for array in saved), dstate)
        dstate = (dh + _product(dr, back), *others)
    return da, norms


def _product(x: Array, weight: Array, *bias: Array) -> Array:
    """Return ``x W^T + b``, from the core, whose bits do not depend on threads."""
    with no_grad():
        return F.linear(Tensor(x), Tensor(np.ascontiguousarray(weight)), *map(Tensor, bias)).numpy()


def norm(*arrays: Array) -> float:
    """Return the Euclidean norm of all elements together."""
    return math.sqrt(sum(float(np.vdot(array, array)) for array in arrays))


# --- the cells ------------------------------------------------------------------------------------


def _cell_of(module: Any) -> _Cell:
    if isinstance(module, nn.RNN):
        return RELU if module.nonlinearity == "relu" else TANH
    return LSTM if isinstance(module, nn.LSTM) else GRU


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))  # overflows nowhere


def _only_h(a: Array, r: Array, h: Array, before: Array) -> Saved:
    return (h,)


def _tanh_back(saved: Saved, dstate: State) -> tuple[Array, Array, State]:
    """``h' = tanh(a + r)``."""
    (h,), (dh,) = saved, dstate
    da = dh * (1.0 - h * h)
    return da, da, (np.zeros_like(dh),)


def _relu_back(saved: Saved, dstate: State) -> tuple[Array, Array, State]:
    """``h' = max(a + r, 0)``."""
    (h,), (dh,) = saved, dstate
    da = dh * (h > 0.0)
    return da, da, (np.zeros_like(dh),)


def _lstm_look(a: Array, r: Array, h: Array, before: Array) -> Saved:
    """``c' = f c + i g``, ``h' = o tanh(c')``."""
    i, f, g, o = np.split(a + r, 4, axis=2)
    i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
    c = np.zeros((len(h) + 1, *h.shape[1:]), np.float32)
    for t in range(len(h)):
        c[t + 1] = f[t] * c[t] + i[t] * g[t]
    return i, f, o, g, c[:-1], np.tanh(c[1:])


def _lstm_back(saved: Saved, dstate: State) -> tuple[Array, Array, State]:
    i, f, o, g, c, tanh_c = saved
    dh, dc = dstate
    dc = dc + dh * o * (1.0 - tanh_c * tanh_c)
    di, df, dg = dc * g * i * (1.0 - i), dc * c * f * (1.0 - f), dc * i * (1.0 - g * g)
    da = np.concatenate([di, df, dg, dh * tanh_c * o * (1.0 - o)], axis=1)
    return da, da, (np.zeros_like(dh), dc * f)


def _gru_look(a: Array, r: Array, h: Array, before: Array) -> Saved:
    """``n = tanh(a_n + reset r_n)``, ``h' = (1 - z) n + z h``."""
    a_reset, a_z, a_n = np.split(a, 3, axis=2)
    r_reset, r_z, r_n = np.split(r, 3, axis=2)
    reset, z = _sigmoid(a_reset + r_reset), _sigmoid(a_z + r_z)
    return reset, z, np.tanh(a_n + reset * r_n), r_n, before


def _gru_back(saved: Saved, dstate: State) -> tuple[Array, Array, State]:
    reset, z, n, r_n, h = saved
    (dh,) = dstate
    da_n = dh * (1.0 - z) * (1.0 - n * n)
    da_z = dh * (h - n) * z * (1.0 - z)
    da_reset = da_n * r_n * reset * (1.0 - reset)
    da = np.concatenate([da_reset, da_z, da_n], axis=1)
    dr = np.concatenate([da_reset, da_z, da_n * reset], axis=1)
    return da, dr, (dh * z,)


TANH = _Cell(1, (), _only_h, _tanh_back)
RELU = _Cell(1, (), _only_h, _relu_back)
LSTM = _Cell(2, ("i", "f", "o"), _lstm_look, _lstm_back)
GRU = _Cell(1, ("r", "z"), _gru_look, _gru_back)
