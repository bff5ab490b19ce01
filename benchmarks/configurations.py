"""The models and batches that are measured."""

from __future__ import annotations

from dataclasses import dataclass

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


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
    def tokens(self) -> int:
        """Tokens in a step."""
        return self.batch * self.time

    @property
    def parameters(self) -> int:
        """Numbers that Adam updates."""
        gates = GATES[self.cell] * self.hidden
        recurrent = sum(gates * (size + self.hidden + 2) for size in self._inputs)
        return self.vocab * (self.embed + self.hidden + 1) + recurrent

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


CONFIGURATIONS = {
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
