"""Losses as functions."""

from __future__ import annotations

import numpy as np

from minilm import _core
from minilm.nn import checks
from minilm.nn.deferred import head_of
from minilm.nn.layer_call import LayerCall, Operands
from minilm.tensor import Tensor, TensorLike, as_tensor


def cross_entropy(
    input: TensorLike,  # noqa: A002
    target: TensorLike,
    weight: TensorLike | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return ``-log softmax(input)[target]``, in nats: how surprising the targets are.

    Parameters
    ----------
    input : Tensor
        Logits ``(batch, classes)`` or ``(batch, classes, ...)``: the classes on axis 1. Or
        ``(classes,)``.
    target : Tensor
        Class ids ``(batch,)`` or ``(batch, ...)``, integers.
    weight : Tensor, optional
        How much each class counts, ``(classes,)``.
    ignore_index : int
        Targets of this value do not count.
    reduction : {"mean", "sum", "none"}
        The mean over targets that count (weighted), their sum, or one loss for each.
    label_smoothing : float
        The share of each target that is spread over all classes, between 0 and 1.

    Returns
    -------
    Tensor
        A number, or without reduction the shape of `target`.

    Raises
    ------
    ValueError
        If shapes do not fit; the message names the axes and a likely cause.
    TypeError
        If the targets are not integers, or the logits not float32.
    IndexError
        If a target is no class: the message gives its value, position and the range.

    Examples
    --------
    Logits of a language model are ``(batch, time, classes)``:

    >>> loss = cross_entropy(logits.transpose(1, 2), targets)
    """
    logits = checks.floats("cross_entropy", "input", input)
    targets = checks.ids("cross_entropy", "target", target)
    _check_shapes("cross_entropy", logits, targets)
    settings = {
        "ignore_index": ignore_index,
        "reduction": _reduction_code("cross_entropy", reduction),
        "label_smoothing": label_smoothing,
    }
    class_weight = None
    if weight is not None:
        class_weight = checks.floats("cross_entropy", "weight", weight).detach()
    rows = _classes_last(logits)
    try:
        loss = _loss_of_rows(rows, targets.reshape(-1), class_weight, settings)
    except IndexError:
        _refuse_targets(targets, rows.shape[-1], ignore_index)
        raise
    return loss.reshape(targets.shape) if reduction == "none" else loss


def _loss_of_rows(
    logits: Tensor, targets: Tensor, class_weight: Tensor | None, settings: dict[str, float]
) -> Tensor:
    """Compute the loss of logits (rows, classes), together with their head where that can be."""
    # The core makes the gradients of head and loss at once, so it must know the reduction.
    head = head_of(logits) if settings["reduction"] != _core.REDUCTIONS["none"] else None
    if head is None:
        return LayerCall("cross_entropy", **settings)([logits, targets, class_weight])[0]
    x, *params = head.arrays
    assert x is not None
    out_features, in_features = head.shapes[1]
    given = Operands.now([targets, class_weight])
    call = LayerCall(
        "linear_cross_entropy",
        in_features=in_features,
        out_features=out_features,
        bias=len(params) == 2,
        **settings,
    )
    operands = head[:1] + given + head[1:]
    operands.arrays[0] = x.reshape(-1, in_features)
    return call.run(operands)[0]


def _classes_last(logits: Tensor) -> Tensor:
    """Bring logits to (rows, classes)."""
    ndim = logits.dim()
    if ndim > 2:
        logits = logits.permute(0, *range(2, ndim), 1)
    return logits.reshape(-1, logits.shape[-1])


def _check_shapes(function: str, logits: Tensor, targets: Tensor) -> None:
    shape = logits.shape
    if not shape:
        raise ValueError(f"{function}: expected input (batch, classes, ...), got a single number")
    expected = shape[:1] + shape[2:] if len(shape) > 1 else ()
    if targets.shape == expected:
        return
    cause = ""
    if len(shape) > 2 and targets.shape == shape[:-1]:
        cause = (
            ". The classes must be on axis 1: if the input is (batch, time, classes), pass "
            "input.transpose(1, 2)"
        )
    elif targets.shape == shape:
        cause = ". Targets are class ids, not one number for each class: use target.argmax(1)"
    elif targets.numel() == logits.numel() // shape[1 if len(shape) > 1 else 0]:
        cause = ". The number of targets fits: reshape both, or transpose the one that is not "
        cause += "(batch, ...)"
    raise ValueError(
        f"{function}: for input of shape {shape}, (batch, classes, ...), expected target of "
        f"shape {expected}, got {targets.shape}{cause}"
    )


def _refuse_targets(targets: Tensor, classes: int, ignore_index: int) -> None:
    """Say which target is no class, by its position in the targets as they were given."""
    ids = targets._array
    wrong = np.argwhere(((ids < 0) | (ids >= classes)) & (ids != ignore_index))
    if len(wrong):
        position = tuple(int(i) for i in wrong[0])
        raise IndexError(
            f"cross_entropy: target {ids[position]} at position {position} is outside 0 to "
            f"{classes - 1}, the classes of the input. Was the text encoded with another "
            "vocabulary than the model's?"
        ) from None


def _reduction_code(function: str, reduction: str) -> int:
    codes: dict[str, int] = _core.REDUCTIONS
    if reduction not in codes:
        raise ValueError(
            f"{function}: reduction must be one of {', '.join(codes)}; got {reduction!r}"
        )
    return codes[reduction]


def _reduce(function: str, losses: Tensor, reduction: str) -> Tensor:
    _reduction_code(function, reduction)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def nll_loss(
    input: TensorLike,  # noqa: A002
    target: TensorLike,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Return ``-input[target]`` for log-probabilities, as `log_softmax` gives them.

    Parameters are those of `cross_entropy`.
    """
    log_probs = as_tensor(input)
    targets = checks.ids("nll_loss", "target", target)
    _check_shapes("nll_loss", log_probs, targets)
    rows, ids = _classes_last(log_probs), targets.reshape(-1)
    counts: Tensor = ids != ignore_index
    losses = -rows.gather(1, ids.masked_fill(~counts, 0).unsqueeze(1)).squeeze(1)
    losses = losses.masked_fill(~counts, 0.0)
    if reduction == "mean":
        return losses.sum() / counts.sum().float()
    return _reduce("nll_loss", losses.reshape(targets.shape), reduction)


def mse_loss(input: TensorLike, target: TensorLike, *, reduction: str = "mean") -> Tensor:  # noqa: A002
    """Return the mean of the squared differences.

    Parameters
    ----------
    input, target : Tensor
        Of one shape.
    reduction : {"mean", "sum", "none"}
        Their mean, their sum, or one for each element.

    Raises
    ------
    ValueError
        If the shapes differ: broadcasting would be a mistake here.
    """
    predicted, wanted = as_tensor(input), as_tensor(target)
    if predicted.shape != wanted.shape:
        raise ValueError(
            f"mse_loss: input of shape {predicted.shape} and target of shape {wanted.shape} differ"
        )
    difference = predicted - wanted
    return _reduce("mse_loss", difference * difference, reduction)
