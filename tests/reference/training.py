"""The tutorial's model and training loop on a fixed text, for PyTorch and for minilm alike."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from .seeded import ids, uniform

TEXT = """
the miller had two keys and a grey cat. when the river rose the cat sat on the mill wheel and the
miller hid one key under the stone bridge. in spring the river fell and the miller went to the
bridge for his key, but the cat had carried it home. so the miller had two keys again, and the cat
had a fish. in summer the wheel turned and the river ran low under the stone bridge, and the grey
cat slept on the wall and dreamed of a river full of fish.
"""
CELLS = ("RNN", "LSTM", "GRU")
STEPS, BATCH, TIME, EMBED, HIDDEN = 200, 16, 12, 24, 48


def encode(text: str) -> tuple[np.ndarray, int]:
    """Return the text as numbers, one a character, and how many different ones there are."""
    alphabet = sorted(set(text))
    return np.array([alphabet.index(c) for c in text], dtype=np.int64), len(alphabet)


def rnn_model(lib: ModuleType, cell: str, vocab_size: int):
    """Return the tutorial's RNNModel, as it stands there but for the cell's name."""
    nn = lib.nn

    class RNNModel(nn.Module):
        def __init__(self, vocab_size, embed_size, hidden_size):
            super().__init__()
            self.embedding = nn.Embedding(vocab_size, embed_size)
            self.rnn = getattr(nn, cell)(embed_size, hidden_size, batch_first=True)
            self.fc = nn.Linear(hidden_size, vocab_size)

        def forward(self, x):
            x = self.embedding(x)
            out, _ = self.rnn(x)
            out = self.fc(out)
            return out

    return RNNModel(vocab_size, EMBED, HIDDEN)


def initial_state(lib: ModuleType, model, cell: str) -> dict:
    """Return a state_dict of the size of PyTorch's own initial weights: 1 / sqrt(hidden)."""
    return {
        name: lib.tensor(
            uniform(
                f"training/{cell}/{name}",
                tuple(value.shape),
                1.0 if name.startswith("embedding") else HIDDEN**-0.5,
            ).astype(np.float32)
        )
        for name, value in model.state_dict().items()
    }


def train(lib: ModuleType, cell: str, steps: int = STEPS) -> list[float]:
    """Train from the same weights on the same batches; return the loss of each step, in nats."""
    text, vocab_size = encode(TEXT)
    starts = ids(f"training/{cell}/batches", (steps, BATCH, 1), len(text) - TIME)
    windows = text[starts + np.arange(TIME + 1)]  # (steps, batch, time + 1)

    model = rnn_model(lib, cell, vocab_size)
    model.load_state_dict(initial_state(lib, model, cell))
    criterion = lib.nn.CrossEntropyLoss()
    optimizer = lib.optim.Adam(model.parameters(), lr=0.001)
    losses = []
    for batch in windows:
        inputs, targets = lib.tensor(batch[:, :-1]), lib.tensor(batch[:, 1:])
        outputs = model(inputs)
        loss = criterion(outputs.transpose(1, 2), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
