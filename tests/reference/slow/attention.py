"""The slow twins of attention and of what GPT and Llama need beside it; see ``layers`` for twins.

Letters: B batch, H heads, K heads of keys and values, T time of the queries, S time of the keys,
D size of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layers import Array, Arrays, Draw, inverted


class Attention:
    """O = P V, P = softmax(scale Q K') over the keys that are seen; a row that sees none is 0.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, equation 1. Query i sees key j where
    ``key_mask[j] != 0``, and if ``causal`` where j <= i, or with ``aligned_to_end`` j <= i + S - T.
    Each head of keys serves H / K heads of queries (Ainslie et al. 2023,
    https://arxiv.org/abs/2305.13245).
    """

    params: dict[str, tuple[int, ...]] = {}

    def __init__(
        self,
        scale: float,
        heads_first: bool = True,
        packed_kv_heads: int = 0,
        causal: bool = False,
        aligned_to_end: bool = False,
        need_weights: bool = False,
        dropout: float = 0.0,
    ):
        self.scale = scale
        self.heads_first = heads_first
        self.packed = packed_kv_heads
        self.causal, self.aligned_to_end = causal, aligned_to_end
        self.need_weights = need_weights
        self.dropout = dropout

    def turn(self, x: Array) -> Array:
        """Swap (B, H, T, D) and the layout that the layer has."""
        return x if self.heads_first else x.swapaxes(1, 2)

    def cut(self, query: Array) -> list[Array]:
        """Take queries, keys and values out of one array (B, H + 2K, T, D)."""
        return np.split(query, [-2 * self.packed, -self.packed], axis=1)

    def forward(self, inputs: Sequence[Array | None], params: Arrays, draw: Draw | None = None):
        query, key, value, *mask = inputs
        q, k, v = self.cut(self.turn(query)) if self.packed else map(self.turn, inputs[:3])
        self.group = q.shape[1] // k.shape[1]
        self.q, self.k, self.v = q, self.widen(k), self.widen(v)
        time, key_time = q.shape[2], k.shape[2]
        shift = key_time - time if self.aligned_to_end else 0
        seen = np.tri(time, key_time, shift if self.causal else key_time, dtype=bool)
        if mask and mask[0] is not None:
            seen = seen & (mask[0][:, None, None, :] != 0)

        scores = self.scale * self.q @ self.k.swapaxes(-1, -2)
        shifted = scores - scores.max(axis=-1, keepdims=True, where=seen, initial=-1e300)
        exps = np.where(seen, np.exp(np.where(seen, shifted, 0.0)), 0.0)
        total = exps.sum(axis=-1, keepdims=True)
        self.p = exps / np.where(total == 0.0, 1.0, total)
        self.factor = dropout_factor(draw, self.p.shape, self.dropout) if draw else 1.0
        self.dropped = self.p * self.factor
        weights = self.dropped if self.need_weights else np.zeros(0)
        return self.turn(self.dropped @ self.v), weights

    def backward(self, grad_outputs: Sequence[Array]):
        do, dweights = self.turn(grad_outputs[0]), grad_outputs[1]
        dv = self.dropped.swapaxes(-1, -2) @ do
        dp = do @ self.v.swapaxes(-1, -2)
        if self.need_weights:
            dp = dp + dweights
        dp = dp * self.factor
        ds = self.scale * self.p * (dp - (self.p * dp).sum(axis=-1, keepdims=True))
        grads = [ds @ self.k, self.narrow(ds.swapaxes(-1, -2) @ self.q), self.narrow(dv)]
        if self.packed:
            return (self.turn(np.concatenate(grads, axis=1)), None, None, None), {}
        return (*map(self.turn, grads), None), {}

    def widen(self, x: Array) -> Array:
        """Give each head of queries its head of keys."""
        return np.repeat(x, self.group, axis=1)

    def narrow(self, x: Array) -> Array:
        """Sum what the heads of queries send to their head of keys."""
        batch, heads, time, size = x.shape
        return x.reshape(batch, heads // self.group, self.group, time, size).sum(axis=2)


def dropout_factor(draw: Draw, shape: tuple[int, ...], p: float) -> Array:
    """What dropout multiplies probabilities (B, H, T, S) with.

    Its mask has a row for each key, filled up to whole blocks of 64 queries.
    """
    batch, heads, time, key_time = shape
    mask = draw(0, (batch, heads, key_time, -(-time // 64) * 64))
    return inverted(mask[..., :time].swapaxes(-1, -2), p)


class Rotary:
    """Number i of a head and number i + R are a point, turned by the angle of its position.

    Su et al. 2021, https://arxiv.org/abs/2104.09864, equation 34. ``cos``, ``sin``: (1 or B, T, R).
    """

    params: dict[str, tuple[int, ...]] = {}

    def __init__(self, heads_first: bool = True):
        self.heads_axis = 1 if heads_first else 2

    def turn(self, x: Array, sign: float) -> Array:
        """Turn by the angles, or back."""
        pairs = self.cos.shape[-1]
        a, b, rest = np.split(x, [pairs, 2 * pairs], axis=-1)
        turned = [a * self.cos - b * sign * self.sin, b * self.cos + a * sign * self.sin, rest]
        return np.concatenate(turned, axis=-1)

    def forward(self, inputs: Sequence[Array], params: Arrays):
        x, cos, sin = inputs
        self.cos, self.sin = (np.expand_dims(angle, self.heads_axis) for angle in (cos, sin))
        return (self.turn(x, 1.0),)

    def backward(self, grad_outputs: Sequence[Array]):
        (dy,) = grad_outputs
        return (self.turn(dy, -1.0), None, None), {}
