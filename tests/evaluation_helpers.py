"""What the tests of evaluation share: a slow twin that reads token by token, and small models."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from reference.slow.layers import log_softmax
from reference.slow.recurrent import GRU, LSTM, RNN
from training_helpers import tiny_model

import minilm
from minilm.models import RNNModel

CELLS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


def token_log_probs(model: RNNModel, ids) -> np.ndarray:
    """Return the log probabilities of all tokens after each id but the last, in float64.

    One token after the other, in plain NumPy: ``(len(ids) - 1, vocab)``.
    """
    w = {name: t.numpy().astype(np.float64) for name, t in model.state_dict().items()}
    cell = CELLS[model.config["cell"]](model.config["embed_size"], model.config["hidden_size"])
    state = (np.zeros((1, model.config["hidden_size"])),) * (2 if cell.gates == 4 else 1)
    result = []
    for token in ids[:-1]:
        a = w["embedding.weight"][token][None] @ w["rnn.weight_ih_l0"].T + w["rnn.bias_ih_l0"]
        r = state[0] @ w["rnn.weight_hh_l0"].T + w["rnn.bias_hh_l0"]
        state, _ = cell.cell(a, r, state)
        result.append(log_softmax(state[0] @ w["fc.weight"].T + w["fc.bias"])[0])
    return np.array(result)


def token_losses(model: RNNModel, ids) -> np.ndarray:
    """Return the loss of each token but the first, in nats."""
    log_probs = token_log_probs(model, ids)
    return np.array([-row[after] for row, (_, after) in zip(log_probs, pairwise(ids), strict=True)])


class Stateless(minilm.nn.Module):
    """An LSTM that forgets all between two calls, and reads `n_positions` tokens at most."""

    def __init__(self, n_positions: int | None = None) -> None:
        super().__init__()
        self.inner = tiny_model("lstm")
        self.config = {"n_positions": n_positions, "vocab_size": 5}
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x):
        self.shapes.append(x.shape)
        return self.inner(x)
