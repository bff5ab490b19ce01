"""Attention as functions: any length, masks, caches, what is kept, what is refused.

Numbers and gradients of the layer are checked against its slow twin and stored results of PyTorch
in test_layers.py and test_reference.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from reference.check import assert_close
from reference.seeded import uniform
from reference.slow.attention import Attention

import minilm
import minilm.nn.functional as F
from minilm import Tensor, _core


def heads(name: str, *shape: int, scale: float = 1.0) -> Tensor:
    return minilm.tensor(uniform(name, shape, scale).astype(np.float32), requires_grad=True)


def three(batch: int, n: int, time: int, size: int, **about: int) -> list[Tensor]:
    """Queries, keys and values."""
    kv_heads, key_time = about.get("kv_heads", n), about.get("key_time", time)
    return [
        heads("q", batch, n, time, size),
        heads("k", batch, kv_heads, key_time, size),
        heads("v", batch, kv_heads, key_time, size),
    ]


def send_back(output: Tensor) -> None:
    """Run backward from a sum whose gradient is not the same everywhere."""
    (output * minilm.tensor(uniform("do", output.shape).astype(np.float32))).sum().backward()


def grads(tensors: list[Tensor]) -> list[np.ndarray]:
    return [tensor.grad.numpy() for tensor in tensors]


def hidden_half(*shape: int) -> Tensor:
    """A mask of keys, True where one is seen."""
    return minilm.tensor(uniform("mask", shape) > 0)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("time", [1, 2, 3, 5, 6, 7, 17, 63, 64, 65, 127, 129, 191, 300])
def test_any_length(time: int, causal: bool) -> None:
    tensors = three(1, 2, time, 9)
    output, weights = F.attention(*tensors, causal=causal)
    assert weights is None
    twin = Attention(1 / 3, causal=causal)
    expected, _ = twin.forward([t.detach().numpy().astype(float) for t in tensors], {})
    assert_close(output.detach().numpy(), expected, 1e-5, "output")
    send_back(output)
    slow, _ = twin.backward([uniform("do", output.shape), np.zeros(0)])
    for tensor, grad, name in zip(tensors, slow, "qkv", strict=False):
        assert_close(tensor.grad.numpy(), grad, 1e-4, name)


@pytest.mark.parametrize("size", [1, 15, 16, 64, 100, 128, 130])
def test_any_size_of_a_head(size: int) -> None:
    tensors = three(1, 1, 7, size)
    output = F.scaled_dot_product_attention(*tensors)
    twin = Attention(size**-0.5)
    expected, _ = twin.forward([t.detach().numpy().astype(float) for t in tensors], {})
    assert_close(output.detach().numpy(), expected, 1e-5, "output")


def test_one_query_at_a_time_sees_what_all_at_once_see() -> None:
    q, k, v = (tensor.detach() for tensor in three(2, 4, 130, 16, kv_heads=2))
    together, _ = F.attention(q, k, v, causal=True)
    for t in (0, 1, 63, 64, 129):
        one, _ = F.attention(
            q[:, :, t : t + 1],
            k[:, :, : t + 1],
            v[:, :, : t + 1],
            causal=True,
            aligned_to_end=True,
        )
        assert one.allclose(together[:, :, t : t + 1], rtol=1e-5, atol=1e-6)


def test_several_queries_continue_a_cache() -> None:
    q, k, v = (tensor.detach() for tensor in three(1, 2, 100, 8))
    together, _ = F.attention(q, k, v, causal=True)
    later, _ = F.attention(q[:, :, 70:], k, v, causal=True, aligned_to_end=True)
    assert later.allclose(together[:, :, 70:], rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing() -> None:
    q, k, v = (tensor.detach() for tensor in three(1, 2, 9, 8))
    alone = F.scaled_dot_product_attention(q, k, v)
    mask = minilm.tensor([[0] * 2 + [1] * 9 + [0] * 3])
    wide = [minilm.cat([t[:, :, :2] * 9, t, t[:, :, :3] * 7], 2) for t in (k, v)]
    padded, _ = F.attention(q, *wide, key_mask=mask)
    assert padded.allclose(alone, rtol=1e-5, atol=1e-6)
    assert F.attention(q, *wide, key_mask=mask > 0)[0].equal(padded)


@pytest.mark.kernels
@pytest.mark.parametrize("causal", [False, True])
def test_queries_that_see_nothing_get_zeros(causal: bool) -> None:
    tensors = three(2, 2, 70, 8)
    mask = np.ones((2, 70), int)
    mask[0], mask[1, :5] = 0, 0
    output, weights = F.attention(*tensors, key_mask=mask, causal=causal, need_weights=True)
    assert (output[0] == 0).all() and (weights[0] == 0).all()
    assert not output.isnan().any() and (output[1, :, -1] != 0).all()
    assert (output[1, :, :5] == 0).all() == causal
    (output.sum() + (weights * weights).sum()).backward()
    assert all(np.isfinite(grad).all() and (grad[0] == 0).all() for grad in grads(tensors))


def test_more_queries_than_keys_at_the_end() -> None:
    """The first queries come before all keys."""
    tensors = three(1, 1, 100, 4, key_time=10)
    output, _ = F.attention(*tensors, causal=True, aligned_to_end=True)
    assert (output[0, 0, :90] == 0).all() and (output[0, 0, 90] == tensors[2][0, 0, 0]).all()
    output.sum().backward()
    assert (tensors[0].grad[0, 0, :91] == 0).all() and (tensors[0].grad[0, 0, 91:] != 0).any()


def test_no_keys_at_all() -> None:
    q, k, v = three(1, 2, 3, 4, key_time=0)
    output, _ = F.attention(q, k, v)
    assert output.shape == (1, 2, 3, 4) and (output == 0).all()
    output.sum().backward()
    assert (q.grad == 0).all() and k.grad.shape == (1, 2, 0, 4)
    assert F.attention(*three(1, 2, 0, 4, key_time=3))[0].shape == (1, 2, 0, 4)
    assert F.attention(*three(0, 2, 3, 4))[0].shape == (0, 2, 3, 4)


@pytest.mark.kernels
def test_huge_scores_do_not_overflow() -> None:
    q, k, v = (heads(name, 1, 2, 70, 16, scale=3e4) for name in "qkv")
    output, weights = F.attention(q, k, v, need_weights=True)
    scores = q.detach().numpy().astype(float) @ k.detach().numpy().astype(float).swapaxes(-1, -2)
    best = scores.argmax(-1)
    assert (weights.argmax(-1).numpy() == best).all()
    assert np.isfinite(output.detach().numpy()).all()
    assert_close(weights.sum(-1).detach().numpy(), np.ones((1, 2, 70)), 1e-6, "sums")
    send_back(output)
    assert all(np.isfinite(grad).all() for grad in grads([q, k, v]))


def test_scores_without_a_spread_give_the_mean() -> None:
    v = heads("v", 1, 1, 9, 4)
    output, weights = F.attention(v * 0, v, v, need_weights=True)
    assert output.allclose(v.mean(2, True).expand(1, 1, 9, 4), atol=1e-6)
    assert weights.allclose(minilm.full((1, 1, 9, 9), 1 / 9))


# --- layouts --------------------------------------------------------------------------------------


def test_heads_cut_from_a_projection_are_read_as_they_lie() -> None:
    flat = [heads(name, 2, 17, 3 * 8) for name in "qkv"]
    cut = [x.view(2, 17, 3, 8).transpose(1, 2) for x in flat]
    output = F.scaled_dot_product_attention(*cut, is_causal=True)
    assert output.transpose(1, 2).is_contiguous()  # so the heads need no copy either
    copies = [x.detach().clone().requires_grad_() for x in cut]
    expected = F.scaled_dot_product_attention(*copies, is_causal=True)
    np.testing.assert_array_equal(output.detach().numpy(), expected.detach().numpy())
    send_back(output)
    send_back(expected)
    for x, copy in zip(flat, copies, strict=True):
        grad = copy.grad.numpy().swapaxes(1, 2).reshape(2, 17, 24)
        np.testing.assert_array_equal(x.grad.numpy(), grad)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_packed_heads_are_those_side_by_side(kv_heads: int) -> None:
    qkv = heads("qkv", 2, 33, 4 + 2 * kv_heads, 8)
    output, _ = F.packed_attention(qkv, kv_heads, causal=True)
    parts = qkv.detach().split([4, kv_heads, kv_heads], 2)
    apart = [part.transpose(1, 2).clone().requires_grad_() for part in parts]
    expected, _ = F.attention(*apart, causal=True)
    np.testing.assert_array_equal(
        output.detach().numpy(), expected.transpose(1, 2).detach().numpy()
    )
    (output * 2).sum().backward()
    (expected * 2).sum().backward()
    grad = np.concatenate([part.grad.numpy().swapaxes(1, 2) for part in apart], axis=2)
    np.testing.assert_array_equal(qkv.grad.numpy(), grad)


@pytest.mark.parametrize("shape", [(7, 8), (3, 7, 8), (2, 3, 7, 8), (2, 2, 3, 7, 8)])
def test_leading_axes(shape: tuple[int, ...]) -> None:
    q, k, v = (heads(name, *shape) for name in "qkv")
    output = F.scaled_dot_product_attention(q, k, v)
    expected = ((q @ k.transpose(-1, -2)) / 8**0.5).softmax(-1) @ v
    assert output.shape == shape and output.allclose(expected, atol=1e-6)


# --- masks that the kernel does not know ----------------------------------------------------------


def test_masks_of_pairs_agree_with_masks_of_keys() -> None:
    """The way of Tensor operations and that of the kernel, one against the other."""
    seen = hidden_half(2, 1, 1, 70)
    ours, theirs = (
        three(2, 4, 9, 8, kv_heads=2, key_time=70),
        three(2, 4, 9, 8, kv_heads=2, key_time=70),
    )
    by_keys = F.scaled_dot_product_attention(*ours, attn_mask=seen, enable_gqa=True)
    full = minilm.tensor(np.broadcast_to(seen.numpy(), (2, 4, 9, 70)).copy())
    by_pairs = F.scaled_dot_product_attention(*theirs, attn_mask=full, enable_gqa=True)
    assert repr(by_keys.grad_fn) != repr(by_pairs.grad_fn)
    assert by_keys.allclose(by_pairs, atol=1e-6)
    send_back(by_keys)
    send_back(by_pairs)
    for a, b in zip(grads(ours), grads(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_mask_of_pairs_that_is_causal() -> None:
    q, k, v = three(1, 2, 9, 8)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    seen = minilm.ones(9, 9).tril() > 0
    assert F.scaled_dot_product_attention(q, k, v, seen).allclose(expected, atol=1e-6)
    added = minilm.zeros(9, 9).masked_fill(~seen, float("-inf"))
    assert F.scaled_dot_product_attention(q, k, v, added).allclose(expected, atol=1e-6)


def test_an_added_mask_gets_a_gradient() -> None:
    q, k, v = (tensor.detach() for tensor in three(1, 2, 5, 8))
    bias = heads("bias", 2, 5, 5)
    send_back(F.scaled_dot_product_attention(q, k, v, bias))
    composed = bias.detach().clone().requires_grad_()
    send_back((q @ k.transpose(-1, -2) / 8**0.5 + composed).softmax(-1) @ v)
    assert bias.grad.allclose(composed.grad, atol=1e-6)


def test_a_row_of_pairs_that_sees_nothing() -> None:
    tensors = three(1, 1, 3, 4)
    seen = minilm.tensor([[True, False, True], [False] * 3, [True] * 3])
    for mask in (seen, minilm.zeros(3, 3).masked_fill(~seen, float("-inf"))):
        output = F.scaled_dot_product_attention(*tensors, attn_mask=mask)
        assert (output[0, 0, 1] == 0).all() and not output.isnan().any()
        output.sum().backward()
        assert all(np.isfinite(grad).all() for grad in grads(tensors))


# --- dropout --------------------------------------------------------------------------------------


def test_dropout_drops_its_share_of_probabilities() -> None:
    minilm.manual_seed(0)
    q, k, v = three(2, 2, 70, 8)
    _, plain = F.attention(q, k, v, need_weights=True)
    _, dropped = F.attention(q, k, v, dropout_p=0.25, need_weights=True)
    kept = dropped.detach().numpy() != 0
    assert abs(kept.mean() - 0.75) < 0.01
    np.testing.assert_allclose(
        dropped.detach().numpy()[kept], plain.detach().numpy()[kept] / 0.75, rtol=1e-5
    )
    assert not np.array_equal(kept[0, 0], kept[0, 1]) and not np.array_equal(kept[0], kept[1])


def test_a_seed_names_the_mask() -> None:
    tensors = three(1, 2, 9, 8)
    results = []
    for seed in (1, 1, 2):
        minilm.manual_seed(seed)
        results.append(F.scaled_dot_product_attention(*tensors, dropout_p=0.5))
    assert results[0].equal(results[1]) and not results[0].equal(results[2])
    assert not F.scaled_dot_product_attention(*tensors, dropout_p=0.5).equal(results[2])
    assert (F.scaled_dot_product_attention(*tensors, dropout_p=1.0) == 0).all()


def test_dropout_of_a_mask_of_pairs() -> None:
    minilm.manual_seed(0)
    q, k, v = three(1, 2, 40, 8)
    seen = minilm.ones(40, 40).tril() > 0
    ones = minilm.ones(1, 2, 40, 8)
    sums = F.scaled_dot_product_attention(q, k, ones, seen, dropout_p=0.5)
    assert not sums.allclose(ones) and abs(float(sums.detach().mean()) - 1) < 0.1


# --- what is kept ---------------------------------------------------------------------------------


def bytes_for(heads: int, time: int) -> int:
    """Most bytes that buffers take while attention runs forward and backward."""
    tensors = three(1, heads, time, 16)
    _core.empty_cache()
    before = _core.buffer_stats()["used"]
    output, _ = F.attention(*tensors, causal=True, dropout_p=0.1)
    send_back(output)
    stats = _core.buffer_stats()
    return stats["used"] + stats["kept"] - before


def test_memory_does_not_grow_with_the_square_of_time() -> None:
    short, long = bytes_for(8, 256), bytes_for(8, 1024)
    assert long < 5 * short
    assert long < 4 * 8 * 1024 * 1024 / 8
    assert bytes_for(1, 2048) < 4 * 2048 * 2048 / 4  # one head, whose gradients threads share


def test_attention_is_one_node() -> None:
    output = F.scaled_dot_product_attention(*three(1, 1, 2, 4))
    assert repr(output.grad_fn) == "<attention>" and len(output.grad_fn.edges) == 4


# --- refusals -------------------------------------------------------------------------------------

ONES = minilm.ones(2, 3, 5, 8)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: F.attention(ONES[0], ONES, ONES), ValueError, r"query \(batch, heads, time, size"),
        (lambda: F.attention(ONES, ONES[:1], ONES), ValueError, r"batch=2.*got \(1, 3, 5, 8\)"),
        (lambda: F.attention(ONES, ONES[..., :4], ONES), ValueError, "size=8"),
        (lambda: F.attention(ONES, ONES, ONES[:, :, :4]), ValueError, r"value: .*\(2, 3, 4, 8\)"),
        (lambda: F.attention(ONES, ONES[:, :2], ONES[:, :2]), ValueError, "divides the 3"),
        (
            lambda: F.attention(ONES, ONES, ONES, key_mask=np.ones((2, 4), int)),
            ValueError,
            r"key_mask: expected \(batch=2, key time=5\), got \(2, 4\)",
        ),
        (
            lambda: F.attention(ONES, ONES, ONES, key_mask=minilm.ones(2, 5)),
            TypeError,
            "key_mask is float32",
        ),
        (lambda: F.attention(ONES.long(), ONES, ONES), TypeError, "query is int64"),
        (lambda: F.attention(ONES, ONES, ONES, dropout_p=1.5), ValueError, "between 0 and 1"),
        (lambda: F.packed_attention(ONES, 2), ValueError, "5 in all"),
        (lambda: F.packed_attention(ONES[:, :, :4], 2), ValueError, "4 in all"),
        (lambda: F.packed_attention(ONES[0], 1), ValueError, r"got shape \(3, 5, 8\)"),
        (
            lambda: F.scaled_dot_product_attention(ONES, ONES[:, :1], ONES[:, :1]),
            ValueError,
            "enable_gqa=True",
        ),
        (
            lambda: F.scaled_dot_product_attention(ONES, ONES[0], ONES[0]),
            ValueError,
            "as many axes",
        ),
        (
            lambda: F.scaled_dot_product_attention(
                ONES, ONES, ONES, minilm.ones(5, 5) > 0, is_causal=True
            ),
            ValueError,
            "exclude one another",
        ),
        (
            lambda: F.scaled_dot_product_attention(ONES, ONES, ONES, minilm.ones(4, 5) > 0),
            ValueError,
            r"\(4, 5\) does not broadcast .* \(2, 3, 5, 5\)",
        ),
        (
            lambda: F.scaled_dot_product_attention(ONES, ONES, ONES, minilm.ones(5, 5).long()),
            TypeError,
            "int64, expected booleans",
        ),
        (
            lambda: F.scaled_dot_product_attention(
                ONES, ONES[:, :2], ONES[:, :2], minilm.ones(5, 5), enable_gqa=True
            ),
            ValueError,
            "2 heads of key and value do not divide the 3",
        ),
    ],
)
def test_what_attention_refuses(act, error, words) -> None:
    with pytest.raises(error, match=words):
        act()


@pytest.mark.parametrize(
    ("settings", "inputs", "words"),
    [
        ({"packed_kv_heads": -1}, None, "packed_kv_heads: expected 0 or more"),
        ({"key_time": -1}, None, "key_time: expected 0 or more"),
        ({"key_time": 1, "packed_kv_heads": 1}, None, "and 0 where packed_kv_heads is set"),
        ({"dropout": 2.0}, None, "dropout: expected a probability"),
        ({}, (ONES, None, None), "expected both, or packed_kv_heads"),
        ({"packed_kv_heads": 1}, (ONES, ONES, ONES), "expected none, since query holds them"),
        ({}, (ONES[0], ONES, ONES), r"\(batch, heads, time, size\), got \(3, 5, 8\)"),
    ],
)
def test_what_the_layer_itself_refuses(settings, inputs, words) -> None:
    with pytest.raises(ValueError, match=words):
        layer = _core.Layer("attention", scale=1.0, **settings)
        layer.forward(tuple(None if x is None else x.numpy() for x in inputs), ())
