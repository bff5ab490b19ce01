"""The losses of classifiers: classes, several classes at once, or a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import minilm.nn.functional as F
from minilm.operations import abs as absolute
from minilm.operations import exp, log, relu
from minilm.tensor import Tensor, as_tensor

if TYPE_CHECKING:
    from minilm.models.pretrained_config import PretrainedConfig


def classification_loss(logits: Tensor, labels: Any, config: PretrainedConfig) -> Tensor:
    """Return the loss of a classifier.

    Parameters
    ----------
    logits : Tensor
        ``(batch, classes)``.
    labels : Tensor or ndarray
        Integers ``(batch,)`` for classes; ``(batch,)`` or ``(batch, classes)`` of float32 for
        regression; 0 and 1 ``(batch, classes)`` of float32 where a text may have several classes.
    config : PretrainedConfig
        Its ``problem_type`` says which; by default it follows from the labels, as in Hugging Face.

    Returns
    -------
    Tensor
        Mean cross-entropy, nats; mean square; or mean binary cross-entropy.

    Raises
    ------
    ValueError
        If labels have another shape.
    TypeError, IndexError
        If they are not integers, or not the number of a class.
    """
    targets = as_tensor(labels)
    problem = config.problem_type or _problem(targets, config.num_labels)
    if problem == "single_label_classification":
        _check_shape(targets, logits.shape[:1], "(batch,), the number of a class each")
        return F.cross_entropy(logits, targets)
    if problem == "regression" and config.num_labels == 1:
        _check_shape(targets.reshape(-1), logits.shape[:1], "(batch,), a number each")
        return F.mse_loss(logits.reshape(-1), targets.reshape(-1).float())
    _check_shape(targets, logits.shape, "(batch, classes)")
    if problem == "regression":
        return F.mse_loss(logits, targets.float())
    return _binary_cross_entropy(logits, targets.float())


def _problem(targets: Tensor, classes: int) -> str:
    if classes == 1:
        return "regression"
    integers = targets.dtype.kind in "iu"
    return "single_label_classification" if integers else "multi_label_classification"


def _check_shape(targets: Tensor, expected: tuple[int, ...], meaning: str) -> None:
    if tuple(targets.shape) != tuple(expected):
        raise ValueError(
            f"labels have shape {targets.shape}, expected {expected} {meaning}. What labels mean "
            "is told by problem_type in the configuration, or else by whether they are integers"
        )


def _binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of ``-t log s(x) - (1 - t) log(1 - s(x))``, s the sigmoid.

    Written so that no exponential overflows: ``max(x, 0) - x t + log(1 + exp(-|x|))``.
    """
    losses = relu(logits) - logits * targets + log(1 + exp(-absolute(logits)))
    return losses.mean()
