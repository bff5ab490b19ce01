"""A GPT-2 and its training step, the same lines for minilm and for transformers with torch."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from configurations import TransformerConfiguration
from workload import LARGEST_NORM, draw_batch

import minilm
from minilm.models import GPT2Config, GPT2LMHeadModel


class TransformerWorkload:
    """One configuration in one library; see `workload.Workload`.

    Parameters
    ----------
    library : {"minilm", "torch"}
        Whose tensors to use; torch's model is that of transformers, its attention
        ``scaled_dot_product_attention``.
    row : TransformerConfiguration
        What to build.
    fused : bool
        For torch's AdamW.
    """

    def __init__(self, library: str, row: TransformerConfiguration, fused: bool = False) -> None:
        tensors = importlib.import_module(library)
        self.nn = importlib.import_module(f"{library}.nn")
        optim = importlib.import_module(f"{library}.optim")
        self.model = make_model(library, row)
        options = {"fused": True} if fused else {}
        self.optimizer = optim.AdamW(self.model.parameters(), lr=row.learning_rate, **options)
        inputs, _ = draw_batch(row)
        self.ids = tensors.tensor(inputs)

    def step(self) -> float:
        """Train on the batch once, and return the loss before."""
        loss = self.model(self.ids, labels=self.ids).loss
        self.optimizer.zero_grad()
        loss.backward()
        self.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_NORM)
        self.optimizer.step()
        return float(loss.item())


def make_model(library: str, row: TransformerConfiguration) -> Any:
    """Return the same model, of random weights and without dropout, in either library."""
    settings: dict[str, Any] = {
        "vocab_size": row.vocab,
        "n_positions": row.positions,
        "n_embd": row.width,
        "n_layer": row.layers,
        "n_head": row.heads,
        **dict.fromkeys(["resid_pdrop", "embd_pdrop", "attn_pdrop"], 0.0),
    }
    minilm.manual_seed(0)
    ours = GPT2LMHeadModel(GPT2Config(**settings))
    if library == "minilm":
        return ours.train()
    from torch import from_numpy
    from transformers import GPT2Config as TheirConfig
    from transformers import GPT2LMHeadModel as TheirModel

    theirs = TheirModel(TheirConfig(**settings, attn_implementation="sdpa"))
    weights = {name: np.array(tensor.numpy()) for name, tensor in ours.state_dict().items()}
    theirs.load_state_dict({name: from_numpy(weight) for name, weight in weights.items()})
    return theirs.train()
