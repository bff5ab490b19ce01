"""Linear: ``y = x W^T + b``."""

from __future__ import annotations

import math

import numpy as np

from minilm.nn import checks, functional, init
from minilm.nn.module import Module
from minilm.nn.parameter import Parameter
from minilm.tensor import Tensor, TensorLike


class Linear(Module):
    """Apply ``y = x W^T + b`` to the last axis.

    Parameters start as U(-1/sqrt(in_features), 1/sqrt(in_features)).

    Parameters
    ----------
    in_features, out_features : int
        The length of the last axis of the input, and of the output.
    bias : bool
        Whether there is a `b`.

    Attributes
    ----------
    weight : Parameter
        ``(out_features, in_features)``.
    bias : Parameter or None
        ``(out_features,)``.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = checks.size("Linear", "in_features", in_features)
        self.out_features = checks.size("Linear", "out_features", out_features)
        self.weight = Parameter(np.empty((self.out_features, self.in_features), np.float32))
        self.register_parameter(
            "bias", Parameter(np.empty(self.out_features, np.float32)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters again."""
        bound = 1 / math.sqrt(self.in_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Map ``(..., in_features)`` to ``(..., out_features)``; see `functional.linear`."""
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
