"""What changes the scores of the next token before one is chosen: rules about the text so far.

Names and meanings are Hugging Face's; arrays are NumPy's. Where a text is padded on the left, its
ids are -1 there, which is no token: a text is written as it would be written alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

NEVER = np.float32(-np.inf)


class LogitsProcessor(Protocol):
    """Maps the ids so far and the scores of the next token to other scores."""

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores that count.

        Parameters
        ----------
        input_ids : ndarray of int64
            All ids so far ``(batch, time)``.
        scores : ndarray of float32
            ``(batch, vocab)``; not to be changed in place.

        Returns
        -------
        ndarray of float32
            ``(batch, vocab)``; -inf for what may not come.
        """


class LogitsProcessorList(list[LogitsProcessor]):
    """Processors, one after the other."""

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return what all of them make of the scores ``(batch, vocab)``."""
        for processor in self:
            scores = processor(input_ids, scores)
        return scores


class RepetitionPenaltyLogitsProcessor:
    """Make tokens that are in the text already less likely.

    Their scores are divided by the penalty where they are positive, else multiplied.
    Keskar et al. 2019, arXiv:1909.05858, section 4.1.

    Parameters
    ----------
    penalty : float
        Above 1 for less repetition, below 1 for more.
    """

    def __init__(self, penalty: float) -> None:
        if not penalty > 0:
            raise ValueError(f"penalty must be above 0; got {penalty}")
        self.penalty = np.float32(penalty)

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)`` with the penalty."""
        seen = np.zeros((scores.shape[0], scores.shape[1] + 1), bool)
        np.put_along_axis(seen, input_ids, True, axis=1)  # -1 is the column too many
        lower = np.where(scores < 0, scores * self.penalty, scores / self.penalty)
        return np.where(seen[:, :-1], lower, scores)


class NoRepeatNGramLogitsProcessor:
    """Forbid each token that would make an n-gram come a second time.

    Paulus et al. 2017, arXiv:1705.04304, section 2.5.

    Parameters
    ----------
    ngram_size : int
        Tokens in an n-gram.
    """

    def __init__(self, ngram_size: int) -> None:
        if ngram_size < 1:
            raise ValueError(f"ngram_size must be at least 1; got {ngram_size}")
        self.ngram_size = ngram_size

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, -inf for what would repeat."""
        size, length = self.ngram_size, input_ids.shape[1]
        if length < size:
            return scores
        windows = np.lib.stride_tricks.sliding_window_view(input_ids, size, axis=1)
        begun = input_ids[:, None, length + 1 - size :]
        repeats = (windows[..., :-1] == begun).all(axis=-1) & (windows >= 0).all(axis=-1)
        rows, places = np.nonzero(repeats)
        scores = scores.copy()
        scores[rows, windows[rows, places, -1]] = NEVER
        return scores


class NoBadWordsLogitsProcessor:
    """Forbid each token that would complete one of some sequences.

    Parameters
    ----------
    bad_words_ids : sequence of sequence of int
        The sequences.
    eos_token_id : int or sequence of int, optional
        A sequence that is one of these alone is left out: else no text would end.
    """

    def __init__(
        self,
        bad_words_ids: Sequence[Sequence[int]],
        eos_token_id: int | Sequence[int] | None = None,
    ) -> None:
        ends = [[id_] for id_ in _ids(eos_token_id)]
        self.bad_words_ids = [list(word) for word in bad_words_ids if list(word) not in ends]

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, -inf for what would complete one."""
        scores = scores.copy()
        for *begin, last in self.bad_words_ids:
            _check_known([last], scores.shape[1], "bad_words_ids")
            if len(begin) <= input_ids.shape[1]:
                ending = input_ids[:, input_ids.shape[1] - len(begin) :]
                scores[(ending == np.array(begin, np.int64)).all(axis=1), last] = NEVER
        return scores


class SuppressTokensLogitsProcessor:
    """Forbid some tokens.

    Parameters
    ----------
    suppress_tokens : iterable of int
        Their ids.
    """

    def __init__(self, suppress_tokens: Iterable[int]) -> None:
        self.suppress_tokens = list(suppress_tokens)

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, -inf for these tokens."""
        _check_known(self.suppress_tokens, scores.shape[1], "suppress_tokens")
        scores = scores.copy()
        scores[:, self.suppress_tokens] = NEVER
        return scores


class MinLengthLogitsProcessor:
    """Forbid a text to end before it has a number of tokens, prompt included.

    Parameters
    ----------
    min_length : int
        The number.
    eos_token_id : int or sequence of int
        What a text ends with.
    """

    def __init__(self, min_length: int, eos_token_id: int | Sequence[int]) -> None:
        self.min_length = min_length
        self._without_end = SuppressTokensLogitsProcessor(_ids(eos_token_id))

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, -inf for an end that comes too early."""
        if input_ids.shape[1] >= self.min_length:
            return scores
        return self._without_end(input_ids, scores)


class MinNewTokensLengthLogitsProcessor(MinLengthLogitsProcessor):
    """Forbid a text to end before it has a number of tokens behind the prompt.

    Parameters
    ----------
    prompt_length_to_skip : int
        Tokens of the prompt.
    min_new_tokens : int
        The number.
    eos_token_id : int or sequence of int
        What a text ends with.
    """

    def __init__(
        self, prompt_length_to_skip: int, min_new_tokens: int, eos_token_id: int | Sequence[int]
    ) -> None:
        super().__init__(prompt_length_to_skip + min_new_tokens, eos_token_id)


class PrefixConstrainedLogitsProcessor:
    """Allow only the tokens that a function allows after the text so far.

    Parameters
    ----------
    prefix_allowed_tokens_fn : callable
        Takes the number of the prompt in the batch and the ids so far ``(time,)``, an int64 array
        without padding; returns the ids that may come.
    num_beams : int
        Rows that belong to each prompt.
    """

    def __init__(
        self, prefix_allowed_tokens_fn: Callable[[int, Any], Sequence[int]], num_beams: int = 1
    ) -> None:
        self._allowed = prefix_allowed_tokens_fn
        self._rows = num_beams

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``(batch, vocab)``, -inf for what is not allowed.

        Raises
        ------
        ValueError
            If nothing is allowed.
        """
        constrained = np.full_like(scores, NEVER)
        for row, ids in enumerate(input_ids):
            allowed = np.asarray(self._allowed(row // self._rows, ids[ids >= 0]), np.int64)
            if allowed.size == 0:
                raise ValueError(
                    f"prefix_allowed_tokens_fn allows no token for prompt {row // self._rows} "
                    f"after {(ids >= 0).sum()} ids; it must return at least one id, such as that "
                    "of the end"
                )
            _check_known(allowed, scores.shape[1], "prefix_allowed_tokens_fn")
            constrained[row, allowed] = scores[row, allowed]
        return constrained


def _ids(eos_token_id: int | Sequence[int] | None) -> list[int]:
    if eos_token_id is None:
        return []
    return list(eos_token_id) if isinstance(eos_token_id, Sequence) else [eos_token_id]


def _check_known(ids: Any, vocab: int, what: str) -> None:
    for id_ in ids:
        if not 0 <= id_ < vocab:
            raise IndexError(f"{what}: id {id_} is outside the vocabulary, 0 to {vocab - 1}")
