"""Modules whose state_dict must have PyTorch's names, order and shapes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

from .cases import CASES
from .modules import build
from .training import CELLS, rnn_model


def nested(lib: ModuleType):
    """Return a module of modules, whose names have several parts."""
    nn = lib.nn
    return nn.Sequential(
        nn.Embedding(5, 4),
        nn.ModuleList([nn.Linear(4, 3), nn.Linear(3, 2, bias=False)]),
        nn.Sequential(nn.LayerNorm(3), nn.Dropout(0.5), nn.Tanh()),
    )


# each takes a library, PyTorch or minilm, and makes its module
MODULES: dict[str, Callable] = {
    **{
        case.name: partial(build, kind=case.kind, config=case.config)
        for case in CASES
        if case.params and case.kind != "linear_cross_entropy"
    },
    **{cell: partial(rnn_model, cell=cell, vocab_size=11) for cell in CELLS},
    "nested": nested,
    "attention": lambda lib: lib.nn.MultiheadAttention(6, 3),
    "attention-no-bias": lambda lib: lib.nn.MultiheadAttention(6, 3, bias=False),
}
