"""LockedDropout and EmbeddingDropout; plain dropout is in test_nn_functional.py and the cases."""

from __future__ import annotations

import numpy as np
import pytest
from reference.slow.layers import inverted
from reference.slow.philox import dropout_mask

import minilm
from minilm import nn

SEED, P = 7, 0.4
B, T, F, V = 3, 5, 6, 9


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def factor(call: int, shape: tuple[int, ...]) -> np.ndarray:
    """What the call-th call of dropout multiplies with, by the twin."""
    return inverted(dropout_mask(SEED, call, 0, shape, P), P).astype(np.float32)


# --- the same features at every time step ---------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("batch_first", [False, True])
def test_one_mask_for_all_time_steps(batch_first) -> None:
    layer = nn.LockedDropout(P, batch_first)
    values = numbers(B, T, F) if batch_first else numbers(T, B, F)
    minilm.manual_seed(SEED)
    for call in range(2):
        x = minilm.tensor(values, requires_grad=True)
        mask = factor(call, (B, F))
        mask = mask[:, None] if batch_first else mask[None]
        y = layer(x)
        np.testing.assert_array_equal(y.detach().numpy(), values * mask)
        grad = numbers(*values.shape)[::-1].copy()
        y.backward(minilm.tensor(grad))
        np.testing.assert_array_equal(x.grad.numpy(), grad * mask)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_sequence_without_batch(batch_first) -> None:
    minilm.manual_seed(SEED)
    y = nn.LockedDropout(P, batch_first)(numbers(T, F))
    np.testing.assert_array_equal(y.numpy(), numbers(T, F) * factor(0, (F,)))


def test_locked_dropout_keeps_the_mean() -> None:
    y = nn.LockedDropout(0.3)(np.ones((1, 100, 1000), np.float32)).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(y.mean() - 1) < 0.01


def test_other_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(batch, time, features\).*got 1 axes: shape \(3,\)"):
        nn.LockedDropout(batch_first=True)(np.ones(3, np.float32))
    with pytest.raises(TypeError, match="LockedDropout: input is int64.*nn.Embedding"):
        nn.LockedDropout()(np.ones((2, 3), np.int64))


# --- whole words ----------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("shape", [(2, 3), (4, 5)], ids=["fewer-ids-than-rows", "more"])
def test_it_equals_masking_the_table(shape) -> None:
    layer = nn.EmbeddingDropout(nn.Embedding(V, F), P)
    ids = np.random.default_rng(1).integers(0, V, shape)
    table, grad = layer.module.weight.detach().numpy(), numbers(*shape, F)
    minilm.manual_seed(SEED)
    y = layer(ids)
    mask = factor(0, (V, 1))
    np.testing.assert_array_equal(y.detach().numpy(), (table * mask)[ids])
    y.backward(minilm.tensor(grad))
    expected = np.zeros_like(table)
    np.add.at(expected, ids, grad * mask[ids])
    np.testing.assert_allclose(layer.module.weight.grad.numpy(), expected, atol=1e-6)
    assert 0 < (mask == 0).sum() < V


def test_all_occurrences_of_a_word_share_its_fate() -> None:
    minilm.manual_seed(0)
    layer = nn.EmbeddingDropout(nn.Embedding(2, 50), 0.5)
    y = layer(np.array([[0, 1] * 20] * 3)).detach().numpy()
    for word in (0, 1):
        assert len({row.tobytes() for row in y[:, word::2].reshape(-1, 50)}) == 1


def test_only_an_embedding_is_taken() -> None:
    with pytest.raises(TypeError, match="expected an nn.Embedding, got Linear"):
        nn.EmbeddingDropout(nn.Linear(2, 3), 0.1)


# --- both -----------------------------------------------------------------------------------------


def test_nothing_happens_in_evaluation_nor_without_probability() -> None:
    x, ids = minilm.randn(T, B, F), np.arange(V)
    table = nn.Embedding(V, F)
    state = minilm.get_rng_state()
    for mode, p in ((False, P), (True, 0.0)):
        assert nn.LockedDropout(p).train(mode)(x) is x
        assert nn.EmbeddingDropout(table, p).train(mode)(ids).equal(table(ids))
    assert minilm.get_rng_state().equal(state)  # no key was used up


def test_masks_go_on_from_a_saved_state() -> None:
    locked, words = nn.LockedDropout(P), nn.EmbeddingDropout(nn.Embedding(V, F), P)
    x, ids = minilm.ones(T, B, F), np.arange(V)
    minilm.manual_seed(SEED)
    locked(x)
    state = minilm.get_rng_state()
    first = locked(x), words(ids)
    minilm.set_rng_state(state)
    assert locked(x).equal(first[0]) and words(ids).equal(first[1])
    assert not locked(x).equal(first[0])


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_probabilities(p) -> None:
    with pytest.raises(ValueError, match="LockedDropout: dropout probability"):
        nn.LockedDropout(p)
    with pytest.raises(ValueError, match="EmbeddingDropout: dropout probability"):
        nn.EmbeddingDropout(nn.Embedding(V, F), p)


def test_repr() -> None:
    assert repr(nn.LockedDropout(0.5, True)) == "LockedDropout(p=0.5, batch_first=True)"
    assert "p=0.1" in repr(nn.EmbeddingDropout(nn.Embedding(V, F), 0.1))
