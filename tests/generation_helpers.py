"""One tiny model of every kind that writes, and the rules of writing once more, slowly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from training_helpers import Bigram, WithOutput

import minilm
from minilm import nn
from minilm.models import (
    AWDLSTM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    NGramModel,
    RNNModel,
)

VOCAB = 7


class Wrapped(nn.Module):
    """A recurrent model that is not known to be one: it writes through its forward pass."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)

    def forward_with_state(self, x, state=None):
        return self.model.forward_with_state(x, state)


def sharp(model: Any) -> Any:
    """Make the weights large, so that what was read matters."""
    for parameter in model.parameters():
        parameter.detach().numpy()[...] *= 3
    return model.eval()


def recurrent(cell: str = "lstm", **settings: Any) -> RNNModel:
    minilm.manual_seed(1)
    return sharp(RNNModel(VOCAB, 5, 9, cell, **settings))


def awd() -> AWDLSTM:
    minilm.manual_seed(2)
    return sharp(AWDLSTM(VOCAB, embed_size=5, hidden_size=8, num_layers=2))


def gpt2(**settings: Any) -> GPT2LMHeadModel:
    minilm.manual_seed(3)
    sizes = {"vocab_size": VOCAB, "n_positions": 40, "n_embd": 12, "n_layer": 2, "n_head": 3}
    config = GPT2Config(**sizes, initializer_range=0.4, bos_token_id=1, eos_token_id=None)
    for name, value in settings.items():
        setattr(config, name, value)
    return GPT2LMHeadModel(config).eval()


def llama() -> LlamaForCausalLM:
    minilm.manual_seed(4)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=12,
        intermediate_size=10,
        num_hidden_layers=2,
        num_attention_heads=3,
        max_position_embeddings=40,
        initializer_range=0.4,
        bos_token_id=1,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def ngram() -> NGramModel:
    text = np.random.default_rng(0).integers(0, VOCAB, 300)
    text[::3] = text[1::3]
    return NGramModel(3, VOCAB).count(text)


MODELS: dict[str, Callable[[], Any]] = {
    "ngram": ngram,
    "rnn": lambda: recurrent("rnn"),
    "lstm": lambda: recurrent("lstm", num_layers=2),
    "gru": lambda: recurrent("gru"),
    "mingru": lambda: recurrent("mingru"),
    "minlstm": lambda: recurrent("minlstm", num_layers=2),
    "awd": awd,
    "int8": lambda: recurrent("lstm").quantize(),
    "state": lambda: Wrapped(recurrent("lstm")),
    "no state": lambda: Bigram(VOCAB),
    "output": lambda: WithOutput(VOCAB),
    "gpt2": gpt2,
    "llama": llama,
    "gpt2 int8": lambda: gpt2().quantize(),
    "llama int8": lambda: llama().quantize(),
}


def logits_after(model: Any, ids: list[int]) -> np.ndarray:
    """Return the logits of what comes after a text, all of it read at once, ``(vocab,)``."""
    if isinstance(model, NGramModel):
        return np.log(model.distribution(np.array(ids, np.int64)))
    output = model(minilm.tensor([ids]))
    logits = getattr(output, "logits", output)
    return logits.detach().numpy()[0, -1].astype(np.float64)


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - x.max() - math.log(np.exp(x - x.max()).sum())


def every_text(model: Any, prompt: list[int], length: int, end: int | None = None):
    """Yield all continuations and their log probabilities; one that ends early is shorter."""
    seen = set()
    for tokens in itertools.product(range(VOCAB), repeat=length):
        text = list(tokens)
        if end in text:
            text = text[: text.index(end) + 1]
        if tuple(text) in seen:
            continue
        seen.add(tuple(text))
        total = 0.0
        for i, token in enumerate(text):
            total += log_softmax(logits_after(model, prompt + text[:i]))[token]
        yield text, total
