"""Operations: values against NumPy, gradients against finite differences, PyTorch's semantics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import minilm
from minilm import Tensor

STEP = 1e-6
TOLERANCE = 1e-6  # of the largest gradient


class Case(NamedTuple):
    """An operation on random operands of these shapes, and what NumPy makes of them."""

    name: str
    shapes: list[tuple[int, ...]]
    ours: Callable
    theirs: Callable
    low: float = -2.0  # operands are drawn from here
    high: float = 2.0


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


MASK = np.array([[True, False, False], [False, True, True]])
ROWS = np.array([[1, 0, 1], [0, 0, 1]])
PICKED = np.array([2, 0, 2])

CASES = [
    # arithmetic, with broadcasting
    Case("add", [(2, 3), (3,)], lambda a, b: a + b, np.add),
    Case("add_number", [(2, 3)], lambda a: 1.5 + a, lambda a: a + 1.5),
    Case("sub", [(2, 3), (2, 1)], lambda a, b: a - b, np.subtract),
    Case("sub_from_number", [(2, 3)], lambda a: 1.5 - a, lambda a: 1.5 - a),
    Case("mul", [(2, 1, 3), (4, 1)], lambda a, b: a * b, np.multiply),
    Case("mul_itself", [(2, 3)], lambda a: a * a, np.square),
    Case("div", [(2, 3), (3,)], lambda a, b: a / b, np.divide, 0.5),
    Case("div_into_number", [(3,)], lambda a: 2 / a, lambda a: 2 / a, 0.5),
    Case("pow", [(2, 3), (3,)], lambda a, b: a**b, np.power, 0.5),
    Case("pow_number", [(2, 3)], lambda a: a**3, lambda a: a**3),
    Case("pow_zero", [(2, 3)], lambda a: a**0, lambda a: a**0),
    Case("number_pow", [(2, 3)], lambda a: 2.0**a, lambda a: 2.0**a),
    Case("neg", [(2, 3)], lambda a: -a, np.negative),
    Case("maximum", [(2, 3), (3,)], minilm.maximum, np.maximum),
    Case("minimum", [(2, 3), (3,)], minilm.minimum, np.minimum),
    # functions
    Case("exp", [(2, 3)], minilm.exp, np.exp),
    Case("log", [(2, 3)], minilm.log, np.log, 0.5),
    Case("sqrt", [(2, 3)], minilm.sqrt, np.sqrt, 0.5),
    Case("sin", [(2, 3)], minilm.sin, np.sin),
    Case("cos", [(2, 3)], minilm.cos, np.cos),
    Case("tanh", [(2, 3)], minilm.tanh, np.tanh),
    Case("sigmoid", [(2, 3)], minilm.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    Case("relu", [(2, 3)], minilm.relu, lambda x: np.maximum(x, 0)),
    Case("abs", [(2, 3)], abs, np.abs),
    Case("clamp", [(3, 4)], lambda x: x.clamp(-1, 1), lambda x: np.clip(x, -1, 1)),
    Case("clamp_min", [(3, 4)], lambda x: x.clamp(min=0), lambda x: np.maximum(x, 0)),
    # choices
    Case(
        "where",
        [(2, 3), (3,)],
        lambda a, b: minilm.where(MASK, a, b),
        lambda a, b: np.where(MASK, a, b),
    ),
    Case(
        "masked_fill",
        [(4, 2, 3)],
        lambda a: a.masked_fill(MASK, 7.0),
        lambda a: np.where(MASK, 7.0, a),
    ),
    Case("cast", [(2, 3)], lambda a: a.to(minilm.float64).clone(), np.copy),
    # products
    Case("matmul", [(2, 3), (3, 4)], lambda a, b: a @ b, np.matmul),
    Case("matmul_batched", [(5, 2, 3), (3, 4)], lambda a, b: a @ b, np.matmul),
    Case("matmul_broadcast", [(5, 1, 2, 3), (4, 3, 2)], lambda a, b: a @ b, np.matmul),
    Case("matmul_vectors", [(3,), (3,)], lambda a, b: a @ b, np.matmul),
    Case("matmul_matrix_vector", [(2, 3), (3,)], lambda a, b: a @ b, np.matmul),
    Case("matmul_vector_matrix", [(3,), (3, 2)], lambda a, b: a @ b, np.matmul),
    Case("matmul_batch_vector", [(4, 2, 3), (3,)], lambda a, b: a @ b, np.matmul),
    Case("matmul_vector_batch", [(3,), (4, 3, 2)], lambda a, b: a @ b, np.matmul),
    Case("bmm", [(4, 2, 3), (4, 3, 5)], minilm.bmm, np.matmul),
    Case("mm", [(2, 3), (3, 5)], minilm.mm, np.matmul),
    Case("outer", [(2,), (3,)], minilm.outer, np.outer),
    # reductions
    Case("sum", [(2, 3)], lambda a: a.sum(), np.sum),
    Case("sum_axes", [(2, 3, 4)], lambda a: a.sum((0, 2)), lambda a: a.sum((0, 2))),
    Case("sum_keepdim", [(2, 3)], lambda a: a.sum(-1, True), lambda a: a.sum(-1, keepdims=True)),
    Case("mean", [(2, 3)], lambda a: a.mean(), np.mean),
    Case("mean_axis", [(2, 3)], lambda a: a.mean(dim=0), lambda a: a.mean(0)),
    Case("var", [(2, 3)], lambda a: a.var(), lambda a: a.var(ddof=1)),
    Case("var_biased", [(4, 3)], lambda a: a.var(0, unbiased=False), lambda a: a.var(0)),
    Case("var_correction", [(4, 3)], lambda a: a.var(0, correction=2), lambda a: a.var(0, ddof=2)),
    Case(
        "std",
        [(4, 3)],
        lambda a: a.std(-1, keepdim=True),
        lambda a: a.std(-1, ddof=1, keepdims=True),
    ),
    Case("norm", [(2, 3)], minilm.norm, np.linalg.norm),
    Case("max", [(2, 3)], minilm.max, np.max),
    Case("min", [(2, 3)], minilm.min, np.min),
    Case("max_axis", [(2, 3)], lambda a: a.max(1).values, lambda a: a.max(1)),
    Case("min_keepdim", [(2, 3)], lambda a: a.min(0, True)[0], lambda a: a.min(0, keepdims=True)),
    Case("amax", [(2, 3, 4)], lambda a: a.amax((0, 1)), lambda a: a.max((0, 1))),
    Case("amin", [(2, 3, 4)], lambda a: a.amin(-1, True), lambda a: a.min(-1, keepdims=True)),
    Case("sort", [(3, 5)], lambda a: a.sort().values, lambda a: np.sort(a, -1)),
    Case(
        "sort_down",
        [(3, 5)],
        lambda a: minilm.sort(a, 0, descending=True)[0],
        lambda a: -np.sort(-a, 0),
    ),
    Case("topk", [(3, 5)], lambda a: a.topk(2)[0], lambda a: -np.sort(-a, -1)[:, :2]),
    Case("cumsum", [(2, 4)], lambda a: a.cumsum(1), lambda a: a.cumsum(1)),
    Case("softmax", [(2, 3, 4)], lambda a: a.softmax(1), lambda a: softmax(a, 1)),
    Case("log_softmax", [(2, 5)], lambda a: a.log_softmax(-1), lambda a: np.log(softmax(a, -1))),
    # shapes
    Case("permute", [(2, 3, 4)], lambda a: a.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    Case("transpose", [(2, 3, 4)], lambda a: a.transpose(0, -1), lambda a: a.swapaxes(0, -1)),
    Case("t", [(2, 3)], lambda a: a.T, np.transpose),
    Case("reshape", [(2, 6)], lambda a: a.reshape(3, -1), lambda a: a.reshape(3, 4)),
    Case("view", [(2, 6)], lambda a: a.view((4, 3)), lambda a: a.reshape(4, 3)),
    Case("flatten", [(2, 3, 4)], lambda a: a.flatten(1), lambda a: a.reshape(2, 12)),
    Case("squeeze", [(1, 3, 1)], lambda a: a.squeeze(), np.squeeze),
    Case("squeeze_axis", [(1, 3, 1)], lambda a: a.squeeze(0), lambda a: a[0]),
    Case("unsqueeze", [(2, 3)], lambda a: a.unsqueeze(-1), lambda a: a[..., None]),
    Case(
        "expand",
        [(3, 1)],
        lambda a: a.expand(2, -1, 4),
        lambda a: np.broadcast_to(a, (2, 3, 4)),
    ),
    Case("repeat", [(2, 3)], lambda a: a.repeat(2, 1, 3), lambda a: np.tile(a, (2, 1, 3))),
    Case("flip", [(2, 3)], lambda a: a.flip(0, 1), lambda a: np.flip(a, (0, 1))),
    Case("tril", [(3, 3)], minilm.tril, np.tril),
    Case("triu", [(2, 3, 4)], lambda a: a.triu(1), lambda a: np.triu(a, 1)),
    Case(
        "cat",
        [(2, 3), (2, 1), (2, 2)],
        lambda *xs: minilm.cat(xs, dim=1),
        lambda *xs: np.concatenate(xs, 1),
    ),
    Case(
        "stack",
        [(2, 3), (2, 3)],
        lambda *xs: minilm.stack(xs, -1),
        lambda *xs: np.stack(xs, -1),
    ),
    Case("split", [(2, 5)], lambda a: a.split(2, 1)[1], lambda a: a[:, 2:4]),
    Case("split_lengths", [(2, 5)], lambda a: a.split([1, 4], 1)[1], lambda a: a[:, 1:]),
    Case("chunk", [(5, 2)], lambda a: a.chunk(2)[0] * a.chunk(2)[0], lambda a: a[:3] ** 2),
    Case("unbind", [(2, 3)], lambda a: a.unbind(1)[2], lambda a: a[:, 2]),
    # picking
    Case("index", [(3, 4)], lambda a: a[1], lambda a: a[1]),
    Case("index_element", [(3, 4)], lambda a: a[1, -1], lambda a: a[1, -1]),
    Case("index_slices", [(3, 4)], lambda a: a[1:, ::2], lambda a: a[1:, ::2]),
    Case("index_new_axis", [(3, 4)], lambda a: a[..., None, :2], lambda a: a[..., None, :2]),
    Case("index_repeated", [(3, 4)], lambda a: a[PICKED], lambda a: a[PICKED]),
    Case(
        "index_pairs",
        [(3, 4)],
        lambda a: a[minilm.arange(3), minilm.tensor(PICKED)],
        lambda a: a[np.arange(3), PICKED],
    ),
    Case("index_mask", [(2, 3)], lambda a: a[minilm.tensor(MASK)], lambda a: a[MASK]),
    Case(
        "gather",
        [(2, 3)],
        lambda a: a.gather(1, minilm.tensor(ROWS)),
        lambda a: np.take_along_axis(a, ROWS, 1),
    ),
    Case(
        "index_select",
        [(2, 3)],
        lambda a: minilm.index_select(a, -1, minilm.tensor([2, 0, 2])),
        lambda a: a[:, [2, 0, 2]],
    ),
    Case(
        "scatter",
        [(2, 3), (2, 2)],
        lambda a, b: a.scatter(1, minilm.tensor([[2, 0], [1, 2]]), b),
        lambda a, b: np.array([[b[0, 1], a[0, 1], b[0, 0]], [a[1, 0], b[1, 0], b[1, 1]]]),
    ),
    Case(
        "scatter_number",
        [(2, 3)],
        lambda a: minilm.scatter(a, 0, minilm.tensor([[1, 0, 1]]), 7.0),
        lambda a: np.array([[a[0, 0], 7, a[0, 2]], [7, a[1, 1], 7]]),
    ),
]


def operands_of(case: Case) -> list[np.ndarray]:
    random = np.random.default_rng(sum(map(ord, case.name)))
    return [random.uniform(case.low, case.high, shape) for shape in case.shapes]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values(case: Case) -> None:
    arrays = operands_of(case)
    result = case.ours(*map(Tensor, arrays))
    np.testing.assert_allclose(result.numpy(), case.theirs(*arrays), rtol=1e-12, atol=1e-12)
    assert result.shape == np.shape(case.theirs(*arrays))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradients(case: Case) -> None:
    arrays = operands_of(case)
    tensors = [Tensor(array.copy(), requires_grad=True) for array in arrays]
    result = case.ours(*tensors)
    weights = np.random.default_rng(0).normal(size=result.shape)
    result.backward(weights)
    for number, (array, tensor) in enumerate(zip(arrays, tensors, strict=True)):
        expected = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            sides = []
            for step in (STEP, -STEP):
                moved = [other.copy() for other in arrays]
                moved[number][place] += step
                sides.append((weights * case.theirs(*moved)).sum())
            expected[place] = (sides[0] - sides[1]) / (2 * STEP)
        got = tensor.grad.numpy()
        scale = max(np.abs(expected).max(), 1.0)
        assert got.shape == array.shape and got.dtype == array.dtype
        assert np.abs(got - expected).max() <= TOLERANCE * scale


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operands_are_left_alone(case: Case) -> None:
    arrays = operands_of(case)
    tensors = [Tensor(array.copy(), requires_grad=True) for array in arrays]
    case.ours(*tensors).sum().backward()
    for array, tensor in zip(arrays, tensors, strict=True):
        assert np.array_equal(tensor.detach().numpy(), array)


# --- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "dtype"),
    [
        (lambda: minilm.ones(2) + minilm.arange(2), "float32"),
        (lambda: minilm.ones(2) * 1.5, "float32"),
        (lambda: minilm.arange(2) * 1.5, "float32"),
        (lambda: 1.5 - minilm.arange(2), "float32"),
        (lambda: minilm.arange(2) * 2, "int64"),
        (lambda: minilm.arange(1, 3) / minilm.arange(1, 3), "float32"),
        (lambda: minilm.arange(2) / 2, "float32"),
        (lambda: minilm.ones(2) * np.ones(2), "float64"),
        (lambda: minilm.ones(2) * np.float64(2), "float32"),
        (lambda: minilm.ones(2) * minilm.tensor(2.0, dtype=minilm.float64), "float32"),
        (lambda: minilm.tensor([True]) + 1, "int64"),
        (lambda: minilm.tensor([True, True]).sum(), "int64"),
        (lambda: minilm.arange(3).exp(), "float32"),
        (lambda: minilm.arange(3).softmax(0), "float32"),
        (lambda: minilm.ones(2) > 0, "bool"),
        (lambda: minilm.where(np.array([True]), 1.0, minilm.zeros(1)), "float32"),
        (lambda: minilm.ones(3).argmax(), "int64"),
    ],
)
def test_dtypes_are_pytorchs(result: Callable, dtype: str) -> None:
    assert result().dtype == dtype


def test_gradients_have_the_dtype_of_their_operand() -> None:
    x = minilm.ones(2, requires_grad=True)
    (x * minilm.ones(2, dtype=minilm.float64)).sum().backward()
    assert x.grad.dtype == "float32"


# --- semantics ------------------------------------------------------------------------------------


def test_numpy_arrays_and_scalars_are_operands() -> None:
    x = minilm.ones(2, requires_grad=True)
    for result in (np.ones(2, np.float32) * x, np.float32(1) * x, minilm.exp(np.ones(2))):
        assert isinstance(result, Tensor)
    assert minilm.cat([np.ones((1, 2)), minilm.ones(1, 2)]).shape == (2, 2)


def test_positions_of_extremes() -> None:
    x = minilm.tensor([[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]])
    values, indices = x.max(1)
    assert values.tolist() == [5.0, 7.0] and indices.tolist() == [1, 0]
    assert x.argmin().item() == 4
    assert x.argmax(0, keepdim=True).shape == (1, 3)
    assert x.topk(2).indices.tolist() == [[1, 2], [0, 2]]


def test_sorting_leaves_equals_in_their_order() -> None:
    x = minilm.tensor([3, 1, 3, 1, 2])
    assert x.sort().values.tolist() == [1, 1, 2, 3, 3]
    assert x.argsort().tolist() == [1, 3, 4, 0, 2]
    assert minilm.argsort(x, descending=True).tolist() == [0, 2, 4, 1, 3]
    assert minilm.sort(x, descending=True).indices.tolist() == [0, 2, 4, 1, 3]


def test_nucleus_sampling_as_it_is_usually_written() -> None:
    logits = minilm.tensor([[1.0, 3.0, 2.0, 0.0]])
    ordered, places = minilm.sort(logits, descending=True)
    remove = ordered.softmax(-1).cumsum(-1) > 0.8
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = False
    kept = logits.masked_fill(remove.scatter(1, places, remove), -minilm.inf)
    assert kept.tolist() == [[-math.inf, 3, 2, -math.inf]]


def test_equal_extremes_share_the_gradient() -> None:
    x = minilm.tensor([1.0, 3.0, 3.0], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]


def test_softmax_of_large_scores() -> None:
    x = minilm.tensor([1e4, 0.0, -1e4])
    assert x.softmax(0).tolist() == [1.0, 0.0, 0.0]
    assert x.log_softmax(0).tolist() == [0.0, -1e4, -2e4]
    assert minilm.tensor([-1000.0, 1000.0]).sigmoid().tolist() == [0.0, 1.0]


def test_masked_softmax_has_no_gradient_where_masked() -> None:
    scores = minilm.zeros(2, 2, requires_grad=True)
    mask = minilm.tensor([[False, True], [False, False]])
    weights = scores.masked_fill(mask, float("-inf")).softmax(-1)
    assert weights.tolist() == [[1.0, 0.0], [0.5, 0.5]]
    weights[1, 0].backward()
    assert scores.grad.tolist() == [[0.0, 0.0], [0.25, -0.25]]


def test_comparisons() -> None:
    x = minilm.tensor([1.0, 2.0, 3.0])
    assert (x > 1).tolist() == [False, True, True]
    assert ((x >= 2) & (x != 3)).tolist() == [False, True, False]
    assert (~(x < 2) | (x == 1)).all()
    assert x.equal(x.clone()) and not x.equal(x + 1)
    assert x.allclose(x + 1e-9)
    assert (x == None) is False  # noqa: E711
    assert 2 in x and 5 not in x


def test_whole_number_division() -> None:
    x = minilm.tensor([7, -7])
    assert (x // 2).tolist() == [3, -4] and (x % 4).tolist() == [3, 1] and (9 // x)[0] == 1
    with pytest.raises(RuntimeError, match="no gradient"):
        minilm.ones(1, requires_grad=True) // 2


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: minilm.ones(2, 3) + minilm.ones(4), ValueError, r"add.*\(2, 3\).*\(4,\).*unsqu"),
        (lambda: minilm.ones(2, 3) @ minilm.ones(2, 3), ValueError, "last axis.*transpose"),
        (lambda: minilm.ones(2, 2, 3) @ minilm.ones(3, 3, 1), ValueError, "leading"),
        (lambda: minilm.ones(2, 3).bmm(minilm.ones(3, 1)), ValueError, "3 axes"),
        (lambda: minilm.ones(2, 3, 1).bmm(minilm.ones(3, 1, 2)), ValueError, "batches"),
        (lambda: minilm.ones(4).reshape(3), ValueError, r"\(3,\).*4 elements"),
        (lambda: minilm.ones(2, 3).T.view(6), RuntimeError, "reshape"),
        (lambda: minilm.ones(2, 3).transpose(0, 2), IndexError, r"\(2, 3\).*no axis 2"),
        (lambda: minilm.ones(2, 3).permute(0, 0), ValueError, "once"),
        (lambda: minilm.ones(2, 3).expand(4, 3), ValueError, "length 1"),
        (lambda: minilm.ones(2, 3).unsqueeze(4), IndexError, "unsqueeze"),
        (lambda: minilm.ones(5).split([1, 2]), ValueError, "add up to 5"),
        (lambda: minilm.ones(5).split(0), ValueError, "positive"),
        (lambda: minilm.cat([]), ValueError, "at least one"),
        (lambda: minilm.stack([]), ValueError, "at least one"),
        (lambda: minilm.cat([minilm.ones(2, 3), minilm.ones(3, 2)]), ValueError, "except along"),
        (lambda: minilm.stack([minilm.ones(2), minilm.ones(3)]), ValueError, "padded"),
        (lambda: minilm.ones(3).gather(0, minilm.tensor([3])), IndexError, "0 to 2"),
        (lambda: minilm.ones(3).gather(0, minilm.ones(1)), TypeError, "long"),
        (lambda: minilm.ones(3, 2).gather(0, minilm.tensor([0])), ValueError, "unsqueeze"),
        (lambda: minilm.ones(3).scatter(0, minilm.tensor([3]), 1), IndexError, "0 to 2"),
        (
            lambda: minilm.ones(3).scatter(0, minilm.tensor([1]), minilm.ones(2)),
            ValueError,
            r"src of shape \(2,\) must have the shape of index, \(1,\)",
        ),
        (lambda: minilm.ones(3)[5], IndexError, None),
        (lambda: minilm.ones(3).masked_fill(minilm.ones(3), 0), TypeError, "boolean"),
        (lambda: minilm.where(minilm.ones(3), 1.0, 0.0), TypeError, "boolean"),
        (lambda: minilm.arange(3).mean(), RuntimeError, "float"),
        (lambda: minilm.ones(3).clamp(), ValueError, "at least one"),
        (lambda: minilm.ones(3).topk(4), ValueError, "0 to 3"),
        (lambda: minilm.ones(3) + "a", TypeError, None),
        (lambda: minilm.tensor([True]) - minilm.tensor([True]), TypeError, "boolean"),
        (lambda: minilm.ones(1, 2, 3).t(), ValueError, "transpose"),
    ],
)
def test_errors_say_what_is_wrong(act: Callable, error: type, words: str | None) -> None:
    with pytest.raises(error, match=words):
        act()
