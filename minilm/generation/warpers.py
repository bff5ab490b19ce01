"""What changes the distribution that tokens are drawn from.

Names and meanings are Hugging Face's. Of tokens that are equally likely, those with the smaller
ids come first, as in the core (``csrc/core/sample.c``), where Hugging Face keeps all or any.
"""

from __future__ import annotations

import numpy as np

from minilm.generation.logits_process import NEVER


class TemperatureLogitsWarper:
    """Divide the scores.

    Parameters
    ----------
    temperature : float
        Above 0: below 1 the likely gets likelier.
    """

    def __init__(self, temperature: float) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0; got {temperature}")
        self.temperature = np.float32(temperature)

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, divided."""
        divided: np.ndarray = scores / self.temperature
        return divided


class TopKLogitsWarper:
    """Keep the k likeliest tokens.

    Parameters
    ----------
    top_k : int
        How many.
    min_tokens_to_keep : int
        Keep so many in any case.
    """

    def __init__(self, top_k: int, min_tokens_to_keep: int = 1) -> None:
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1; got {top_k}")
        self.top_k = max(top_k, min_tokens_to_keep)

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, -inf for the others."""
        order = _likeliest_first(scores)
        return _kept(scores, order, np.arange(scores.shape[1]) < self.top_k)


class TopPLogitsWarper:
    """Keep the fewest likeliest tokens whose probabilities reach a sum (nucleus sampling).

    Holtzman et al. 2020, arXiv:1904.09751.

    Parameters
    ----------
    top_p : float
        The sum, 0 to 1.
    min_tokens_to_keep : int
        Keep so many in any case.
    """

    def __init__(self, top_p: float, min_tokens_to_keep: int = 1) -> None:
        if not 0 <= top_p <= 1:
            raise ValueError(f"top_p must be a probability, 0 to 1; got {top_p}")
        self.top_p, self.min_tokens_to_keep = top_p, min_tokens_to_keep

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, -inf for the others."""
        order = _likeliest_first(scores)
        probs = np.take_along_axis(probabilities(scores), order, axis=1)
        before = np.cumsum(probs, axis=1) - probs
        keep = (before < self.top_p) | (np.arange(scores.shape[1]) < self.min_tokens_to_keep)
        return _kept(scores, order, keep)


class MinPLogitsWarper:
    """Keep the tokens that are at least a share as likely as the likeliest.

    Nguyen et al. 2024, arXiv:2407.01082.

    Parameters
    ----------
    min_p : float
        The share, 0 to 1.
    min_tokens_to_keep : int
        Keep so many in any case.
    """

    def __init__(self, min_p: float, min_tokens_to_keep: int = 1) -> None:
        if not 0 <= min_p <= 1:
            raise ValueError(f"min_p must be a probability, 0 to 1; got {min_p}")
        self.min_p, self.min_tokens_to_keep = min_p, min_tokens_to_keep

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, -inf for the others."""
        order = _likeliest_first(scores)
        probs = np.take_along_axis(probabilities(scores), order, axis=1)
        keep = probs >= self.min_p * probs[:, :1]
        return _kept(scores, order, keep | (np.arange(scores.shape[1]) < self.min_tokens_to_keep))


class TypicalLogitsWarper:
    """Keep the tokens whose surprise is nearest to the entropy, until they reach a sum.

    Meister et al. 2022, arXiv:2202.00666, equation 5.

    Parameters
    ----------
    mass : float
        The sum of their probabilities, between 0 and 1.
    min_tokens_to_keep : int
        Keep so many in any case.
    """

    def __init__(self, mass: float = 0.9, min_tokens_to_keep: int = 1) -> None:
        if not 0 < mass < 1:
            raise ValueError(f"mass must be between 0 and 1; got {mass}")
        self.mass, self.min_tokens_to_keep = mass, min_tokens_to_keep

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, -inf for the others."""
        probs = probabilities(scores)
        possible = probs > 0
        surprise = -np.log(np.where(possible, probs, 1))
        entropy = (probs * surprise).sum(axis=1, keepdims=True)
        distance = np.where(possible, np.abs(surprise - entropy), np.inf)
        order = np.argsort(distance, axis=1, kind="stable")
        sums = np.cumsum(np.take_along_axis(probs, order, axis=1), axis=1)
        last = np.minimum((sums < self.mass).sum(axis=1, keepdims=True), scores.shape[1] - 1)
        sorted_distance = np.take_along_axis(distance, order, axis=1)
        keep = sorted_distance <= np.take_along_axis(sorted_distance, last, axis=1)
        return _kept(scores, order, keep | (np.arange(scores.shape[1]) < self.min_tokens_to_keep))


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Return the softmax of scores ``(batch, vocab)``, in float64."""
    weights = np.exp(scores - scores.max(axis=1, keepdims=True), dtype=np.float64)
    probs: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return probs


def log_probabilities(scores: np.ndarray) -> np.ndarray:
    """Return the log-softmax of scores ``(batch, vocab)``, in float32."""
    shifted = (scores - scores.max(axis=1, keepdims=True)).astype(np.float64)
    logs: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs.astype(np.float32)


def _likeliest_first(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")


def _kept(scores: np.ndarray, order: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Return scores, -inf where `keep` is False; it is in `order`, ``(batch or 1, vocab)``."""
    kept = np.zeros(scores.shape, bool)
    np.put_along_axis(kept, order, np.broadcast_to(keep, scores.shape), axis=1)
    return np.where(kept, scores, NEVER)
