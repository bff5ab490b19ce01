"""Embedding: a learned vector for each id."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm.grad_mode import no_grad
from minilm.nn import checks, functional, init
from minilm.nn.module import Module
from minilm.nn.parameter import Parameter
from minilm.tensor import Tensor, TensorLike


class Embedding(Module):
    """Look up a vector for each id.

    Vectors start as N(0, 1).

    Parameters
    ----------
    num_embeddings : int
        How many ids there are: the size of the vocabulary.
    embedding_dim : int
        The length of a vector.
    padding_idx : int, optional
        An id whose vector is 0 and stays so.

    Attributes
    ----------
    weight : Parameter
        ``(num_embeddings, embedding_dim)``.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None
    ) -> None:
        super().__init__()
        self.num_embeddings = checks.size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = checks.size("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: padding_idx {padding_idx} must be one of the {num_embeddings} ids"
            )
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(np.empty((self.num_embeddings, self.embedding_dim), np.float32))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors again."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Map ids ``(...)`` to vectors ``(..., embedding_dim)``; see `functional.embedding`."""
        return functional.embedding(input, self.weight, self.padding_idx)

    def multiply_adds(self, output: Any) -> int:
        """Return 0: a lookup multiplies nothing."""
        return 0

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
