"""Small models of ``transformers``: their configurations, weights that follow from names, a batch.

The same few lines drive Hugging Face's models and ours: names of classes, arguments and outputs are
the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from .seeded import ids, uniform

Array = np.ndarray
BATCH, TIME = 3, 11
# The first text fills its row, the second is padded on the right, the third on the left.
MASK = np.ones((BATCH, TIME), np.int64)
MASK[1, 7:] = 0
MASK[2, :4] = 0


@dataclass(frozen=True)
class Model:
    """A model by its class, its configuration and the settings that are not the default."""

    name: str
    architecture: str
    config_class: str
    settings: dict = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def classifies(self) -> bool:
        """Whether labels are classes of texts."""
        return "Classification" in self.architecture

    def weights(self, shapes: dict[str, list[int]]) -> dict[str, Array]:
        """Return the weights: those of norms near 1, all others small, no two the same."""
        weights = {}
        for name, shape in shapes.items():
            values = uniform(f"{self.name}/{name}", tuple(shape), 0.3)
            is_scale = len(shape) == 1 and name.endswith("weight")
            weights[name] = (values + is_scale).astype(np.float32)
        return weights

    def batch(self) -> dict[str, Array]:
        """Return ids, mask, positions and labels."""
        tokens = ids(f"{self.name}/ids", (BATCH, TIME), self.settings["vocab_size"])
        if self.classifies:
            labels = np.array([2, 0, 1])
            return {"input_ids": tokens, "attention_mask": MASK, "labels": labels}
        labels = np.where(MASK == 1, tokens, -100)
        labels[2, 4] = -100  # else padding would have to guess how the text begins
        positions = np.maximum(np.cumsum(MASK, axis=1) - 1, 0)
        return {
            "input_ids": tokens,
            "attention_mask": MASK,
            "position_ids": positions,
            "labels": labels,
        }


GPT2 = {"vocab_size": 33, "n_positions": 24, "n_embd": 20, "n_layer": 2, "n_head": 5}
LLAMA = {
    "vocab_size": 33,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}

MODELS = [
    Model("gpt2", "GPT2LMHeadModel", "GPT2Config", GPT2),
    Model(
        "gpt2-untied",
        "GPT2LMHeadModel",
        "GPT2Config",
        GPT2
        | {
            "n_inner": 28,
            "activation_function": "relu",
            "scale_attn_by_inverse_layer_idx": True,
            "tie_word_embeddings": False,
        },
    ),
    Model("llama", "LlamaForCausalLM", "LlamaConfig", LLAMA | {"num_key_value_heads": 2}),
    Model(
        "llama-3",
        "LlamaForCausalLM",
        "LlamaConfig",
        LLAMA
        | {
            "num_key_value_heads": 1,
            "rope_parameters": LLAMA3_ROPE,
            "attention_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": True,
            "head_dim": 8,
        },
    ),
    Model(
        "llama-linear", "LlamaForCausalLM", "LlamaConfig", LLAMA | {"rope_parameters": LINEAR_ROPE}
    ),
    Model(
        "distilbert",
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        {
            "vocab_size": 33,
            "max_position_embeddings": 16,
            "dim": 20,
            "hidden_dim": 28,
            "n_layers": 2,
            "n_heads": 5,
            "num_labels": 3,
        },
    ),
]


def results(lib: ModuleType, model, batch: dict[str, Array]) -> dict[str, Array]:
    """Return outputs and gradients of a model of ``torch`` or minilm, by name.

    What a position of padding says does not count, and is set to 0.
    """
    given = {name: lib.tensor(values) for name, values in batch.items()}
    output = model(**given, output_attentions=True, output_hidden_states=True)
    output.loss.backward()
    arrays = {"loss": output.loss, "logits": output.logits}
    arrays |= {f"hidden_{i}": x for i, x in enumerate(output.hidden_states)}
    arrays |= {f"attention_{i}": x for i, x in enumerate(output.attentions)}
    counted = batch["attention_mask"]
    found = {name: _counted(tensor.detach().numpy(), counted) for name, tensor in arrays.items()}
    return found | {f"grad_{name}": p.grad.numpy() for name, p in model.named_parameters()}


def _counted(values: Array, mask: Array) -> Array:
    if values.ndim == 4:  # attention: (batch, heads, time, time)
        return values * mask[:, None, :, None]
    return values * mask[:, :, None] if values.shape[:2] == mask.shape else values
