"""MultiheadAttention: several heads look at the same text, each in its own way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minilm.nn import checks, functional, init
from minilm.nn.dot_product import masked_attention
from minilm.nn.linear import Linear
from minilm.nn.module import Module
from minilm.nn.parameter import Parameter
from minilm.nn.work import attention_multiply_adds, matrix_multiply_adds
from minilm.rules.rule import Array
from minilm.tensor import Tensor, TensorLike, as_tensor


class MultiheadAttention(Module):
    """Project to queries, keys and values, attend with each head, and project what they found.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2.2.

    Parameters
    ----------
    embed_dim : int
        The length of the vectors that come in and go out.
    num_heads : int
        How many heads share them, ``embed_dim / num_heads`` numbers each.
    dropout : float
        Probability with which a probability is set to 0 in training.
    bias : bool
        Whether the projections have biases, at first 0.
    batch_first : bool
        Whether arrays are ``(batch, time, embed_dim)`` instead of ``(time, batch, embed_dim)``.

    Attributes
    ----------
    in_proj_weight : Parameter
        ``(3 * embed_dim, embed_dim)``: of queries, keys and values.
    in_proj_bias : Parameter or None
        ``(3 * embed_dim,)``.
    out_proj : Linear
        The last projection.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        self.embed_dim = checks.size("MultiheadAttention", "embed_dim", embed_dim)
        self.num_heads = checks.size("MultiheadAttention", "num_heads", num_heads)
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim {embed_dim} must be a multiple of num_heads "
                f"{num_heads}"
            )
        self.head_dim = self.embed_dim // self.num_heads
        self.dropout = checks.probability("MultiheadAttention", dropout)
        self.batch_first = batch_first
        rows = 3 * self.embed_dim
        self.in_proj_weight = Parameter(np.empty((rows, self.embed_dim), np.float32))
        self.register_parameter(
            "in_proj_bias", Parameter(np.empty(rows, np.float32)) if bias else None
        )
        self.out_proj = Linear(self.embed_dim, self.embed_dim, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first projections again, and set the biases to 0."""
        init.xavier_uniform_(self.in_proj_weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def forward(
        self,
        query: TensorLike,
        key: TensorLike,
        value: TensorLike,
        key_padding_mask: TensorLike | None = None,
        need_weights: bool = True,
        attn_mask: TensorLike | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Let each query look at the keys; pass one tensor three times for self-attention.

        Parameters
        ----------
        query : Tensor
            ``(time, batch, embed_dim)``, or ``(batch, time, embed_dim)`` with `batch_first`;
            without a batch, ``(time, embed_dim)``.
        key, value : Tensor
            The same with a time of their own.
        key_padding_mask : Tensor, optional
            ``(batch, key time)``: booleans, True where a key is padding and nobody sees it, or
            float32, which is added to the scores.
        need_weights : bool
            Whether the probabilities are wanted, too; without them no array of size
            (time, key time) is made.
        attn_mask : Tensor, optional
            ``(time, key time)`` or ``(batch * num_heads, time, key time)``: booleans, True where a
            query must *not* see a key, or float32, which is added to the scores.
        average_attn_weights : bool
            Whether the probabilities are averaged over the heads.
        is_causal : bool
            Whether query i sees only the keys 0 to i; needs no `attn_mask`.

        Returns
        -------
        output : Tensor
            Of the shape of `query`.
        weights : Tensor or None
            ``(batch, time, key time)``, or ``(batch, num_heads, time, key time)`` where they are
            not averaged.

        Raises
        ------
        ValueError
            If shapes do not fit.
        TypeError
            If something is not float32, or a mask neither booleans nor float32.
        """
        inputs = [
            checks.floats("MultiheadAttention", name, tensor)
            for name, tensor in (("query", query), ("key", key), ("value", value))
        ]
        for name, tensor in zip(("query", "key", "value"), inputs, strict=True):
            checks.last_axis("MultiheadAttention", name, tensor, "(..., embed_dim", self.embed_dim)
        batched = inputs[0].dim() == 3
        same = query is key and key is value
        inputs = [self._batch_first(tensor, batched) for tensor in inputs]
        (batch, time, _), key_time = inputs[0].shape, inputs[1].shape[1]
        padding = _padding(key_padding_mask, batch, key_time)
        mask = _mask(attn_mask, batch, self.num_heads, time, key_time)
        if mask is not None and _is_causal(mask._array):
            is_causal, mask = True, None
        found, weights = self._attend(inputs, same, padding, mask, is_causal, need_weights)
        output = self.out_proj(found.reshape(batch, time, self.embed_dim))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return output[0], None if weights is None else weights[0]
        return output if self.batch_first else output.transpose(0, 1), weights

    def _attend(
        self,
        inputs: list[Tensor],
        same: bool,
        padding: Tensor | None,
        mask: Tensor | None,
        causal: bool,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what the heads found (batch, time, heads, head_dim), and how they looked."""
        p = self.dropout if self.training else 0.0
        if mask is not None or (padding is not None and padding.dtype != bool):
            (batch, time, _), key_time = inputs[0].shape, inputs[1].shape[1]
            full = _combined(padding, mask, causal, (batch, self.num_heads, time, key_time))
            scale = 1.0 / math.sqrt(self.head_dim)
            found, weights = masked_attention(
                *self._heads(inputs), mask=full, scale=scale, dropout_p=p
            )
            return found.transpose(1, 2), weights if need_weights else None
        settings: dict[str, Any] = {
            "key_mask": None if padding is None else Tensor(~padding._array),
            "causal": causal,
            "dropout_p": p,
            "need_weights": need_weights,
        }
        if same:
            batch, time, _ = inputs[0].shape
            qkv = functional.linear(inputs[0], self.in_proj_weight, self.in_proj_bias)
            qkv = qkv.reshape(batch, time, 3 * self.num_heads, self.head_dim)
            return functional.packed_attention(qkv, self.num_heads, **settings)
        output, probabilities = functional.attention(*self._heads(inputs), **settings)
        return output.transpose(1, 2), probabilities

    def _batch_first(self, tensor: Tensor, batched: bool) -> Tensor:
        if tensor.dim() != (3 if batched else 2):
            axes = "(batch, time" if self.batch_first else "(time, batch"
            raise ValueError(
                f"MultiheadAttention: expected query, key and value {axes}, embed_dim) each, or "
                f"(time, embed_dim) each, got shape {tensor.shape} among them"
            )
        if not batched:
            return tensor.unsqueeze(0)
        return tensor if self.batch_first else tensor.transpose(0, 1)

    def _heads(self, inputs: list[Tensor]) -> list[Tensor]:
        """Project queries, keys and values: (batch, heads, time, head_dim) each."""
        heads = []
        for i, tensor in enumerate(inputs):
            rows = slice(i * self.embed_dim, (i + 1) * self.embed_dim)
            bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
            projected = functional.linear(tensor, self.in_proj_weight[rows], bias)
            batch, time, _ = tensor.shape
            cut = projected.reshape(batch, time, self.num_heads, self.head_dim)
            heads.append(cut.transpose(1, 2))
        return heads

    def multiply_adds(self, output: Any) -> int:
        """Return the work of projections and attention; see :mod:`minilm.nn.work`."""
        attending = attention_multiply_adds(output, batch_first=self.batch_first)
        return matrix_multiply_adds(self, output) + attending

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}, "
            f"batch_first={self.batch_first}"
        )


# --- masks ----------------------------------------------------------------------------------------


def _checked(name: str, mask: TensorLike) -> Tensor:
    tensor = as_tensor(mask)
    if tensor.dtype not in (bool, np.dtype("float32")):
        raise TypeError(
            f"MultiheadAttention: {name} is {tensor.dtype}, expected booleans (True: is not seen) "
            "or float32 (added to the scores). Of a tokenizer's attention_mask, pass (mask == 0)"
        )
    return tensor


def _padding(mask: TensorLike | None, batch: int, key_time: int) -> Tensor | None:
    """Return the mask of keys as (batch, key time)."""
    if mask is None:
        return None
    tensor = _checked("key_padding_mask", mask)
    tensor = tensor.unsqueeze(0) if tensor.dim() == 1 else tensor
    if tensor.shape != (batch, key_time):
        raise ValueError(
            f"MultiheadAttention: expected key_padding_mask (batch={batch}, key time={key_time}), "
            f"got shape {tensor.shape}"
        )
    return tensor


def _mask(
    mask: TensorLike | None, batch: int, heads: int, time: int, key_time: int
) -> Tensor | None:
    """Return the mask of pairs as (1, 1, time, key time) or (batch, heads, time, key time)."""
    if mask is None:
        return None
    tensor = _checked("attn_mask", mask)
    if tensor.shape == (time, key_time):
        return tensor.reshape(1, 1, time, key_time)
    if tensor.shape == (batch * heads, time, key_time):
        return tensor.reshape(batch, heads, time, key_time)
    raise ValueError(
        f"MultiheadAttention: expected attn_mask (time={time}, key time={key_time}) or (batch * "
        f"num_heads={batch * heads}, time, key time), got shape {tensor.shape}"
    )


def _is_causal(mask: Array) -> bool:
    """Tell whether a mask hides from each query what comes after it, and nothing else."""
    if mask.shape[:2] != (1, 1):
        return False
    after = ~np.tri(*mask.shape[2:], dtype=np.bool_)
    return np.array_equal(mask[0, 0], after if mask.dtype == bool else np.where(after, -np.inf, 0))


def _combined(
    padding: Tensor | None, mask: Tensor | None, causal: bool, shape: tuple[int, ...]
) -> Tensor:
    """Return all masks in one, of this shape, as `masked_attention` takes it."""
    hides = []
    if causal:
        hides.append(Tensor(~np.tri(*shape[2:], dtype=np.bool_)[None, None]))
    if padding is not None:
        hides.append(padding.reshape(shape[0], 1, 1, shape[3]))
    if mask is not None:
        hides.append(mask)
    if all(hide.dtype == bool for hide in hides):
        seen = np.ones(shape, bool)
        for hide in hides:
            seen &= ~hide._array
        return Tensor(seen)
    added = Tensor(np.zeros(shape, np.float32))
    for hide in hides:
        if hide.dtype == bool:
            hide = Tensor(np.where(hide._array, np.float32(-np.inf), np.float32(0)))
        added = added + hide
    return added
