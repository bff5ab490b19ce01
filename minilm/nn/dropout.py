"""Dropout: random zeros in training, of elements, of features for all time, or of whole words."""

from __future__ import annotations

import numpy as np

from minilm.nn import checks, functional
from minilm.nn.embedding import Embedding
from minilm.nn.module import Module
from minilm.rules import elementwise
from minilm.rules.rule import Array
from minilm.tensor import Tensor, TensorLike, apply


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


class LockedDropout(Module):
    """Drop features of a sequence, the same ones at every time step.

    Also called variational dropout (Gal & Ghahramani 2016, https://arxiv.org/abs/1512.05287). One
    mask (batch, features) is drawn for each call.

    Parameters
    ----------
    p : float
        The probability that a feature is 0 throughout a sequence; the others are multiplied by
        ``1 / (1 - p)``.
    batch_first : bool
        Whether the input is (batch, time, features) instead of (time, batch, features).
    """

    def __init__(self, p: float = 0.5, batch_first: bool = False) -> None:
        super().__init__()
        self.p = checks.probability("LockedDropout", p)
        self.batch_first = batch_first

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Drop features in training mode, else return the input.

        Parameters
        ----------
        input : Tensor
            ``(batch, time, features)`` if `batch_first`, else ``(time, batch, features)``; or one
            sequence ``(time, features)``.

        Raises
        ------
        ValueError
            If the input has another number of axes.
        TypeError
            If it is not float32.
        """
        x = checks.floats("LockedDropout", "input", input)
        if x.dim() not in (2, 3):
            axes = "(batch, time, features)" if self.batch_first else "(time, batch, features)"
            raise ValueError(
                f"LockedDropout: expected input {axes}, or without batch (time, features), got "
                f"{x.dim()} axes: shape {x.shape}"
            )
        if not self.training or self.p == 0:
            return x
        shape = list(x.shape)
        shape[1 if self.batch_first and x.dim() == 3 else 0] = 1  # time
        masked: Tensor = apply(elementwise.scale, x, factor=_draw(shape, self.p))
        return masked

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return f"p={self.p}, batch_first={self.batch_first}"


class EmbeddingDropout(Module):
    """Look up vectors, and drop whole words: all occurrences of some ids become 0.

    A mask (num_embeddings,) is drawn for each call (Gal & Ghahramani 2016,
    https://arxiv.org/abs/1512.05287). The table itself stays as it is, so a head that shares it
    scores dropped words like all others.

    Parameters
    ----------
    embedding : Embedding
        Where vectors are looked up.
    p : float
        The probability that a word is dropped; vectors of the others are multiplied by
        ``1 / (1 - p)``.

    Attributes
    ----------
    module : Embedding
        The embedding.

    Raises
    ------
    TypeError
        If `embedding` is not an Embedding.
    """

    def __init__(self, embedding: Embedding, p: float = 0.1) -> None:
        super().__init__()
        if not isinstance(embedding, Embedding):
            raise TypeError(
                f"EmbeddingDropout: expected an nn.Embedding, got {type(embedding).__name__}. It "
                "takes the place of the embedding: nn.EmbeddingDropout(nn.Embedding(...), p)"
            )
        self.module = embedding
        self.p = checks.probability("EmbeddingDropout", p)

    def forward(self, input: TensorLike) -> Tensor:  # noqa: A002
        """Map ids ``(...)`` to vectors ``(..., embedding_dim)``; in training some are 0."""
        vectors: Tensor = self.module(input)
        if not self.training or self.p == 0:
            return vectors
        ids = checks.ids("EmbeddingDropout", "input", input)._array
        # Masking the rows that were looked up equals masking the table, which may be much larger.
        kept = _draw([self.module.num_embeddings, 1], self.p)
        masked: Tensor = apply(elementwise.scale, vectors, factor=kept[ids])
        return masked

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return f"p={self.p}"


def _draw(shape: list[int], p: float) -> Array:
    """Return what dropout multiplies with: 0 with probability `p`, else ``1 / (1 - p)``."""
    return functional.dropout(np.ones(shape, np.float32), p)._array
