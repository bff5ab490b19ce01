"""A replica of PyTorch's example ``word_language_model``, step by step beside PyTorch itself.

Two LSTM layers of 200 units, SGD with a learning rate of 20, gradients clipped to 0.25, windows of
35 words, 20 lanes, the learning rate divided by four where validation no longer gets better. Left
to itself the recipe is chaotic: PyTorch with one thread and with two part after 25 steps. So every
step is taken from PyTorch's own weights, and only the means of free runs are compared.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np

import minilm.nn.functional as F
from minilm import nn, optim
from minilm.models.base import detach_state
from minilm.repro.experiment import Experiment, Outcome, Say
from minilm.tensor import Tensor
from minilm.training.corpus import make_corpus

WIDTH, LAYERS, LANES, BPTT, LR, CLIP = 200, 2, 20, 35, 20.0, 0.25
TIED_STEPS, FREE_STEPS = 60, 300


class WordModel(nn.Module):
    """The example's ``RNNModel``, with its names and its initial weights.

    Parameters
    ----------
    vocab_size : int
        Number of words.
    dropout : float
        After the embedding, between the layers, and before the head.
    """

    def __init__(self, vocab_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(vocab_size, WIDTH)
        self.rnn = nn.LSTM(WIDTH, WIDTH, LAYERS, dropout=dropout)
        self.decoder = nn.Linear(WIDTH, vocab_size)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, ids: Any, state: Any) -> tuple[Tensor, Any]:
        """Map ids ``(time, batch)`` to logits ``(time * batch, words)``, going on from a state."""
        output, state = self.rnn(self.drop(self.encoder(ids)), state)
        logits = self.decoder(self.drop(output))
        return logits.reshape(-1, logits.shape[-1]), state


def _windows(ids: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut a text into the example's windows: ids ``(time, batch)`` and the next ones, flat."""
    length = len(ids) // LANES
    lanes = ids[: length * LANES].reshape(LANES, length).T
    return [
        (
            np.ascontiguousarray(lanes[start : start + BPTT]),
            np.ascontiguousarray(lanes[start + 1 : start + BPTT + 1]).reshape(-1),
        )
        for start in range(0, length - BPTT - 1, BPTT)
    ]


class _Ours:
    """The example's loop with minilm."""

    def __init__(self, vocab_size: int, weights: dict[str, np.ndarray]) -> None:
        self.model = WordModel(vocab_size)
        self.load(weights)
        self.optimizer = optim.SGD(self.model.parameters(), lr=LR)
        self.state: Any = None

    def load(self, weights: dict[str, np.ndarray]) -> None:
        self.model.load_state_dict(weights)

    def step(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        logits, state = self.model(inputs, self.state)
        loss = F.cross_entropy(logits, targets)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.state = detach_state(state)
        return float(loss.item())


class _Torch:
    """The example's loop with PyTorch."""

    def __init__(self, vocab_size: int) -> None:
        try:
            import torch
        except ImportError:
            raise ImportError(
                "this experiment runs PyTorch beside minilm: pip install torch"
            ) from None
        self._torch = torch
        torch.manual_seed(0)
        encoder = torch.nn.Embedding(vocab_size, WIDTH)
        rnn = torch.nn.LSTM(WIDTH, WIDTH, LAYERS)
        decoder = torch.nn.Linear(WIDTH, vocab_size)
        torch.nn.init.uniform_(encoder.weight, -0.1, 0.1)
        torch.nn.init.uniform_(decoder.weight, -0.1, 0.1)
        torch.nn.init.zeros_(decoder.bias)
        parts = {"encoder": encoder, "rnn": rnn, "decoder": decoder}
        self.model: Any = torch.nn.ModuleDict(parts)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LR)
        self.state: Any = None

    def weights(self) -> dict[str, np.ndarray]:
        return {name: t.detach().numpy().copy() for name, t in self.model.state_dict().items()}

    def carried(self) -> Any:
        if self.state is None:
            return None
        return tuple(Tensor(part.numpy().copy()) for part in self.state)

    def step(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        torch = self._torch
        embedded = self.model["encoder"](torch.from_numpy(inputs))
        output, state = self.model["rnn"](embedded, self.state)
        logits = self.model["decoder"](output).reshape(-1, self.model["decoder"].out_features)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.state = tuple(part.detach() for part in state)
        return float(loss.item())


def compare(
    ids: np.ndarray, vocab_size: int, tied: int, free: int, say: Say
) -> tuple[float, float]:
    """Run both side by side.

    Parameters
    ----------
    ids : ndarray of int64
        The text, ``(tokens,)``.
    vocab_size : int
        Number of words.
    tied : int
        Steps that are taken from PyTorch's weights and state.
    free : int
        Steps that each takes on its own.
    say : callable
        Told how far it is.

    Returns
    -------
    worst : float
        Largest relative difference of a tied step's loss.
    apart : float
        Relative difference of the mean losses of the free steps.
    """
    windows = _windows(ids)
    theirs = _Torch(vocab_size)
    ours = _Ours(vocab_size, theirs.weights())
    worst = 0.0
    for step in range(tied):
        ours.load(theirs.weights())
        ours.state = theirs.carried()
        window = windows[step % len(windows)]
        mine, other = ours.step(*window), theirs.step(*window)
        worst = max(worst, abs(mine - other) / other)
        if step % 20 == 19:
            say(f"step {step + 1}: {mine:.5f}, PyTorch's {other:.5f}, at most {worst:.1e} apart")
    theirs = _Torch(vocab_size)
    ours = _Ours(vocab_size, theirs.weights())
    losses = [
        (ours.step(*windows[step % len(windows)]), theirs.step(*windows[step % len(windows)]))
        for step in range(free)
    ]
    mean, other = (statistics.fmean(column) for column in zip(*losses, strict=True))
    say(f"mean loss of {free} free steps: {mean:.4f}, PyTorch's {other:.4f}")
    return worst, abs(mean - other) / other


def _run(path: Path, share: float, say: Say) -> list[Outcome]:
    corpus = make_corpus(path.read_text(encoding="utf-8"), "word", path.name)
    tied, free = max(2, round(TIED_STEPS * share)), max(2, round(FREE_STEPS * share))
    worst, apart = compare(corpus.train_ids, corpus.vocab_size, tied, free, say)
    return [
        Outcome(f"{tied} steps from PyTorch's weights: relative", worst, 1e-3),
        Outcome(f"{free} free steps: means, relative", apart, 0.05),
    ]


WORD_LANGUAGE_MODEL = Experiment(
    "word-language-model",
    "PyTorch's example word_language_model, step by step beside PyTorch",
    "tinyshakespeare.txt",
    _run,
)
