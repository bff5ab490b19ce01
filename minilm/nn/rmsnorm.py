"""RMSNorm: root mean square 1 along the last axes."""

from __future__ import annotations

import numpy as np

from minilm.nn import checks, functional, init
from minilm.nn.module import Module
from minilm.nn.parameter import Parameter
from minilm.tensor import Tensor, TensorLike


class RMSNorm(Module):
    """Divide by the root mean square of the last axes, then scale (Zhang & Sennrich, 2019).

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The lengths of the axes that are normalized together.
    eps : float, optional
        Added to the mean square; by default ``2**-23``, the spacing of float32 at 1.
    elementwise_affine : bool
        Whether there is a `weight`, at first 1.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(normalized_shape, (tuple, list)):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(
            checks.size("RMSNorm", "normalized_shape", length) for length in normalized_shape
        )
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = None
        if elementwise_affine:
            weight = Parameter(np.empty(self.normalized_shape, np.float32))
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Normalize ``(..., *normalized_shape)``; see `functional.rms_norm`."""
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )
