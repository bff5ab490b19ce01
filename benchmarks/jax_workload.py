"""The same model and training step in JAX: one compiled function, as its users write it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from configurations import Configuration
from workload import LARGEST_NORM, LEARNING_RATE, draw_batch, draw_weights

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8

Parameters = dict[str, jax.Array]  # under PyTorch's names
Cell = Callable[[Any, jax.Array, jax.Array, jax.Array], tuple[Any, jax.Array]]


class JaxWorkload:
    """One configuration in JAX; see `workload.Workload`."""

    def __init__(self, row: Configuration) -> None:
        self.row = row
        weights = {name: jnp.asarray(weight) for name, weight in draw_weights(row).items()}
        means, squares = (jax.tree.map(jnp.zeros_like, weights) for _ in range(2))
        self.state = weights, means, squares, jnp.zeros(())
        inputs, targets = draw_batch(row)
        self.inputs, self.targets = jnp.asarray(inputs.T), jnp.asarray(targets.T)  # (time, batch)
        self._step = jax.jit(self._train, donate_argnums=0)

    def step(self) -> float:
        """Train on the batch once, and return the loss before."""
        self.state, loss = self._step(self.state, self.inputs, self.targets)
        jax.block_until_ready(self.state)
        return float(loss)

    def _train(self, state: Any, inputs: jax.Array, targets: jax.Array) -> tuple[Any, jax.Array]:
        parameters, means, squares, count = state
        loss, grads = jax.value_and_grad(self._loss)(parameters, inputs, targets)
        return adam(parameters, clip(grads), means, squares, count + 1), loss

    def _loss(self, p: Parameters, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        x = p["embedding.weight"][inputs]  # (time, batch, embed)
        for layer in range(self.row.layers):
            x = recurrent(self.row.cell, p, layer, x)
        logits = x @ p["fc.weight"].T + p["fc.bias"]
        chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)


def recurrent(cell: str, p: Parameters, layer: int, x: jax.Array) -> jax.Array:
    """Return a layer's outputs ``(time, batch, hidden)``; W_ih x is made for all steps at once."""
    w_hh, b_hh = p[f"rnn.weight_hh_l{layer}"].T, p[f"rnn.bias_hh_l{layer}"]
    projected = x @ p[f"rnn.weight_ih_l{layer}"].T + p[f"rnn.bias_ih_l{layer}"]
    zeros = jnp.zeros((x.shape[1], w_hh.shape[0]), x.dtype)
    start = (zeros, zeros) if cell == "LSTM" else zeros

    def step(state: Any, now: jax.Array) -> tuple[Any, jax.Array]:
        return CELLS[cell](state, now, w_hh, b_hh)

    return jax.lax.scan(step, start, projected)[1]


def rnn_cell(h: jax.Array, x: jax.Array, w: jax.Array, b: jax.Array) -> tuple[Any, jax.Array]:
    """h' = tanh(W_ih x + W_hh h + b)."""
    h = jnp.tanh(x + h @ w + b)
    return h, h


def gru_cell(h: jax.Array, x: jax.Array, w: jax.Array, b: jax.Array) -> tuple[Any, jax.Array]:
    """Return n = tanh(W_in x + r (W_hn h + b_hn)) and h' = (1 - z) n + z h."""
    x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
    h_r, h_z, h_n = jnp.split(h @ w + b, 3, axis=-1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * h_n)
    h = (1 - z) * n + z * h
    return h, h


def lstm_cell(state: Any, x: jax.Array, w: jax.Array, b: jax.Array) -> tuple[Any, jax.Array]:
    """c' = f c + i g, h' = o tanh(c')."""
    h, c = state
    i, f, g, o = jnp.split(x + h @ w + b, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


CELLS: dict[str, Cell] = {"RNN": rnn_cell, "GRU": gru_cell, "LSTM": lstm_cell}


def clip(grads: Parameters) -> Parameters:
    """Scale all gradients down together, so that their common norm is at most LARGEST_NORM."""
    norm = jnp.sqrt(sum(jnp.sum(grad * grad) for grad in grads.values()))
    factor = jnp.minimum(1, LARGEST_NORM / (norm + 1e-6))
    return {name: grad * factor for name, grad in grads.items()}


def adam(
    parameters: Parameters, grads: Parameters, m: Parameters, s: Parameters, t: jax.Array
) -> Any:
    """w -= lr / (1 - beta1^t) m / (sqrt(s) / sqrt(1 - beta2^t) + eps)."""
    m = jax.tree.map(lambda mean, grad: BETA1 * mean + (1 - BETA1) * grad, m, grads)
    s = jax.tree.map(lambda mean, grad: BETA2 * mean + (1 - BETA2) * grad * grad, s, grads)
    # 1 - beta^t is put so that float32 does not round off most of its digits.
    rate = LEARNING_RATE / -jnp.expm1(t * math.log(BETA1))
    root = jnp.sqrt(-jnp.expm1(t * math.log(BETA2)))

    def update(w: jax.Array, mean: jax.Array, square: jax.Array) -> jax.Array:
        return w - rate * mean / (jnp.sqrt(square) / root + EPS)

    return jax.tree.map(update, parameters, m, s), m, s, t


def limit_threads(threads: int) -> None:
    """Let XLA's pool be so large; it is read once, when the first array is made."""
    os.environ["NPROC"] = str(threads)
