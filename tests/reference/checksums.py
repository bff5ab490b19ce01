"""Checksums of what minilm computes, to the last bit, for cases and for a short training.

``python -m reference.checksums NAME ...`` prints them as JSON, from a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np

import minilm
from minilm import nn, optim
from minilm.data import DataLoader

from .cases import CASES
from .native import run_native
from .training import TEXT, encode

TRAINING = "training"  # stands among the names of cases
BY_NAME = {case.name: case for case in CASES}


def checksums(names: list[str], seed: int = 7) -> dict[str, dict[str, str]]:
    """Return the checksums of all results of each name; the seed is that of the training."""
    results = {}
    for name in names:
        arrays = train(seed) if name == TRAINING else run_native(minilm._core, BY_NAME[name])
        results[name] = {
            key: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
            for key, value in arrays.items()
        }
    return results


class Model(nn.Module):
    """A model with every layer that draws random numbers."""

    def __init__(self, vocab_size: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 40)
        self.drop = nn.Dropout(0.2)
        self.lstm = nn.LSTM(40, 70, num_layers=2, dropout=0.3, batch_first=True)
        self.fc = nn.Linear(70, vocab_size)

    def forward(self, x):
        """Return logits (batch, time, vocabulary)."""
        out, _ = self.lstm(self.drop(self.embedding(x)))
        return self.fc(self.drop(out))


def train(seed: int, length: int = 20) -> dict[str, np.ndarray]:
    """Train for an epoch with weights, masks and order drawn from a seed; losses and weights."""
    minilm.manual_seed(seed)
    ids, vocab_size = encode(TEXT)
    windows = [minilm.tensor(ids[i : i + length + 1]) for i in range(len(ids) - length)]
    loader = DataLoader([(w[:-1], w[1:]) for w in windows], batch_size=32, shuffle=True)
    model = Model(vocab_size)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for inputs, targets in loader:
        loss = criterion(model(inputs).transpose(1, 2), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    return {"losses": np.array(losses)} | weights


if __name__ == "__main__":
    threads = minilm.get_num_threads()
    print(json.dumps({"threads": threads} | checksums(sys.argv[1:])))
