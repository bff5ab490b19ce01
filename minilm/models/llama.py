"""Llama: what grew out of GPT-2, with RMSNorm, rotary positions, a gated MLP, grouped queries.

Touvron et al., 2023, https://arxiv.org/abs/2302.13971. Modules and weights have Hugging Face's
names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from minilm import _core, nn
from minilm.models import rotary
from minilm.models.configuration import LlamaConfig
from minilm.models.decoder import CausalLM, Context, Decoder
from minilm.models.decoding_transformer import pack_llama
from minilm.models.inputs import ACTIVATIONS, merge_heads, split_heads
from minilm.models.pretrained import PretrainedModel
from minilm.models.start import start_normally
from minilm.nn.dot_product import attention
from minilm.nn.rotary import apply_rotary, rotary_angles
from minilm.nn.work import attention_multiply_adds
from minilm.tensor import Tensor


class LlamaAttention(nn.Module):
    """Let each position take from those before it; queries and keys are turned by position."""

    def __init__(self, config: LlamaConfig, layer: int) -> None:
        super().__init__()
        self._layer = layer
        self._head_dim = config.head_dim
        self._dropout = config.attention_dropout
        width, bias = config.hidden_size, config.attention_bias
        queries = config.num_attention_heads * config.head_dim
        shared = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(width, queries, bias)
        self.k_proj = nn.Linear(width, shared, bias)
        self.v_proj = nn.Linear(width, shared, bias)
        self.o_proj = nn.Linear(queries, width, bias)

    def forward(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor | None]:
        """Map ``(batch, time, width)`` to the same, with attention weights if asked for."""
        projections = (self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (split_heads(project(x), self._head_dim) for project in projections)
        assert context.rotation is not None
        query, key = (apply_rotary(heads, *context.rotation) for heads in (query, key))
        if context.cache is not None:
            key, value = context.cache.update(key, value, self._layer)
        mixed, weights = attention(
            query,
            key,
            value,
            key_mask=context.mask,
            causal=True,
            aligned_to_end=True,
            dropout_p=self._dropout if self.training else 0.0,
            need_weights=context.weights,
        )
        return self.o_proj(merge_heads(mixed)), weights

    def multiply_adds(self, output: Any) -> int:
        """Return the work of attention itself; see :mod:`minilm.nn.work`."""
        return attention_multiply_adds(output, causal=True)


class LlamaMLP(nn.Module):
    """Change each position by itself: ``down(activation(gate(x)) * up(x))`` (Shazeer, 2020)."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width, inner, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self._activation = config.hidden_act
        self.gate_proj = nn.Linear(width, inner, bias)
        self.up_proj = nn.Linear(width, inner, bias)
        self.down_proj = nn.Linear(inner, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, time, width)`` to the same."""
        gate = ACTIVATIONS[self._activation](self.gate_proj(x))
        changed: Tensor = self.down_proj(gate * self.up_proj(x))
        return changed


class LlamaDecoderLayer(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``."""

    def __init__(self, config: LlamaConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(config, layer)
        self.mlp = LlamaMLP(config)
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor | None]:
        """Map ``(batch, time, width)`` to the same, with attention weights if asked for."""
        attended, weights = self.self_attn(self.input_layernorm(x), context)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), weights


class _Llama(PretrainedModel):
    """What Llama with and without a head have in common."""

    model_type: ClassVar[str] = "llama"
    config_class = LlamaConfig
    base_model_prefix: ClassVar[str] = "model"
    ignored_weights = re.compile(r"\brotary_emb\.inv_freq$")  # follows from the configuration

    def reset_parameters(self, names: list[str] | None = None) -> None:
        """Draw the parameters again, or those of these names: N(0, initializer_range^2)."""
        start_normally(self, self.config.initializer_range, names)


class LlamaModel(_Llama, Decoder):
    """Llama without a head.

    Parameters
    ----------
    config : LlamaConfig
        Sizes and settings.

    Attributes
    ----------
    embed_tokens : nn.Embedding
        A vector for each token.
    layers : nn.ModuleList
        The blocks.
    norm : nn.RMSNorm
        Normalizes what leaves the last block.
    """

    config: LlamaConfig

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(
            LlamaDecoderLayer(config, layer) for layer in range(config.num_hidden_layers)
        )
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.reset_parameters()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of the tokens' vectors."""
        table: nn.Embedding = self.embed_tokens
        return table

    def embed(self, ids: np.ndarray, positions: np.ndarray) -> Tensor:
        """Return the vectors ``(batch, time, width)`` that the first block reads."""
        vectors: Tensor = self.embed_tokens(ids)
        return vectors

    def blocks(self) -> Iterable[nn.Module]:
        """Return the blocks in order."""
        return self.layers

    def normalize(self, x: Tensor) -> Tensor:
        """Normalize what leaves the last block."""
        normal: Tensor = self.norm(x)
        return normal

    def rotation(self, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of the angles by which queries and keys are turned."""
        config = self.config
        frequencies = rotary.inverse_frequencies(config.head_dim, config.rope_parameters)
        return rotary_angles(positions, frequencies)


class LlamaForCausalLM(_Llama, CausalLM):
    """Llama as a language model.

    Parameters
    ----------
    config : LlamaConfig
        Sizes and settings.

    Attributes
    ----------
    model : LlamaModel
        The model without its head.
    lm_head : nn.Linear
        Scores of the tokens.
    """

    decoder_class = LlamaModel
    parts = frozenset(
        [LlamaModel, nn.ModuleList, LlamaDecoderLayer, LlamaAttention, LlamaMLP]
        + [nn.Linear, nn.RMSNorm, nn.Embedding]
    )
    model: LlamaModel

    def _pack(self, int8: bool) -> _core.Decoder:
        return pack_llama(self, int8)
