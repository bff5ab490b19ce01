"""Scaled dot-product attention as functions (Vaswani et al. 2017, equation 1).

What the core's kernel knows (causal masks, keys that nobody may see, grouped queries) never makes
an array of size (query time, key time), unless its probabilities are asked for. Any other mask
takes the way of Tensor operations, which does.
"""

from __future__ import annotations

import math

import numpy as np

from minilm.grad_mode import is_grad_enabled
from minilm.nn import checks
from minilm.nn.layer_call import LayerCall
from minilm.rules.rule import Array
from minilm.tensor import Tensor, TensorLike, as_tensor

AXES = "(batch, heads, time, size)"


def attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    *,
    key_mask: TensorLike | None = None,
    causal: bool = False,
    aligned_to_end: bool = False,
    scale: float | None = None,
    dropout_p: float = 0.0,
    need_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Let each query take the mean of the values, weighted by how well their keys fit it.

    ``softmax(scale Q K^T) V``, for each head by itself. A query that may see no key gets zeros.

    Parameters
    ----------
    query : Tensor
        ``(batch, heads, time, size)``.
    key : Tensor
        ``(batch, kv_heads, key time, size)``; `kv_heads` divides `heads`, and each head of keys
        serves as many heads of queries.
    value : Tensor
        ``(batch, kv_heads, key time, value size)``.
    key_mask : Tensor, optional
        ``(batch, key time)``, integers or booleans: 0 where nobody may see a key.
    causal : bool
        Whether query i sees only the keys 0 to i.
    aligned_to_end : bool
        Whether `causal` counts from the end: the last query sees all keys. So it is for queries
        that continue a text whose earlier keys were kept.
    scale : float, optional
        What the products are multiplied by; by default ``1 / sqrt(size)``.
    dropout_p : float
        Probability with which a probability is set to 0.
    need_weights : bool
        Whether the probabilities are wanted, too.

    Returns
    -------
    output : Tensor
        ``(batch, heads, time, value size)``.
    weights : Tensor or None
        ``(batch, heads, time, key time)``: the probabilities, after dropout.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If something is not float32, or a mask is made of floats.
    """
    tensors = [
        checks.floats("attention", name, tensor)
        for name, tensor in (("query", query), ("key", key), ("value", value))
    ]
    for name, tensor in zip(("query", "key", "value"), tensors, strict=True):
        if tensor.dim() != 4:
            raise ValueError(f"attention: expected {name} {AXES}, got shape {tensor.shape}")
    # A projection (batch, time, heads * size) that was cut into heads is read as it lies, and so
    # are keys and values at the beginning of arrays that have room for more.
    time_first = all(_lies_time_first(tensor._array) for tensor in tensors)
    key_time = 0
    if not (is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
        key_time, tensors[1:] = _with_room(*tensors[1:])
    call = LayerCall(
        "attention",
        scale=_scale_for(tensors[0], scale),
        heads_first=not time_first,
        causal=causal,
        aligned_to_end=aligned_to_end,
        key_time=key_time,
        need_weights=need_weights,
        dropout=checks.probability("attention", dropout_p),
    )
    if time_first:
        tensors = [tensor.transpose(1, 2) for tensor in tensors]
    output, weights = call([*tensors, _key_mask(key_mask)], training=dropout_p > 0)
    return output.transpose(1, 2) if time_first else output, weights if need_weights else None


def packed_attention(
    qkv: TensorLike,
    kv_heads: int,
    *,
    key_mask: TensorLike | None = None,
    causal: bool = False,
    scale: float | None = None,
    dropout_p: float = 0.0,
    need_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention on what one projection made of a text: queries, keys and values side by side.

    Nothing is cut apart or copied, and the gradient comes back as one array, too.

    Parameters
    ----------
    qkv : Tensor
        ``(batch, time, heads + 2 kv_heads, size)``: the heads of the queries, those of the keys,
        those of the values.
    kv_heads : int
        How many heads of keys there are, and of values.
    key_mask, causal, scale, dropout_p, need_weights
        As for `attention`.

    Returns
    -------
    output : Tensor
        ``(batch, time, heads, size)``.
    weights : Tensor or None
        ``(batch, heads, time, time)``: the probabilities, after dropout.

    Raises
    ------
    ValueError
        If the number of heads is none that can be cut so.
    TypeError
        If `qkv` is not float32, or the mask is made of floats.
    """
    packed = checks.floats("packed_attention", "qkv", qkv)
    if packed.dim() != 4:
        raise ValueError(
            "packed_attention: expected qkv (batch, time, heads + 2 kv_heads, size), got shape "
            f"{packed.shape}"
        )
    call = LayerCall(
        "attention",
        scale=_scale_for(packed, scale),
        heads_first=False,
        packed_kv_heads=checks.size("packed_attention", "kv_heads", kv_heads),
        causal=causal,
        need_weights=need_weights,
        dropout=checks.probability("packed_attention", dropout_p),
    )
    output, weights = call([packed, None, None, _key_mask(key_mask)], training=dropout_p > 0)
    return output, weights if need_weights else None


def _lies_time_first(array: Array) -> bool:
    return array.strides[1] < array.strides[2]


def _with_room(key: Tensor, value: Tensor) -> tuple[int, list[Tensor]]:
    """Return the arrays whose beginnings key and value are, and how far they reach into them.

    A part of an array is no block of memory: the core would be given a copy. 0 and the tensors
    themselves, if they are no such beginnings.
    """
    whole = [_begun_by(tensor._array) for tensor in (key, value)]
    if whole[0] is None or whole[1] is None or whole[0].shape[2] != whole[1].shape[2]:
        return 0, [key, value]
    return key.shape[2], [Tensor(array) for array in whole]


def _begun_by(array: Array) -> Array | None:
    """Return the block of memory (batch, heads, more time, size) that an array is the start of."""
    base = array.base
    if not isinstance(base, np.ndarray) or base.ndim != 4 or base.shape[2] <= array.shape[2]:
        return None
    starts_it = base.flags.c_contiguous and base.dtype == array.dtype and array.size > 0
    same_rows = base.strides == array.strides and base.shape[:2] == array.shape[:2]
    same_rows = same_rows and base.shape[3] == array.shape[3]
    return base if starts_it and same_rows and _address(base) == _address(array) else None


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _scale_for(query: Tensor, scale: float | None) -> float:
    return scale if scale is not None else 1.0 / math.sqrt(max(query.shape[-1], 1))


def _key_mask(mask: TensorLike | None) -> Tensor | None:
    return None if mask is None else checks.flags("attention", "key_mask", mask)


# --- PyTorch's function ---------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    attn_mask: TensorLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Let each query take the mean of the values, weighted by how well their keys fit it.

    Parameters
    ----------
    query : Tensor
        ``(..., time, size)``; the last of the leading axes are the heads.
    key : Tensor
        ``(..., key time, size)``.
    value : Tensor
        ``(..., key time, value size)``.
    attn_mask : Tensor, optional
        What broadcasts to ``(..., time, key time)``: booleans, True where a query sees a key, or
        float32, which is added to the scores. Booleans that are the same for all heads and queries,
        ``(batch, 1, 1, key time)``, cost nothing; any other mask makes arrays of its full size.
    dropout_p : float
        Probability with which a probability is set to 0. It acts always: pass 0 when evaluating.
    is_causal : bool
        Whether query i sees only the keys 0 to i. `attention` can count from the end, too.
    scale : float, optional
        What the products are multiplied by; by default ``1 / sqrt(size)``.
    enable_gqa : bool
        Whether keys and values may have fewer heads than queries, a divisor of their number.

    Returns
    -------
    Tensor
        ``(..., time, value size)``; zeros where a query sees no key.

    Raises
    ------
    ValueError
        If shapes do not fit, or `attn_mask` and `is_causal` are both given.
    TypeError
        If something is not float32, or the mask neither booleans nor float32.
    """
    name = "scaled_dot_product_attention"
    q, k, v = (
        checks.floats(name, what, tensor)
        for what, tensor in (("query", query), ("key", key), ("value", value))
    )
    if min(q.dim(), k.dim(), v.dim()) < 2 or len({q.dim(), k.dim(), v.dim()}) > 1:
        raise ValueError(
            f"{name}: expected query, key and value (..., time, size) with as many axes each, got "
            f"shapes {q.shape}, {k.shape}, {v.shape}"
        )
    if is_causal and attn_mask is not None:
        raise ValueError(
            f"{name}: attn_mask and is_causal exclude one another: put the causal part into the "
            "mask (minilm.ones(time, key_time).tril() > 0), or pass the keys' padding to "
            "attention()"
        )
    if not enable_gqa and q.shape[:-2] != k.shape[:-2]:
        raise ValueError(
            f"{name}: query {q.shape} and key {k.shape} differ in their leading axes; if keys have "
            "fewer heads on purpose, pass enable_gqa=True"
        )
    leading = q.shape[:-2]
    heads = [_with_heads(tensor) for tensor in (q, k, v)]
    if attn_mask is None:
        output, _ = attention(*heads, causal=is_causal, scale=scale, dropout_p=dropout_p)
        return _without_heads(output, leading)
    mask = _mask_of(name, as_tensor(attn_mask), (*leading, q.shape[-2], k.shape[-2]))
    if mask.dtype == bool and all(stride == 0 for stride in mask._array.strides[1:3]):
        seen = mask._array[:, 0, 0] if mask._array.size else np.ones((mask.shape[0], k.shape[-2]))
        output, _ = attention(
            *heads, key_mask=seen.astype(np.int64), scale=scale, dropout_p=dropout_p
        )
    else:
        p = checks.probability(name, dropout_p)
        output, _ = masked_attention(*heads, mask=mask, scale=_scale_for(q, scale), dropout_p=p)
    return _without_heads(output, leading)


def _with_heads(tensor: Tensor) -> Tensor:
    """Bring the axes to (batch, heads, time, size)."""
    if tensor.dim() == 4:
        return tensor
    leading, last = tensor.shape[:-2], tensor.shape[-2:]
    if tensor.dim() < 4:
        return tensor.reshape(*leading, *(1,) * (4 - tensor.dim()), *last)
    return tensor.reshape(math.prod(leading[:-1]), leading[-1], *last)


def _without_heads(output: Tensor, leading: tuple[int, ...]) -> Tensor:
    """Take `_with_heads` back."""
    return output if len(leading) == 2 else output.reshape(*leading, *output.shape[-2:])


def _mask_of(name: str, mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Bring a mask to (batch, heads, time, key time); what was broadcast is not copied."""
    if mask.dtype not in (bool, np.dtype("float32")):
        raise TypeError(
            f"{name}: attn_mask is {mask.dtype}, expected booleans (True: is seen) or float32 "
            "(added to the scores). A tokenizer's attention_mask becomes one with "
            "(mask > 0)[:, None, None, :]"
        )
    try:
        wide = mask.expand(*shape)
    except ValueError:
        raise ValueError(
            f"{name}: attn_mask of shape {mask.shape} does not broadcast to (..., time, key time) "
            f"= {shape}"
        ) from None
    return _with_heads(wide)


def masked_attention(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor, scale: float, dropout_p: float
) -> tuple[Tensor, Tensor]:
    """Attention under any mask, of Tensor operations; a query that sees no key gets zeros.

    Parameters
    ----------
    query, key, value : Tensor
        As for `attention`.
    mask : Tensor
        ``(batch, heads, time, key time)``: booleans, True where a query sees a key, or float32,
        which is added to the scores.
    scale, dropout_p : float
        As for `attention`.

    Returns
    -------
    output : Tensor
        ``(batch, heads, time, value size)``.
    weights : Tensor
        ``(batch, heads, time, key time)``: the probabilities, after dropout.
    """
    key, value = (_for_each_query_head(tensor, query.shape[1]) for tensor in (key, value))
    scores = (query * scale) @ key.transpose(-2, -1)
    hidden = ~mask._array if mask.dtype == bool else mask._array == -math.inf
    if mask.dtype != bool:
        scores = scores + mask.masked_fill(Tensor(hidden), 0.0)
    blind = hidden.all(axis=-1, keepdims=True)
    weights = scores.masked_fill(Tensor(hidden & ~blind), -math.inf).softmax(-1)
    weights = weights * Tensor((~blind).astype(np.float32))
    if dropout_p > 0:
        weights = LayerCall("dropout", p=dropout_p)([weights], training=True)[0]
    return weights @ value, weights


def _for_each_query_head(tensor: Tensor, heads: int) -> Tensor:
    batch, kv_heads, time, size = tensor.shape
    if kv_heads == heads:
        return tensor
    if kv_heads == 0 or heads % kv_heads:
        raise ValueError(
            f"attention: the {kv_heads} heads of key and value do not divide the {heads} of query"
        )
    copies = tensor.unsqueeze(2).expand(batch, kv_heads, heads // kv_heads, time, size)
    return copies.reshape(batch, heads, time, size)
