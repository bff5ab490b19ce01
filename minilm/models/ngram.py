"""N-gram models with Witten-Bell smoothing: what a neural model has to beat."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from minilm import _core


class NGramModel:
    r"""Predicts each token from the ``order - 1`` tokens before it, by counting [1]_, [2]_.

    For a context :math:`h` that was seen :math:`n(h)` times, with :math:`t(h)` different tokens
    after it, and :math:`h'`, which is :math:`h` without its oldest token,

    .. math:: p(w | h) = \frac{c(h w) + t(h) \, p(w | h')}{n(h) + t(h)}

    A context never seen leaves everything to :math:`h'`; below the empty context lies
    ``1 / vocab_size``.

    Parameters
    ----------
    order : int
        Tokens in an n-gram: 1 looks at no context, 2 at one token.
    vocab_size : int
        Ids run from 0 to ``vocab_size - 1``.

    Raises
    ------
    ValueError
        If one of them is less than 1.

    References
    ----------
    .. [1] Witten & Bell 1991, https://doi.org/10.1109/18.87000
    .. [2] Chen & Goodman 1998, https://dash.harvard.edu/handle/1/25104739

    Examples
    --------
    >>> model = NGramModel(order=2, vocab_size=3).count([0, 1, 0, 1, 0, 2])
    >>> model.distribution([0]).round(3)
    array([0.178, 0.533, 0.289])
    >>> model.generate([0], max_new_tokens=4, temperature=0).tolist()
    [0, 1, 0, 1, 0]
    """

    def __init__(self, order: int, vocab_size: int) -> None:
        self._counts = _core.NGram(order, vocab_size)
        self._counted = False

    @property
    def order(self) -> int:
        """Tokens in an n-gram."""
        return self._counts.order

    @property
    def vocab_size(self) -> int:
        """Number of different tokens."""
        return self._counts.vocab_size

    def count(self, ids: Any) -> Self:
        """Count the n-grams of a text, in place of what was counted before.

        Parameters
        ----------
        ids : Tensor, ndarray or sequence of int
            Token ids ``(time,)``.

        Returns
        -------
        NGramModel
            The model itself.

        Raises
        ------
        IndexError
            If an id is outside the vocabulary.
        TypeError
            If the ids are not integers.
        ValueError
            If the ids have other axes than ``(time,)``, or there are none.
        """
        ids = _checked_ids(ids)
        if not ids.size:
            raise ValueError("count: the text is empty, so there is nothing to count")
        self._counts.fit(ids)
        self._counted = True
        return self

    def fit(self, train: Any, validation_data: Any = None, *ignored: Any, **more: Any) -> Any:
        """Count the n-grams of a text, as other models learn from it; see `LanguageModel.fit`.

        One pass finds all there is, so further arguments (`epochs`, `lr`, ...) change nothing.

        Parameters
        ----------
        train, validation_data : Tensor, ndarray or sequence of int
            Token ids ``(time,)``; or a `TokenDataset`, a `DataLoader` of one, or a `StreamLoader`,
            whose whole text is counted once.

        Returns
        -------
        History
            One row: ``loss`` and, with validation data, ``val_loss``, nats a token.

        Raises
        ------
        IndexError, TypeError, ValueError
            As for `count`, or if `fit` has no argument of a name.
        """
        from minilm.training.fit import fit_by_counting

        return fit_by_counting(self, train, validation_data, **more)

    def log_prob(self, ids: Any, start: int = 0) -> np.ndarray:
        """Return the log probability of each token of a text, given those before it.

        Parameters
        ----------
        ids : Tensor, ndarray or sequence of int
            Token ids ``(time,)``. The first tokens have shorter contexts.
        start : int
            First token to return a probability of.

        Returns
        -------
        ndarray
            ``(time - start,)``, float64, in nats.

        Raises
        ------
        RuntimeError
            If the model has counted nothing yet.
        IndexError, TypeError, ValueError
            As for `count`.
        """
        self._require_counts()
        return self._counts.log_prob(_checked_ids(ids), start)

    def loss(self, ids: Any) -> float:
        """Return the mean negative log probability of a text, in nats a token.

        As with a neural model, the first token is only context: each of the others is predicted
        from those before it.

        Parameters
        ----------
        ids : Tensor, ndarray or sequence of int
            Token ids ``(time,)``, at least two.

        Raises
        ------
        RuntimeError
            If the model has counted nothing yet.
        IndexError, TypeError, ValueError
            As for `count`.
        """
        ids = _checked_ids(ids)
        if ids.size < 2:
            raise ValueError(f"loss: a text of {ids.size} tokens has none to predict; expected 2")
        return -float(self.log_prob(ids, start=1).mean())

    def perplexity(self, ids: Any) -> float:
        """Return exp(`loss`): between how many equally likely tokens the model hesitates."""
        return math.exp(self.loss(ids))

    def distribution(self, context: Any) -> np.ndarray:
        """Return the probability of each token after a context.

        Parameters
        ----------
        context : Tensor, ndarray or sequence of int
            Token ids ``(time,)``, possibly none; the last ``order - 1`` count.

        Returns
        -------
        ndarray
            ``(vocab_size,)``, float64; they add up to 1.

        Raises
        ------
        RuntimeError
            If the model has counted nothing yet.
        IndexError, TypeError, ValueError
            As for `count`.
        """
        self._require_counts()
        return self._counts.distribution(_checked_ids(context))

    def generate(
        self, input_ids: Any = None, max_new_tokens: int | None = None, **options: Any
    ) -> Any:
        """Write on from `input_ids`, which may be empty; see :func:`minilm.generation.generate`.

        Raises
        ------
        RuntimeError
            If the model has counted nothing yet.
        IndexError, TypeError, ValueError
            As for :func:`minilm.generation.generate`.
        """
        from minilm.generation import generate

        return generate(self, input_ids, max_new_tokens, **options)

    def _require_counts(self) -> None:
        if not self._counted:
            raise RuntimeError("this NGramModel has counted nothing yet: call count(ids) first")

    def __repr__(self) -> str:
        return f"NGramModel(order={self.order}, vocab_size={self.vocab_size})"


def _checked_ids(ids: Any) -> np.ndarray:
    """Return ids as a contiguous int64 array of one axis."""
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(f"ids have one axis, (time,); got the shape {array.shape}")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"token ids are integers; got {array.dtype}")
    return np.ascontiguousarray(array, np.int64)
