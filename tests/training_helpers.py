"""Tiny models, texts and runs that the training tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

import minilm
from minilm import nn
from minilm.data import StreamLoader
from minilm.models import RNNModel
from minilm.training import TrainerCallback, TrainingArguments
from minilm.training.build import build_engine
from minilm.training.engine import Engine
from minilm.training.validation import make_validate

CYCLE = np.arange(600) % 5  # each id follows from the one before
ARGUMENTS = {
    "num_train_epochs": 4,
    "per_device_train_batch_size": 4,
    "learning_rate": 0.05,
    "lr_scheduler_type": "constant",
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
}


def tiny_model(cell: str = "lstm", dropout: float = 0.0) -> RNNModel:
    minilm.manual_seed(0)
    return RNNModel(5, 4, 8, cell, dropout=dropout)


def tiny_engine(
    model: Any = None, *callbacks: Any, train: Any = CYCLE[:500], valid: Any = CYCLE[500:], **more
) -> Engine:
    """Make an engine of 12 steps an epoch; `more` are training arguments."""
    model = model or tiny_model()
    args = TrainingArguments(**{**ARGUMENTS, **more})
    loader = StreamLoader(train, args.per_device_train_batch_size, 10, seed=args.seed)
    return build_engine(
        model, loader, args, validate=make_validate(model, valid, args), callbacks=callbacks
    )


def weights(model: Any) -> dict[str, np.ndarray]:
    return {name: t.numpy().copy() for name, t in model.state_dict().items()}


def same_weights(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Tell whether all bits are the same."""
    assert one.keys() == other.keys()
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


class At(TrainerCallback):
    """Do something when a step is reached; 0 is before the first."""

    def __init__(self, step: int, action) -> None:
        self.step, self.action = step, action

    def on_train_begin(self, args, state, control, **kwargs):
        self.on_step_end(args, state, control, **kwargs)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.action(kwargs["engine"])


def interrupt(engine) -> None:
    """As Ctrl-C does, where a run can be left."""
    raise KeyboardInterrupt


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
