"""Dropout: random zeros in training."""

from __future__ import annotations

from minilm.nn import checks, functional
from minilm.nn.module import Module
from minilm.tensor import Tensor, TensorLike


class Dropout(Module):
    """Set elements to 0 at random while training, against overfitting (Srivastava et al., 2014).

    Parameters
    ----------
    p : float
        The probability; the others are multiplied by ``1 / (1 - p)``.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = checks.probability("Dropout", p)

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Return the input with random zeros in training mode, else the input."""
        return functional.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return f"p={self.p}, inplace=False"
