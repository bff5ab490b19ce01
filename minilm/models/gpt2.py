"""GPT-2: blocks of attention and MLP on a stream of vectors, one for each token.

Radford et al., 2019, "Language Models are Unsupervised Multitask Learners". Modules and weights
have Hugging Face's names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from minilm import _core, nn
from minilm.models.configuration import GPT2Config
from minilm.models.conv1d import Conv1D
from minilm.models.decoder import CausalLM, Context, Decoder
from minilm.models.decoding_transformer import pack_gpt2
from minilm.models.inputs import ACTIVATIONS
from minilm.models.pretrained import PretrainedModel
from minilm.models.start import start_normally
from minilm.nn.dot_product import attention, packed_attention
from minilm.nn.work import attention_multiply_adds
from minilm.tensor import Tensor


class GPT2Attention(nn.Module):
    """Let each position take from those before it: ``c_proj(attention(c_attn(x)))``."""

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        width = config.n_embd
        self._layer = layer
        self._head_size = width // config.n_head
        self._scale = self._head_size**-0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self._scale /= layer + 1
        self.c_attn = Conv1D(3 * width, width)  # query, key and value side by side
        self.c_proj = Conv1D(width, width)
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor | None]:
        """Map ``(batch, time, width)`` to the same, with attention weights if asked for."""
        batch, time, width = x.shape
        heads = width // self._head_size
        qkv = self.c_attn(x).reshape(batch, time, 3 * heads, self._head_size)
        options: dict[str, Any] = {
            "key_mask": context.mask,
            "causal": True,
            "scale": self._scale,
            "dropout_p": self.attn_dropout.p if self.training else 0.0,
            "need_weights": context.weights,
        }
        if context.cache is None:
            mixed, weights = packed_attention(qkv, heads, **options)
        else:
            query, key, value = (part.transpose(1, 2) for part in qkv.split(heads, dim=2))
            key, value = context.cache.update(key, value, self._layer)
            mixed, weights = attention(query, key, value, aligned_to_end=True, **options)
            mixed = mixed.transpose(1, 2)
        mixed = mixed.reshape(batch, time, width)
        return self.resid_dropout(self.c_proj(mixed)), weights

    def multiply_adds(self, output: Any) -> int:
        """Return the work of attention itself; see :mod:`minilm.nn.work`."""
        return attention_multiply_adds(output, causal=True)


class GPT2MLP(nn.Module):
    """Change each position by itself: ``c_proj(activation(c_fc(x)))``."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        inner = config.n_inner or 4 * config.n_embd
        self._activation = config.activation_function
        self.c_fc = Conv1D(inner, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, inner)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, time, width)`` to the same."""
        inner = ACTIVATIONS[self._activation](self.c_fc(x))
        changed: Tensor = self.dropout(self.c_proj(inner))
        return changed


class GPT2Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``: normalized before, not after."""

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = GPT2Attention(config, layer)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = GPT2MLP(config)

    def forward(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor | None]:
        """Map ``(batch, time, width)`` to the same, with attention weights if asked for."""
        attended, weights = self.attn(self.ln_1(x), context)
        x = x + attended
        return x + self.mlp(self.ln_2(x)), weights


class _GPT2(PretrainedModel):
    """What GPT-2 with and without a head have in common."""

    model_type: ClassVar[str] = "gpt2"
    config_class = GPT2Config
    base_model_prefix: ClassVar[str] = "transformer"
    # The triangle of what may be seen, which old files carry.
    ignored_weights = re.compile(r"\bh\.\d+\.attn\.(masked_)?bias$")

    def reset_parameters(self, names: list[str] | None = None) -> None:
        """Draw the parameters again, or those of these names.

        Weights are N(0, initializer_range^2), biases 0. The last layers of attention and MLP, whose
        outputs are added up over the blocks, start 1/sqrt(2 L) as large (section 2.3 of the paper).
        """
        std = self.config.initializer_range
        start_normally(
            self, std, names, {"c_proj.weight": std / math.sqrt(2 * self.config.n_layer)}
        )


class GPT2Model(_GPT2, Decoder):
    """GPT-2 without a head.

    Parameters
    ----------
    config : GPT2Config
        Sizes and settings.

    Attributes
    ----------
    wte, wpe : nn.Embedding
        A vector for each token and for each position, which are added up.
    h : nn.ModuleList
        The blocks.
    ln_f : nn.LayerNorm
        Normalizes what leaves the last block.
    """

    config: GPT2Config

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(GPT2Block(config, layer) for layer in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.reset_parameters()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of the tokens' vectors."""
        table: nn.Embedding = self.wte
        return table

    def embed(self, ids: np.ndarray, positions: np.ndarray) -> Tensor:
        """Return the vectors ``(batch, time, width)`` that the first block reads."""
        vectors: Tensor = self.drop(self.wte(ids) + self.wpe(positions))
        return vectors

    def blocks(self) -> Iterable[nn.Module]:
        """Return the blocks in order."""
        return self.h

    def normalize(self, x: Tensor) -> Tensor:
        """Normalize what leaves the last block."""
        normal: Tensor = self.ln_f(x)
        return normal


class GPT2LMHeadModel(_GPT2, CausalLM):
    """GPT-2 as a language model.

    Parameters
    ----------
    config : GPT2Config
        Sizes and settings.

    Attributes
    ----------
    transformer : GPT2Model
        The model without its head.
    lm_head : nn.Linear
        Scores of the tokens, by the table of their vectors.

    Examples
    --------
    >>> model = GPT2LMHeadModel(GPT2Config.from_preset("gpt-nano", vocab_size=65, n_positions=64))
    >>> ids = minilm.zeros(2, 7, dtype=minilm.long)
    >>> model(ids, labels=ids).logits.shape
    (2, 7, 65)
    """

    decoder_class = GPT2Model
    parts = frozenset(
        [GPT2Model, nn.ModuleList, GPT2Block, GPT2Attention, GPT2MLP]
        + [Conv1D, nn.LayerNorm, nn.Embedding, nn.Dropout]
    )
    transformer: GPT2Model

    def _pack(self, int8: bool) -> _core.Decoder:
        return pack_gpt2(self, int8)
