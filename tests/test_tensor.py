"""Tensor: attributes, conversions, printing, writing in place."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import minilm
from minilm import Tensor


def leaf(*values: float) -> Tensor:
    return minilm.tensor(list(values), requires_grad=True)


# --- attributes -----------------------------------------------------------------------------------


def test_sizes() -> None:
    x = minilm.zeros(2, 3)
    assert x.shape == x.size() == (2, 3) and x.size(-1) == 3
    assert x.dim() == x.ndim == 2 and x.numel() == 6 and len(x) == 2 and x.element_size() == 4


def test_memory_is_shared_with_numpy() -> None:
    array = np.zeros(2, np.float32)
    x = Tensor(array)
    x.numpy()[0] = 1
    assert array[0] == 1
    assert np.asarray(x) is not None and np.shares_memory(np.asarray(x), array)
    assert np.array(x, dtype=np.float64).dtype == np.float64


def test_numpy_refuses_what_requires_gradients() -> None:
    with pytest.raises(RuntimeError, match=r"detach\(\).numpy\(\)"):
        leaf(1.0).numpy()
    with pytest.raises(RuntimeError):
        np.asarray(leaf(1.0))


def test_detach_and_data_share_memory_and_leave_the_tape() -> None:
    x = leaf(1.0, 2.0)
    for other in (x.detach(), x.data):
        assert not other.requires_grad and np.shares_memory(other.numpy(), x.detach().numpy())
    x.data = minilm.tensor([5.0, 6.0])
    assert x.tolist() == [5.0, 6.0] and x.requires_grad


def test_requires_grad() -> None:
    x = minilm.zeros(2).requires_grad_()
    assert x.requires_grad and x.is_leaf
    with pytest.raises(RuntimeError, match="int64"):
        minilm.zeros(2, dtype=minilm.long).requires_grad_()
    with pytest.raises(RuntimeError, match="leaf"):
        (x * 2).requires_grad = False


def test_hash_is_identity() -> None:
    a, b = minilm.zeros(1), minilm.zeros(1)
    assert len({a, b, a}) == 2 and {a: 1}[a] == 1


# --- Python numbers -------------------------------------------------------------------------------


def test_scalars() -> None:
    x = minilm.tensor(2.5)
    assert x.item() == float(x) == 2.5 and int(x) == 2 and bool(x)
    assert f"{x:.3f}" == "2.500" and f"{minilm.tensor(3):d}" == "3"
    assert [10, 20, 30][minilm.tensor(1)] == 20
    assert minilm.tensor([[1, 2]]).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda: minilm.ones(2).item(), RuntimeError),
        (lambda: bool(minilm.ones(2)), RuntimeError),
        (lambda: float(minilm.ones(2)), RuntimeError),
        (lambda: len(minilm.tensor(1)), TypeError),
        (lambda: iter(minilm.tensor(1)), TypeError),
        (lambda: [1][minilm.tensor(0.0)], TypeError),
        (lambda: f"{minilm.ones(2):.3f}", TypeError),
        (lambda: minilm.ones(2).to("cuda"), RuntimeError),
    ],
)
def test_what_is_no_number(act, error) -> None:
    with pytest.raises(error):
        act()


def test_iteration_gives_rows_with_gradients() -> None:
    x = minilm.ones(2, 3, requires_grad=True)
    first, second = x
    (first * 2 + second * 3).sum().backward()
    assert x.grad.tolist() == [[2.0] * 3, [3.0] * 3]


def test_conversions() -> None:
    x = minilm.tensor([1.7, 0.0])
    assert x.long().tolist() == [1, 0] and x.bool().tolist() == [True, False]
    assert (
        x.double().dtype == "float64" and x.half().dtype == "float16" and x.int().dtype == "int32"
    )
    assert x.float() is x and x.to("cpu") is x and x.cpu() is x and x.contiguous() is x
    assert x.to(minilm.int64).dtype == x.to("cpu", dtype=minilm.int64).dtype == "int64"
    assert x.type(minilm.bool).dtype == "bool"
    assert x.to(minilm.tensor(1)).dtype == "int64"
    assert x.is_floating_point() and not x.long().is_floating_point()
    transposed = minilm.ones(2, 3).T
    assert not transposed.is_contiguous() and transposed.contiguous().is_contiguous()


# --- printing: what PyTorch prints ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (lambda: minilm.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: minilm.tensor([1.5, 2.0]), "tensor([1.5000, 2.0000])"),
        (lambda: minilm.tensor(3.0), "tensor(3.)"),
        (lambda: minilm.tensor(0.1), "tensor(0.1000)"),
        (lambda: minilm.tensor([1e-9, 1.0]), "tensor([1.0000e-09, 1.0000e+00])"),
        (lambda: minilm.tensor([True, False]), "tensor([ True, False])"),
        (lambda: minilm.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (lambda: minilm.tensor([]), "tensor([])"),
        (lambda: minilm.zeros(2, 0), "tensor([], size=(2, 0))"),
        (lambda: minilm.tensor([1.0], dtype=minilm.float64), "tensor([1.], dtype=float64)"),
        (lambda: minilm.tensor([-1.5, float("inf")]), "tensor([-1.5000,     inf])"),
        (lambda: leaf(1.0), "tensor([1.], requires_grad=True)"),
        (lambda: leaf(1.0) * 2, "tensor([2.], grad_fn=<mul>)"),
    ],
)
def test_repr(tensor, text) -> None:
    assert repr(tensor()) == text


def test_long_tensors_are_abbreviated() -> None:
    assert "..., " in repr(minilm.arange(2000)) and len(repr(minilm.arange(2000))) < 100


# --- copies ---------------------------------------------------------------------------------------


def test_deepcopy_copies_values_and_gradient() -> None:
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.requires_grad and other.tolist() == [1.0, 2.0]
        assert other.grad.tolist() == [3.0, 3.0]
        assert not np.shares_memory(other.detach().numpy(), x.detach().numpy())
    with pytest.raises(RuntimeError, match="leaf"):
        copy.deepcopy(x * 2)


# --- writing in place -----------------------------------------------------------------------------


def test_writing_changes_the_same_memory_and_counts() -> None:
    x = minilm.tensor([1.0, 2.0])
    array, version = x.numpy(), x._version
    x.add_(1).sub_(np.ones(2, np.float32)).mul_(3).div_(2).clamp_(max=2)
    assert array.tolist() == [1.5, 2.0] and x._version == version + 5
    x += 1
    x -= 1
    x *= 2
    x /= 2
    assert x.numpy() is array and x.tolist() == [1.5, 2.0]
    assert x.add_(minilm.ones(2), alpha=2).tolist() == [3.5, 4.0]
    assert x.masked_fill_(x > 3.6, 0).tolist() == [3.5, 0.0]
    assert x.copy_(minilm.tensor([7])).tolist() == [7.0, 7.0]
    assert x.zero_().tolist() == [0.0, 0.0] and x.fill_(2).tolist() == [2.0, 2.0]


def test_views_share_the_count() -> None:
    x = minilm.zeros(2, 3)
    x[0].fill_(1)
    x.T[0, 1] = 5
    x.view(6)[5] = 7
    assert x.tolist() == [[1.0, 1.0, 1.0], [5.0, 0.0, 7.0]] and x._version == 3


def test_random_writing() -> None:
    minilm.manual_seed(0)
    x = minilm.zeros(1000)
    x.uniform_(-1, 1)
    assert x.min() >= -1 and x.max() < 1 and abs(x.mean()) < 0.1
    x.normal_(2, 3)
    assert abs(x.mean() - 2) < 0.4 and abs(x.std() - 3) < 0.4


def test_recorded_writes_have_gradients() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1
    y *= 3
    y += x
    (y * x).sum().backward()  # d 4 x^2
    assert x.grad.tolist() == [8.0, 16.0]


def test_writing_items_has_gradients() -> None:
    x = leaf(1.0, 2.0)
    states = minilm.zeros(3, 2)
    states[0] = x
    for t in (1, 2):
        states[t] = states[t - 1].clone() * x
    (states * minilm.tensor([[1.0], [10.0], [100.0]])).sum().backward()
    # d (x + 10 x^2 + 100 x^3)
    assert x.grad.tolist() == [321.0, 1241.0]


def test_what_is_overwritten_gets_no_gradient() -> None:
    x, value = leaf(1.0, 2.0, 3.0), leaf(5.0)
    y = x * 2
    y[minilm.tensor([False, True, True])] = value
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 0.0] and value.grad.tolist() == [2.0]


def test_filling_cuts_the_tape() -> None:
    x = leaf(1.0)
    y = x * 2
    y.fill_(3)
    assert not (y * 1).requires_grad


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: leaf(1.0).add_(1), RuntimeError, "leaf Variable.*no_grad"),
        (lambda: leaf(1.0).__setitem__(0, 1), RuntimeError, "leaf Variable"),
        (lambda: (leaf(1.0, 2.0) * 2)[0].add_(1), RuntimeError, "view"),
        (lambda: minilm.zeros(2).add_(minilm.zeros(3, 2)), ValueError, r"\(3, 2\).*\(2,\)"),
        (lambda: minilm.arange(2).mul_(0.5), TypeError, "float32.*int64"),
        (lambda: minilm.zeros(2).copy_(minilm.zeros(3)), ValueError, "expand"),
    ],
)
def test_writing_is_refused(act, error, words) -> None:
    with pytest.raises(error, match=words):
        act()


def test_leaves_are_written_outside_the_tape() -> None:
    x = leaf(1.0)
    with minilm.no_grad():
        x += 1
        x[0] = x[0] * 2
    assert x.tolist() == [4.0] and x.requires_grad and x.is_leaf


def test_a_view_from_before_a_recorded_write_is_refused() -> None:
    y = leaf(1.0, 2.0) * 1
    view = y[0]
    y.mul_(3)
    with pytest.raises(RuntimeError, match="take the view again"):
        view * 2


def test_writing_into_a_detached_tensor_is_noticed() -> None:
    x = leaf(1.0, 2.0) * 1
    y = x.exp() * x
    x.detach().zero_()
    with pytest.raises(RuntimeError, match="inplace"):
        y.sum().backward()
