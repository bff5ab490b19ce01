"""Functions of each element, and softmax, as modules."""

from __future__ import annotations

from minilm.nn import functional
from minilm.nn.module import Module
from minilm.tensor import Tensor, TensorLike


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Apply the function to each element."""
        return functional.tanh(input)


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``."""

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Apply the function to each element."""
        return functional.sigmoid(input)


class ReLU(Module):
    """``max(x, 0)``."""

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Apply the function to each element."""
        return functional.relu(input)


class SiLU(Module):
    """``x sigmoid(x)``."""

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Apply the function to each element."""
        return functional.silu(input)


class GELU(Module):
    """``x P(X <= x)``, X normally distributed.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        The exact function, or the formula with tanh that GPT-2 uses.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Apply the function to each element."""
        return functional.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return f"approximate={self.approximate!r}"


class Softmax(Module):
    """Scores to probabilities along an axis.

    Parameters
    ----------
    dim : int
        The axis along which they add up to 1.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Return probabilities."""
        return functional.softmax(input, self.dim)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """Scores to log-probabilities along an axis.

    Parameters
    ----------
    dim : int
        The axis along which the probabilities add up to 1.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Return log-probabilities."""
        return functional.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return f"dim={self.dim}"
