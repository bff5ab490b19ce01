"""When a text ends. Names and meanings are Hugging Face's; arrays are NumPy's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class StoppingCriteria(Protocol):
    """Tells of each text whether it has ended."""

    def __call__(self, input_ids: np.ndarray, scores: Any) -> Any:
        """Return whether the texts have ended.

        Parameters
        ----------
        input_ids : ndarray of int64
            All ids so far ``(batch, time)``; the last column is new.
        scores : tuple of ndarray or None
            The scores of each step ``(batch, vocab)``, if they are kept.

        Returns
        -------
        ndarray of bool or bool
            ``(batch,)``, or one for all.
        """


class StoppingCriteriaList(list[StoppingCriteria]):
    """Criteria, of which one is enough."""

    def __call__(self, input_ids: np.ndarray, scores: Any = None) -> np.ndarray:
        """Return which texts have ended, ``(batch,)`` of bool."""
        ended = np.zeros(len(input_ids), bool)
        for criterion in self:
            ended |= np.asarray(criterion(input_ids, scores), bool)
        return ended


class MaxLengthCriteria:
    """All texts end with a number of tokens, prompt included.

    Parameters
    ----------
    max_length : int
        The number.
    """

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length

    def __call__(self, input_ids: np.ndarray, scores: Any = None) -> np.ndarray:
        """Return which texts have ended, ``(batch,)`` of bool."""
        return np.full(len(input_ids), input_ids.shape[1] >= self.max_length)


class MaxTimeCriteria:
    """All texts end after some time.

    Parameters
    ----------
    max_time : float
        Seconds.
    initial_timestamp : float, optional
        When they begin to count, as of :func:`time.monotonic`; by default now.
    """

    def __init__(self, max_time: float, initial_timestamp: float | None = None) -> None:
        self.max_time = max_time
        self._begin = time.monotonic() if initial_timestamp is None else initial_timestamp

    def __call__(self, input_ids: np.ndarray, scores: Any = None) -> np.ndarray:
        """Return which texts have ended, ``(batch,)`` of bool."""
        return np.full(len(input_ids), time.monotonic() - self._begin > self.max_time)


class EosTokenCriteria:
    """A text ends with one of some ids.

    Parameters
    ----------
    eos_token_id : int or sequence of int
        The ids.
    """

    def __init__(self, eos_token_id: int | Sequence[int]) -> None:
        self.eos_token_id = np.atleast_1d(np.asarray(eos_token_id, np.int64))

    def __call__(self, input_ids: np.ndarray, scores: Any = None) -> np.ndarray:
        """Return which texts have ended, ``(batch,)`` of bool."""
        return np.isin(input_ids[:, -1], self.eos_token_id)


class StopStringCriteria:
    """A text ends with the token that completes a string, though it may go on behind it.

    Parameters
    ----------
    tokenizer : object
        Has ``decode(ids, skip_special_tokens=...)``.
    stop_strings : str or sequence of str
        The strings.

    Raises
    ------
    ValueError
        If a string is empty.
    """

    def __init__(self, tokenizer: Any, stop_strings: str | Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self.stop_strings = [stop_strings] if isinstance(stop_strings, str) else list(stop_strings)
        if "" in self.stop_strings:
            raise ValueError("a stop string is empty: every text would end at once")
        # A token stands for a byte at least; one more, to see what stands before the string.
        self._tail = 1 + max((len(s.encode("utf-8")) for s in self.stop_strings), default=0)

    def __call__(self, input_ids: np.ndarray, scores: Any = None) -> np.ndarray:
        """Return which texts have ended, ``(batch,)`` of bool."""
        return np.array([self._ends(row[-self._tail :]) for row in input_ids], bool)

    def _ends(self, tail: np.ndarray) -> bool:
        ids = tail[tail >= 0].tolist()
        text, before = self._decoded(ids), self._decoded(ids[:-1]).rstrip("\ufffd")
        return any(text.find(s, max(0, len(before) + 1 - len(s))) >= 0 for s in self.stop_strings)

    def _decoded(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))
