"""LayerNorm: mean 0 and variance 1 along the last axes."""

from __future__ import annotations

import numpy as np

from minilm.nn import checks, functional, init
from minilm.nn.module import Module
from minilm.nn.parameter import Parameter
from minilm.tensor import Tensor, TensorLike


class LayerNorm(Module):
    """Bring the last axes to mean 0 and variance 1, then scale and shift (Ba et al., 2016).

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The lengths of the axes that are normalized together.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether there is a `weight`, at first 1.
    bias : bool
        Whether there is a `bias` beside the `weight`, at first 0.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(normalized_shape, (tuple, list)):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(
            checks.size("LayerNorm", "normalized_shape", length) for length in normalized_shape
        )
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, present in (("weight", True), ("bias", bias)):
            parameter = None
            if elementwise_affine and present:
                parameter = Parameter(np.empty(self.normalized_shape, np.float32))
            self.register_parameter(name, parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Normalize ``(..., *normalized_shape)``; see `functional.layer_norm`."""
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )
