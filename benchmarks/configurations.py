"""The models and batches that are measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
CHARACTERS = 256  # a smaller vocabulary counts as one of characters


@dataclass(frozen=True)
class Configuration:
    """One row: embedding, recurrent layers, linear head, trained on ids ``(batch, time)``."""

    name: str
    cell: str
    vocab: int
    embed: int
    hidden: int
    layers: int
    batch: int
    time: int

    @property
    def title(self) -> str:
        """What the row is, for people who do not know its name."""
        layers = f"{self.layers} x " if self.layers > 1 else ""
        kind = "characters" if self.vocab < CHARACTERS else "words"
        size = f"{self.cell} {layers}{self.hidden}"
        return f"{size}, {self.vocab:,} {kind}, {self.batch} x {self.time}"

    @property
    def tokens(self) -> int:
        """Tokens in a step."""
        return self.batch * self.time

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' shapes under PyTorch's names, in the order of the model's."""
        gates = GATES[self.cell] * self.hidden
        shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (self.vocab, self.embed)}
        for layer, size in enumerate(self._inputs):
            shapes[f"rnn.weight_ih_l{layer}"] = (gates, size)
            shapes[f"rnn.weight_hh_l{layer}"] = (gates, self.hidden)
            shapes[f"rnn.bias_ih_l{layer}"] = (gates,)
            shapes[f"rnn.bias_hh_l{layer}"] = (gates,)
        return shapes | {"fc.weight": (self.vocab, self.hidden), "fc.bias": (self.vocab,)}

    @property
    def parameters(self) -> int:
        """Numbers that Adam updates."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def work(self) -> float:
        """Floating-point operations of the matrix products of a step, forward and backward."""
        recurrent = sum(
            6 * GATES[self.cell] * self.hidden * (size + self.hidden) for size in self._inputs
        )
        return self.tokens * (recurrent + 6 * self.hidden * self.vocab)

    @property
    def _inputs(self) -> list[int]:
        return [self.embed] + [self.hidden] * (self.layers - 1)


@dataclass(frozen=True)
class TransformerConfiguration:
    """One row: a GPT-2, trained on ids ``(batch, time)`` that are its labels, too.

    The learning rates are those of nanoGPT and llm.c: at ten times llm.c's, two libraries that
    agree to the last digits part within fifty steps.
    """

    name: str
    vocab: int
    width: int
    layers: int
    heads: int
    positions: int
    batch: int
    time: int
    learning_rate: float

    @property
    def title(self) -> str:
        """What the row is, for people who do not know its name."""
        return (
            f"GPT {self.layers} x {self.width}, {self.vocab:,} tokens, {self.batch} x {self.time}"
        )

    @property
    def tokens(self) -> int:
        """Tokens in a step."""
        return self.batch * self.time

    @property
    def parameters(self) -> int:
        """Numbers that Adam updates; the head's weights are the embedding's."""
        block = 12 * self.width**2 + 13 * self.width
        return (self.vocab + self.positions + 2) * self.width + self.layers * block

    @property
    def work(self) -> float:
        """Floating-point operations of the matrix products of a step, forward and backward."""
        products = 12 * self.layers * self.width**2 + self.vocab * self.width
        attention = self.layers * self.time * self.width  # of what is not masked
        return self.tokens * 6 * float(products + attention)


RECURRENT = {
    row.name: row
    for row in [
        Configuration("tut_b2t5", "RNN", 12000, 64, 128, 1, 2, 5),
        Configuration("tut_b32t35", "RNN", 12000, 128, 128, 1, 32, 35),
        Configuration("rnn_char", "RNN", 65, 64, 128, 1, 32, 50),
        Configuration("gru_char", "GRU", 65, 128, 256, 1, 64, 64),
        Configuration("lstm_char2x128", "LSTM", 65, 64, 128, 2, 50, 50),
        Configuration("lstm_char2x512", "LSTM", 65, 128, 512, 2, 50, 50),
        Configuration("wt2_lstm200", "LSTM", 33278, 200, 200, 2, 20, 35),
        Configuration("ptb650", "LSTM", 10000, 650, 650, 2, 20, 35),
    ]
}
TRANSFORMERS = {
    row.name: row
    for row in [
        TransformerConfiguration("nanogpt", 65, 128, 4, 4, 64, 12, 64, 1e-3),
        TransformerConfiguration("gpt2", 50257, 768, 12, 12, 1024, 4, 64, 1e-4),
    ]
}
Row = Configuration | TransformerConfiguration
CONFIGURATIONS: dict[str, Row] = RECURRENT | TRANSFORMERS
