"""Making tensors: dtypes, shapes and refusals as in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import minilm


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, "int64"),
        (1.5, "float32"),
        (True, "bool"),
        ([1, 2], "int64"),
        ([[1, 2.0]], "float32"),
        ([], "float32"),
        ([True, False], "bool"),
        (np.ones(2), "float64"),
        (np.float64(1), "float64"),
        ([np.float64(1)], "float64"),
        (np.ones(2, np.int32), "int32"),
        ([np.float32(1)], "float32"),
        (range(3), "int64"),
        (minilm.tensor([1.0]), "float32"),
    ],
)
def test_dtype_follows_from_the_data(data, dtype) -> None:
    assert minilm.tensor(data).dtype == dtype


def test_tensor_copies() -> None:
    array = np.zeros(2)
    x, shared = minilm.tensor(array), minilm.from_numpy(array)
    array[0] = 1
    assert x.tolist() == [0, 0] and shared.tolist() == [1, 0]
    leaf = minilm.ones(2, requires_grad=True)
    assert not minilm.tensor(leaf).requires_grad


def test_tensor_of_scalar_tensors() -> None:
    assert minilm.tensor([minilm.tensor(1.0), minilm.tensor(2.0)]).tolist() == [1.0, 2.0]


def test_dtype_can_be_given() -> None:
    assert minilm.tensor([1, 2], dtype=minilm.float32).dtype == "float32"
    assert minilm.tensor([1.5], dtype=minilm.long).tolist() == [1]
    assert minilm.tensor([1.0], requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: minilm.tensor([[1, 2], [3]]), ValueError, "rows differ in length"),
        (lambda: minilm.tensor("text"), TypeError, "words must be turned into ids"),
        (lambda: minilm.tensor([None]), TypeError, "numbers"),
        (lambda: minilm.from_numpy([1]), TypeError, "NumPy array"),
        (lambda: minilm.arange(3, 1), ValueError, "from 3 to 1"),
        (lambda: minilm.arange(0, 1, 0), ValueError, "step"),
        (lambda: minilm.randint(3, 3, (2,)), ValueError, "low < high"),
        (lambda: minilm.randint(3, 4), TypeError, "size"),
        (lambda: minilm.zeros(2.5), TypeError, None),
        (lambda: minilm.zeros(-1), ValueError, None),
    ],
)
def test_refusals(act, error, words) -> None:
    with pytest.raises(error, match=words):
        act()


def test_filled() -> None:
    assert minilm.zeros(2, 3).shape == minilm.zeros((2, 3)).shape == minilm.zeros([2, 3]).shape
    assert minilm.zeros(()).shape == minilm.ones().shape == ()
    assert minilm.ones(2).tolist() == [1.0, 1.0] and minilm.empty(2, 2).shape == (2, 2)
    assert minilm.full((2,), 7).dtype == "int64" and minilm.full((2,), 7.0).dtype == "float32"
    like = minilm.tensor([[1, 2]])
    for made, value in ((minilm.zeros_like(like), 0), (minilm.ones_like(like), 1)):
        assert made.tolist() == [[value, value]] and made.dtype == "int64"
    assert minilm.full_like(like, 2.5, dtype=minilm.float32).tolist() == [[2.5, 2.5]]
    assert minilm.eye(2, 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_counting() -> None:
    assert minilm.arange(3).tolist() == [0, 1, 2] and minilm.arange(3).dtype == "int64"
    assert minilm.arange(1, 2, 0.5).tolist() == [1.0, 1.5]
    assert minilm.arange(1.0).dtype == "float32"
    assert minilm.arange(3, 0, -1).tolist() == [3, 2, 1]
    assert minilm.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]


def test_random_draws_follow_the_seed() -> None:
    def draw() -> list:
        minilm.manual_seed(3)
        return [
            minilm.rand(2, 3),
            minilm.randn(4),
            minilm.randint(0, 10, (5,)),
            minilm.randint(10, (5,)),
            minilm.randperm(6),
            minilm.rand_like(minilm.zeros(2)),
            minilm.randn_like(minilm.zeros(2)),
        ]

    first, second = draw(), draw()
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))
    assert [tensor.dtype.name for tensor in first[:5]] == ["float32"] * 2 + ["int64"] * 3
    assert sorted(first[4].tolist()) == list(range(6))


def test_distributions() -> None:
    minilm.manual_seed(0)
    uniform, normal = minilm.rand(20_000), minilm.randn(20_000)
    assert 0 <= uniform.min() and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.01
    assert abs(normal.mean()) < 0.03 and abs(normal.std() - 1) < 0.03
    assert set(minilm.randint(2, 5, (1000,)).tolist()) == {2, 3, 4}


@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial_follows_the_weights(replacement: bool) -> None:
    minilm.manual_seed(0)
    weights = minilm.tensor([1.0, 0.0, 2.0, 5.0])
    rows = weights.unsqueeze(0).repeat(20_000, 1)
    drawn = minilm.multinomial(rows, 1, replacement)
    counts = np.bincount(drawn.numpy().ravel(), minlength=4) / 20_000
    assert np.abs(counts - np.array([1, 0, 2, 5]) / 8).max() < 0.02


def test_multinomial_shapes_and_refusals() -> None:
    weights = minilm.tensor([1.0, 0.0, 2.0])
    assert sorted(minilm.multinomial(weights, 2).tolist()) == [0, 2]
    assert minilm.multinomial(weights, 5, replacement=True).shape == (5,)
    for wrong, words in (
        ([-1.0, 2.0], "negative"),
        ([0.0, 0.0], "not all zero"),
        ([float("nan"), 1.0], "finite"),
        ([1.0, 0.0], "different positions"),
        ([[[1.0]]], "axes"),
    ):
        with pytest.raises(ValueError, match=words):
            minilm.multinomial(minilm.tensor(wrong), 2)
