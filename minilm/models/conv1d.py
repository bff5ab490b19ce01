"""Conv1D: a linear layer that keeps its weight the other way round, as GPT-2's files have it."""

from __future__ import annotations

import numpy as np

from minilm.nn import checks, init
from minilm.nn.layer_call import LayerCall
from minilm.nn.module import Module
from minilm.nn.parameter import Parameter
from minilm.tensor import Tensor, TensorLike


class Conv1D(Module):
    """Apply ``y = x W + b`` to the last axis, with ``W (in_features, out_features)``.

    The name and the order of the arguments are those of Hugging Face. Weights start as
    N(0, 0.02^2), biases as 0.

    Parameters
    ----------
    nf, nx : int
        The length of the last axis of the output, and of the input.
    bias : bool
        Whether there is a `b`.

    Attributes
    ----------
    weight : Parameter
        ``(nx, nf)``: the transpose of what :class:`minilm.nn.Linear` keeps.
    bias : Parameter or None
        ``(nf,)``.
    """

    def __init__(self, nf: int, nx: int, bias: bool = True) -> None:
        super().__init__()
        self.nf = checks.size("Conv1D", "nf", nf)
        self.nx = checks.size("Conv1D", "nx", nx)
        self.weight = Parameter(np.empty((self.nx, self.nf), np.float32))
        self.register_parameter("bias", Parameter(np.empty(self.nf, np.float32)) if bias else None)
        init.normal_(self.weight, std=0.02)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Map ``(..., nx)`` to ``(..., nf)``."""
        x = checks.floats("Conv1D", "input", input)
        checks.last_axis("Conv1D", "input", x, "(..., nx", self.nx)
        call = LayerCall(
            "linear",
            in_features=self.nx,
            out_features=self.nf,
            bias=self.bias is not None,
            transposed=True,
        )
        return call([x], [p for p in (self.weight, self.bias) if p is not None])[0]

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return f"nf={self.nf}, nx={self.nx}, bias={self.bias is not None}"
