"""A model and its training step, the same lines for minilm and for torch."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from configurations import Configuration, Row

LEARNING_RATE = 1e-3
LARGEST_NORM = 1.0  # gradients are clipped to it
LARGEST_WEIGHT = 0.1
USUAL = 0.9  # share of tokens that are the usual successors of those before
SEED = 0


class Workload:
    """One configuration in one library.

    Parameters
    ----------
    library : {"minilm", "torch"}
        Whose modules to use.
    row : Configuration
        What to build.
    largest_weight : float
        Weights start uniform from minus this to this.
    **options
        For the library's Adam, such as ``fused=True``.
    """

    def __init__(
        self,
        library: str,
        row: Configuration,
        largest_weight: float = LARGEST_WEIGHT,
        **options: Any,
    ) -> None:
        tensors = importlib.import_module(library)
        self.nn = nn = importlib.import_module(f"{library}.nn")
        optim = importlib.import_module(f"{library}.optim")

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(row.vocab, row.embed)
                cell = getattr(nn, row.cell)
                self.rnn = cell(row.embed, row.hidden, row.layers, batch_first=True)
                self.fc = nn.Linear(row.hidden, row.vocab)

            def forward(self, x: Any) -> Any:
                out, _ = self.rnn(self.embedding(x))
                return self.fc(out)

        weights = draw_weights(row, largest_weight)
        self.model = Model()
        self.model.load_state_dict({name: tensors.tensor(weights[name]) for name in weights})
        options = {"lr": LEARNING_RATE} | options
        self.optimizer = optim.Adam(self.model.parameters(), **options)
        self.criterion = nn.CrossEntropyLoss()
        self.inputs, self.targets = map(tensors.tensor, draw_batch(row))

    def step(self) -> float:
        """Train on the batch once, and return the loss before."""
        outputs = self.model(self.inputs)
        loss = self.criterion(outputs.transpose(1, 2), self.targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_NORM)
        self.optimizer.step()
        return float(loss.item())


def draw_batch(row: Row) -> np.ndarray:
    """Draw inputs and targets, ids ``(2, batch, time)``, the same for all libraries.

    The targets are the inputs one token later, and most tokens have a usual successor. There must
    be something to learn: a model that learns noise by heart is so unsteady that rounding alone
    drives two libraries apart.
    """
    draw = np.random.default_rng(SEED)
    successor = draw.permutation(row.vocab)
    ids = draw.integers(row.vocab, size=(row.batch, row.time + 1))
    usual = draw.uniform(size=ids.shape) < USUAL
    for t in range(row.time):
        ids[:, t + 1] = np.where(usual[:, t], successor[ids[:, t]], ids[:, t + 1])
    return np.stack([ids[:, :-1], ids[:, 1:]])


def draw_weights(row: Configuration, largest: float = LARGEST_WEIGHT) -> dict[str, np.ndarray]:
    """Draw the same weights for all libraries, under PyTorch's names."""
    draw = np.random.default_rng(SEED + 1)
    return {
        name: draw.uniform(-largest, largest, shape).astype(np.float32)
        for name, shape in row.shapes.items()
    }
