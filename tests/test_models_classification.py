import numpy as np
import pytest

import minilm
from minilm.models import DistilBertConfig
from minilm.models.classification import classification_loss

LOGITS = np.array([[2.0, -1.0, 0.5], [-300.0, 0.0, 300.0]], np.float32)


def loss(logits, labels, **settings) -> float:
    config = DistilBertConfig(**({"num_labels": logits.shape[1]} | settings))
    return classification_loss(minilm.tensor(logits), labels, config).item()


def test_integers_are_classes():
    p = np.exp(LOGITS.astype(np.float64))
    p = p / p.sum(1, keepdims=True)
    expected = -np.log([p[0, 2], 1.0]).mean()
    assert loss(LOGITS, np.array([2, 2])) == pytest.approx(expected, rel=1e-6)


def test_numbers_for_one_output_are_regression():
    one = LOGITS[:, :1]
    assert loss(one, np.array([1.0, -298.0])) == pytest.approx((1 + 4) / 2)
    assert loss(one, np.array([[1.0], [-298.0]])) == pytest.approx((1 + 4) / 2)
    assert loss(LOGITS, LOGITS + 2, problem_type="regression") == pytest.approx(4)


def test_floats_for_several_outputs_are_several_classes():
    targets = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]], np.float32)
    x, t = LOGITS.astype(np.float64), targets
    expected = (np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))).mean()
    assert loss(LOGITS, targets) == pytest.approx(expected, rel=1e-6)


def test_gradients_of_several_classes_by_finite_differences():
    x = minilm.tensor(LOGITS[:1]).requires_grad_()
    targets = np.array([[1.0, 0.0, 1.0]], np.float32)
    config = DistilBertConfig(num_labels=3)
    classification_loss(x, targets, config).backward()
    expected = (1 / (1 + np.exp(-LOGITS[:1].astype(np.float64))) - targets) / 3
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (np.array([[0], [1]]), {}, r"labels have shape \(2, 1\), expected \(2,\)"),
        (np.zeros(2, np.float32), {}, r"expected \(2, 3\) \(batch, classes\).*problem_type"),
        (np.zeros((2, 2)), {"problem_type": "regression"}, r"expected \(2, 3\)"),
    ],
)
def test_labels_of_another_shape_are_refused(labels, settings, message):
    with pytest.raises(ValueError, match=message):
        loss(LOGITS, labels, **settings)
