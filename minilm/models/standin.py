"""RMSNorm from Tensor operations."""

from __future__ import annotations

import numpy as np

from minilm import nn
from minilm.tensor import Tensor


class RMSNorm(nn.Module):
    """Divide by the root of the mean square, and scale (Zhang and Sennrich, 2019)."""

    def __init__(self, normalized_shape: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(np.ones(normalized_shape, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize along the last axis."""
        return x / ((x * x).mean(-1, keepdim=True) + self.eps).sqrt() * self.weight
