"""Losses as functions and as modules."""

from __future__ import annotations

import numpy as np
import pytest

import minilm
import minilm.nn.functional as F
from minilm import nn


def logits(*shape: int) -> minilm.Tensor:
    minilm.manual_seed(0)
    return minilm.randn(*shape, requires_grad=True)


def by_hand(
    scores: np.ndarray,
    targets: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """Mean cross-entropy of scores (rows, classes), as PyTorch's page on it says."""
    classes = scores.shape[1]
    weight = np.ones(classes) if weight is None else weight
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    total = count = 0.0
    for row, target in zip(log_p, targets, strict=True):
        if target != ignore_index:
            smooth = -(weight * row).sum() / classes
            hit = -weight[target] * row[target]
            total += (1 - label_smoothing) * hit + label_smoothing * smooth
            count += weight[target]
    return total / count


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ignore_index": 1},
        {"label_smoothing": 0.2},
        {"weight": np.array([1, 2, 0.5, 3], np.float32)},
        {"weight": np.array([1, 2, 0.5, 3], np.float32), "label_smoothing": 0.1, "ignore_index": 0},
    ],
    ids=str,
)
def test_cross_entropy(settings) -> None:
    x, targets = logits(10, 4), minilm.tensor([0, 1, 2, 3, 0, 1, 2, 3, 1, 1])
    expected = by_hand(x.detach().numpy().astype(float), targets.numpy(), **settings)
    assert abs(F.cross_entropy(x, targets, **settings).item() - expected) < 1e-6
    assert abs(nn.CrossEntropyLoss(**settings)(x, targets).item() - expected) < 1e-6


def test_reductions() -> None:
    x, targets = logits(2, 4, 3), minilm.tensor([[0, 1, 2], [3, -100, 1]])
    each = F.cross_entropy(x, targets, reduction="none")
    assert each.shape == (2, 3) and each[1, 1] == 0
    assert abs(F.cross_entropy(x, targets, reduction="sum") - each.sum()) < 1e-5
    assert abs(F.cross_entropy(x, targets) - each.sum() / 5) < 1e-6


def test_gradient_is_softmax_minus_one_hot() -> None:
    x, targets = logits(3, 4), minilm.tensor([1, 0, 3])
    F.cross_entropy(x, targets).backward()
    expected = (x.detach().softmax(1) - F.one_hot(targets, 4)) / 3
    assert x.grad.allclose(expected, atol=1e-6)


def test_all_targets_ignored_is_not_a_number() -> None:
    assert F.cross_entropy(logits(2, 4), minilm.tensor([-100, -100])).isnan()


def test_nll_of_log_softmax_is_cross_entropy() -> None:
    x, targets = logits(2, 4, 3), minilm.tensor([[0, 1, 2], [3, -100, 1]])
    for reduction in ("mean", "sum", "none"):
        a = F.cross_entropy(x, targets, reduction=reduction)
        b = F.nll_loss(F.log_softmax(x, 1), targets, reduction=reduction)
        assert a.allclose(b.detach(), atol=1e-6)
        module = nn.NLLLoss(reduction=reduction)
        assert module(x.log_softmax(1), targets).equal(b)


def test_mse() -> None:
    a, b = minilm.tensor([1.0, 2.0], requires_grad=True), minilm.tensor([3.0, 3.0])
    loss = nn.MSELoss()(a, b)
    loss.backward()
    assert loss.item() == 2.5 and a.grad.tolist() == [-2.0, -1.0]
    assert F.mse_loss(a, b, reduction="sum").item() == 5
    assert F.mse_loss(a, b, reduction="none").tolist() == [4.0, 1.0]


def test_numpy_arrays_are_taken() -> None:
    scores, targets = np.zeros((2, 4), np.float32), np.array([1, 2])
    assert abs(F.cross_entropy(scores, targets).item() - np.log(4)) < 1e-6
    assert abs(F.cross_entropy(scores, targets.astype(np.int32)).item() - np.log(4)) < 1e-6


IDS = minilm.zeros(2, 5, dtype=minilm.long)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (
            lambda: F.cross_entropy(logits(2, 5, 7), IDS),
            ValueError,
            r"\(2, 5, 7\).*target of shape \(2, 7\), got \(2, 5\).*axis 1.*transpose\(1, 2\)",
        ),
        (lambda: F.cross_entropy(logits(2, 7), F.one_hot(IDS[:, 0], 7)), ValueError, "argmax"),
        (lambda: F.cross_entropy(logits(10, 7), IDS), ValueError, "number of targets fits"),
        (lambda: F.cross_entropy(logits(3, 7), IDS), ValueError, r"\(3,\), got \(2, 5\)"),
        (lambda: F.cross_entropy(minilm.tensor(1.0), IDS), ValueError, "single number"),
        (lambda: F.cross_entropy(logits(2, 7, 5), IDS.float()), TypeError, "integers.*long"),
        (lambda: F.cross_entropy(logits(2, 7, 5).double(), IDS), TypeError, "float64.*float32"),
        (
            lambda: F.cross_entropy(logits(2, 7, 5), IDS + minilm.arange(5) * 2),
            IndexError,
            r"target 8 at position \(0, 4\) is outside 0 to 6.*vocabulary",
        ),
        (lambda: F.cross_entropy(logits(2, 7, 5), IDS - 1), IndexError, "target -1"),
        (lambda: F.cross_entropy(logits(2, 7, 5), IDS, reduction="avg"), ValueError, "none, mean"),
        (
            lambda: F.cross_entropy(logits(2, 7, 5), IDS, label_smoothing=2.0),
            ValueError,
            "label_smoothing",
        ),
        (lambda: F.cross_entropy(logits(2, 7, 5), IDS, np.ones(6, np.float32)), ValueError, "7"),
        (lambda: F.nll_loss(logits(2, 5, 7), IDS), ValueError, "nll_loss.*transpose"),
        (lambda: F.mse_loss(logits(2), logits(2, 1)), ValueError, r"\(2,\).*\(2, 1\)"),
    ],
)
def test_refusals(act, error, words) -> None:
    with pytest.raises(error, match=words):
        act()


@pytest.mark.parametrize("shift", [1e3, 1e5])
def test_cross_entropy_does_not_depend_on_a_common_shift(shift) -> None:
    near = np.array([[0.0, 1.0, 2.0, 3.0]], np.float32)
    target = minilm.tensor([1])
    expected = F.cross_entropy(minilm.tensor(near), target).item()
    far = minilm.tensor(near + np.float32(shift), requires_grad=True)
    loss = F.cross_entropy(far, target)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert abs(far.grad.numpy().sum()) < 1e-6


def test_a_nan_among_the_logits_is_not_hidden() -> None:
    row = np.zeros((1, 40), np.float32)
    row[0, 0], row[0, 32] = np.nan, np.inf
    assert np.isnan(F.cross_entropy(minilm.tensor(row), minilm.tensor([3])).item())
