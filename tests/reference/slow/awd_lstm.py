"""The AWD-LSTM in training, from the paper's description: Merity et al. 2017, arXiv:1708.02182."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .layers import Array, Arrays, CrossEntropy, inverted
from .philox import dropout_mask
from .recurrent import LSTM


def masks(seed: int) -> Callable[[tuple[int, ...], float], Array]:
    """Return a function that draws one factor after the other: a call of dropout takes a key."""
    calls = 0

    def draw(shape: tuple[int, ...], p: float) -> Array:
        nonlocal calls
        if p == 0:
            return np.ones(shape)
        calls += 1
        return inverted(dropout_mask(seed, calls - 1, 0, shape, p), p)

    return draw


def loss(config: dict, params: Arrays, ids: Array, targets: Array, seed: int) -> tuple[float, ...]:
    """Return the cross-entropy and the penalty of one step, from zero states, in nats.

    ids, targets (B, T); params by the names of the model's ``state_dict``.
    """
    draw = masks(seed)
    table = params["embedding.module.weight"]
    vocab, batch = len(table), len(ids)
    words = draw((vocab, 1), config["embedding_dropout"])
    x = (table * words)[ids]
    x = x * draw((batch, 1, x.shape[-1]), config["input_dropout"])
    for layer in range(config["num_layers"]):
        if layer > 0:
            x = x * draw((batch, 1, x.shape[-1]), config["hidden_dropout"])
        start = f"rnns.{layer}.module."
        own = {name.removeprefix(start): w for name, w in params.items() if name.startswith(start)}
        own["weight_hh_l0"] = own["weight_hh_l0"] * draw(
            own["weight_hh_l0"].shape, config["weight_drop"]
        )
        lstm = LSTM(x.shape[-1], own["weight_hh_l0"].shape[1], batch_first=True)
        x = lstm.forward((x, None, None), own)[0]
    dropped = x * draw((batch, 1, x.shape[-1]), config["output_dropout"])

    head = table if config["tie_weights"] else params["fc.weight"]
    logits = (dropped @ head.T + params["fc.bias"]).reshape(-1, vocab)
    (nats,) = CrossEntropy().forward((logits, targets.ravel(), None), {})
    ar = config["alpha"] * np.mean(dropped**2)
    tar = config["beta"] * np.mean(np.diff(x, axis=1) ** 2)
    return float(nats), float(ar + tar)
