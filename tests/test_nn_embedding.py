"""Gradients of a table of embeddings that has one already."""

import numpy as np
import pytest

import minilm
import minilm.nn.functional as F
from minilm import _core


@pytest.mark.parametrize("width", [3, 300])
def test_rows_are_added_to_a_gradient_that_is_there(width):
    """In place, each row once: with the bits of a sum, whichever of its terms came first."""
    table = minilm.randn(50, width).requires_grad_()
    ids, other = np.array([[3, 7, 3], [49, 3, 7]]), minilm.randn(50, width)
    given = minilm.randn(2, 3, width)

    def from_table():
        return (F.embedding(ids, table) * given).sum()

    def from_elsewhere():
        return (table * other).sum()

    found = []
    for losses in ([from_table, from_elsewhere], [from_elsewhere, from_table]):
        table.grad = None
        losses[0]().backward()
        array = table.grad.numpy()
        losses[1]().backward()
        assert table.grad.numpy() is array or np.shares_memory(table.grad.numpy(), array)
        found.append(table.grad.numpy().tobytes())
    assert found[0] == found[1]
    expected = other.numpy().astype(np.float64)
    np.add.at(expected, ids, given.numpy().astype(np.float64))
    np.testing.assert_allclose(table.grad.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_gradient_that_cannot_be_added_to_as_it_lies():
    table = minilm.zeros(5, 4).requires_grad_()
    table.grad = minilm.tensor(np.ones((4, 5), np.float32).T)
    F.embedding(np.array([1, 1]), table).sum().backward()
    np.testing.assert_array_equal(table.grad.numpy()[:, 0], [1, 3, 1, 1, 1])
    table.requires_grad_(False)
    assert F.embedding(np.array([1]), table).grad_fn is None


def test_no_second_table_is_made():
    table = minilm.zeros(10_000, 8).requires_grad_()
    for _ in range(2):
        _core.empty_cache()
        before = _core.buffer_stats()["used"]
        F.embedding(np.array([1, 2]), table).sum().backward()
        after = _core.buffer_stats()
        taken = after["used"] + after["kept"] - before
    assert taken < table.numel() * 4
