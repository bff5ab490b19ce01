"""Tiny models and texts that the training tests share."""

from __future__ import annotations

import numpy as np

import minilm
from minilm import nn
from minilm.models import RNNModel

CYCLE = np.arange(600) % 5  # each id follows from the one before


def tiny_model(cell: str = "lstm", dropout: float = 0.0) -> RNNModel:
    minilm.manual_seed(0)
    return RNNModel(5, 4, 8, cell, dropout=dropout)


class Bigram(nn.Module):
    """A model that only looks at the last token, and carries no state."""

    def __init__(self, vocab_size: int = 5) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, x):
        return self.table(x)


class WithOutput(Bigram):
    """The same, returning an output with logits, as Hugging Face's models do."""

    def forward(self, x):
        class Output:
            loss = None
            logits = self.table(x)

        return Output
