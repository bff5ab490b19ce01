"""Losses as modules: they keep their settings."""

from __future__ import annotations

from minilm.nn import checks, losses
from minilm.nn.module import Module
from minilm.tensor import Tensor, TensorLike


class CrossEntropyLoss(Module):
    """Cross-entropy of logits and target classes, in nats; see `functional.cross_entropy`.

    Parameters
    ----------
    weight : Tensor, optional
        How much each class counts, ``(classes,)``.
    ignore_index : int
        Targets of this value do not count.
    reduction : {"mean", "sum", "none"}
        The mean over targets that count, their sum, or one loss for each.
    label_smoothing : float
        The share of each target that is spread over all classes, between 0 and 1.
    """

    def __init__(
        self,
        weight: TensorLike | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        class_weight = None
        if weight is not None:
            class_weight = checks.floats("CrossEntropyLoss", "weight", weight)
        self.register_buffer("weight", class_weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:  # noqa: A002
        """Return the loss of logits ``(batch, classes, ...)`` for targets ``(batch, ...)``."""
        return losses.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Module):
    """Negative log-likelihood of log-probabilities; see `functional.nll_loss`.

    Parameters
    ----------
    ignore_index : int
        Targets of this value do not count.
    reduction : {"mean", "sum", "none"}
        The mean over targets that count, their sum, or one loss for each.
    """

    def __init__(self, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:  # noqa: A002
        """Return the loss of ``(batch, classes, ...)`` for targets ``(batch, ...)``."""
        return losses.nll_loss(
            input, target, ignore_index=self.ignore_index, reduction=self.reduction
        )


class MSELoss(Module):
    """Mean squared difference; see `functional.mse_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        The mean, the sum, or one for each element.
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:  # noqa: A002
        """Return the loss of two tensors of one shape."""
        return losses.mse_loss(input, target, reduction=self.reduction)
