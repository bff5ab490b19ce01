"""The weights of GPT-2 and Llama as the core takes them for writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minilm import _core
from minilm.models import rotary
from minilm.models.inputs import CORE_ACTIVATIONS

if TYPE_CHECKING:
    from minilm.models.decoder import CausalLM
    from minilm.models.gpt2 import GPT2Block, GPT2LMHeadModel
    from minilm.models.llama import LlamaDecoderLayer, LlamaForCausalLM


def pack_gpt2(model: GPT2LMHeadModel, int8: bool) -> _core.Decoder:
    """Pack the weights of a GPT-2 whose parts are those that its class makes."""
    decoder, config = model.transformer, model.config
    return _core.Decoder.transformer(
        _array(decoder.wte.weight),
        tuple(_gpt2_block(block) for block in decoder.h),
        (_array(decoder.ln_f.weight), _array(decoder.ln_f.bias)),
        _head(model),
        positions=config.n_positions,
        heads=config.n_head,
        kv_heads=config.n_head,
        head_size=config.n_embd // config.n_head,
        inner=config.n_inner or 4 * config.n_embd,
        gated=False,
        activation=_activation(config.activation_function),
        rms=False,
        eps=config.layer_norm_epsilon,
        position_embedding=_array(decoder.wpe.weight),
        int8=int8,
    )


def _gpt2_block(block: GPT2Block) -> tuple[Any, ...]:
    attention, mlp = block.attn, block.mlp
    linears = [
        [_array(part.weight).T, _array(part.bias)]  # Conv1D has (in, out)
        for part in (attention.c_attn, attention.c_proj, mlp.c_fc, mlp.c_proj)
    ]
    norms = [[_array(norm.weight), _array(norm.bias)] for norm in (block.ln_1, block.ln_2)]
    return (
        *norms[0],
        *linears[0],
        *linears[1],
        *norms[1],
        *linears[2],
        *linears[3],
        attention._scale,
    )


def pack_llama(model: LlamaForCausalLM, int8: bool) -> _core.Decoder:
    """Pack the weights of a Llama whose parts are those that its class makes."""
    decoder, config = model.model, model.config
    return _core.Decoder.transformer(
        _array(decoder.embed_tokens.weight),
        tuple(_llama_block(block, config.head_dim) for block in decoder.layers),
        (_array(decoder.norm.weight), None),
        _head(model),
        positions=config.max_position_embeddings,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_size=config.head_dim,
        inner=config.intermediate_size,
        gated=True,
        activation=_activation(config.hidden_act),
        rms=True,
        eps=config.rms_norm_eps,
        frequencies=rotary.inverse_frequencies(config.head_dim, config.rope_parameters),
        int8=int8,
    )


def _llama_block(block: LlamaDecoderLayer, head_dim: int) -> tuple[Any, ...]:
    attention, mlp = block.self_attn, block.mlp
    return (
        _array(block.input_layernorm.weight),
        None,
        *_joined(attention.q_proj, attention.k_proj, attention.v_proj),
        *_joined(attention.o_proj),
        _array(block.post_attention_layernorm.weight),
        None,
        *_joined(mlp.gate_proj, mlp.up_proj),
        *_joined(mlp.down_proj),
        head_dim**-0.5,
    )


def _joined(*linears: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return weight and bias of linear layers as those of one, whose outputs stand in a row."""
    if len(linears) == 1:
        return _array(linears[0].weight), _array(linears[0].bias)
    weight = np.concatenate([_array(part.weight) for part in linears])
    if linears[0].bias is None:
        return weight, None
    return weight, np.concatenate([_array(part.bias) for part in linears])


def _head(model: CausalLM) -> np.ndarray | None:
    """Return the weight of a head of its own; None if it is the table of the tokens."""
    weight, table = _array(model.lm_head.weight), _array(model.get_input_embeddings().weight)
    return None if weight is table or np.shares_memory(weight, table) else weight


def _activation(name: str) -> int:
    return _core.ACTIVATIONS[CORE_ACTIVATIONS[name]]


def _array(parameter: Any) -> Any:
    return None if parameter is None else parameter.detach().numpy()
