"""Runs made sick on purpose, and healthy ones, on a text that takes seconds to learn."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import minilm
from minilm.data import StreamLoader
from minilm.doctor import Finding, examine
from minilm.models import RNNModel
from minilm.training import Diagnostics, History

TOKENS, TYPES = 10_000, 12


@cache
def topics(tokens: int = TOKENS, seed: int = 0) -> np.ndarray:
    """Write a text whose next token depends on the last one, and on a topic that lasts.

    The topic is seen only by reading far back: a recurrent model does better than n-grams.
    """
    rng = np.random.default_rng(seed)
    chances = 0.97 * rng.dirichlet(np.full(TYPES, 0.15), (3, TYPES)) + 0.03 / TYPES
    bounds = chances.cumsum(-1)
    draws, changes, next_topics = rng.random(tokens), rng.random(tokens), rng.integers(0, 3, tokens)
    text, token, topic = np.empty(tokens, np.int64), 0, 0
    for place in range(tokens):
        topic = int(next_topics[place]) if changes[place] < 0.02 else topic
        token = min(int(np.searchsorted(bounds[topic, token], draws[place])), TYPES - 1)
        text[place] = token
    return text


def train_ids() -> np.ndarray:
    return topics()[: TOKENS * 8 // 10]


def valid_ids() -> np.ndarray:
    return topics()[TOKENS * 8 // 10 :]


def make_model(cell: str = "lstm", seed: int = 0, hidden: int = 32) -> RNNModel:
    minilm.manual_seed(seed)
    return RNNModel(TYPES, 16, hidden, cell)


def scale(model: Any, part: str, factor: float) -> None:
    """Multiply the parameters in whose names `part` stands."""
    for name, parameter in model.named_parameters():
        if part in name:
            parameter.data[:] = parameter.detach().numpy() * factor


def train(
    model: Any, *, epochs: int = 3, train: Any = None, valid: Any = None, **settings: Any
) -> tuple[History, Diagnostics]:
    """Train as a sensible person does, but for `settings`."""
    diagnostics = Diagnostics()
    history = model.fit(
        StreamLoader(train_ids(), 8, 32) if train is None else train,
        valid_ids() if valid is None else valid,
        epochs,
        callbacks=[diagnostics],
        verbose=0,
        **{"lr": 1e-2, "lr_scheduler_type": "cosine", "warmup_steps": 0.05, **settings},
    )
    return history, diagnostics


def names(findings: list[Finding]) -> list[str]:
    return [finding.name for finding in findings]


def examined(model: Any, **settings: Any) -> dict[str, Finding]:
    """Train a model, and return what is found by its name."""
    history, diagnostics = train(model, **settings)
    found = examine(
        history=history, diagnostics=diagnostics, train_ids=train_ids(), valid_ids=valid_ids()
    )
    return {finding.name: finding for finding in found}
