"""A model and its training step, the same lines for minilm and for torch."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from configurations import Configuration

LEARNING_RATE = 1e-3
SEED = 0


class Workload:
    """One configuration in one library.

    Parameters
    ----------
    library : {"minilm", "torch"}
        Whose modules to use.
    row : Configuration
        What to build.
    **options
        For the library's Adam, such as ``fused=True``.
    """

    def __init__(self, library: str, row: Configuration, **options: Any) -> None:
        tensors = importlib.import_module(library)
        nn = importlib.import_module(f"{library}.nn")
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

        self.model = Model()
        self.model.load_state_dict(_weights(tensors, self.model.state_dict()))
        self.optimizer = optim.Adam(self.model.parameters(), lr=LEARNING_RATE, **options)
        self.criterion = nn.CrossEntropyLoss()
        ids = np.random.default_rng(SEED).integers(row.vocab, size=(2, row.batch, row.time))
        self.inputs, self.targets = tensors.tensor(ids[0]), tensors.tensor(ids[1])

    def step(self) -> float:
        """Train on the batch once, and return the loss before."""
        outputs = self.model(self.inputs)
        loss = self.criterion(outputs.transpose(1, 2), self.targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.item())


def _weights(tensors: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Draw the same weights for both libraries."""
    draw = np.random.default_rng(SEED + 1)
    return {
        name: tensors.tensor(draw.uniform(-0.1, 0.1, tuple(value.shape)).astype(np.float32))
        for name, value in state.items()
    }
