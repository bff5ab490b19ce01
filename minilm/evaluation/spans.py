"""Which windows of one sequence occur in another: exactly, and never in quadratic time.

Windows get names, and equal windows the same one [1]_. A window of twice the length is a pair of
names, so names of 1, 2, 4, 8 ... tokens take a sort of the query and a look-up for each place of
the text per doubling. A window of any length between is a pair of two that overlap. Places of the
text that match nothing in the query drop out.

References
----------
.. [1] Karp, Miller & Rosenberg 1972, https://doi.org/10.1145/800152.804905
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHUNK = 1 << 20  # places of the text looked at together
NOWHERE = -1  # the name of a window of the text that the query does not have


@dataclass(frozen=True)
class Match:
    """A span that two sequences share.

    Attributes
    ----------
    length : int
        Its tokens; 0 if they share none.
    query, text : int
        Where it begins in each; where there are several, the first in the query, and the first
        place in the text that equals it.
    """

    length: int
    query: int
    text: int


@dataclass(frozen=True)
class _Names:
    """Names of all windows of a length."""

    length: int
    query: np.ndarray  # (windows,) int64, from 0
    text: np.ndarray  # (windows,) int32; NOWHERE where the query has no such window

    @classmethod
    def of_tokens(cls, query: np.ndarray, text: np.ndarray) -> _Names:
        known, names = np.unique(query, return_inverse=True)
        found = np.empty(len(text), np.int32)
        for begin in range(0, len(text), CHUNK):
            part = slice(begin, begin + CHUNK)
            found[part] = _look_up(known, text[part])
        return cls(1, names.astype(np.int64), found)

    def pairs(self, gap: int) -> _Names:
        """Name the windows of `gap` tokens more, `gap` being at most the length of these."""
        base = int(self.query.max(initial=0)) + 1
        windows = max(len(self.query) - gap, 0)
        keys = self.query[:windows] * base + self.query[gap : gap + windows]
        known, names = np.unique(keys, return_inverse=True)
        found = np.full(max(len(self.text) - gap, 0), NOWHERE, np.int32)
        for begin in range(0, len(found), CHUNK):
            end = min(begin + CHUNK, len(found))
            left, right = self.text[begin:end], self.text[begin + gap : end + gap]
            alive = np.flatnonzero((left != NOWHERE) & (right != NOWHERE))
            pairs = left[alive].astype(np.int64) * base + right[alive]
            found[begin + alive] = _look_up(known, pairs)
        return _Names(self.length + gap, names.astype(np.int64), found)

    @property
    def match(self) -> bool:
        """Whether any window occurs in both."""
        return bool((self.text != NOWHERE).any())

    def found(self) -> np.ndarray:
        """Return for each window of the query whether the text has it."""
        seen = np.zeros(int(self.query.max(initial=0)) + 1, bool)
        seen[self.text[self.text != NOWHERE]] = True
        return np.asarray(seen[self.query])


def _look_up(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the place of each value in a sorted array, or NOWHERE."""
    if not len(known):
        return np.full(len(values), NOWHERE, np.int32)
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[places] == values, places, NOWHERE).astype(np.int32)


def windows_found(query: np.ndarray, text: np.ndarray, length: int) -> np.ndarray:
    """Tell for each window of a sequence whether it occurs in another.

    Parameters
    ----------
    query, text : ndarray of int
        ``(tokens,)``. Memory and time grow with the text as they do with the query.
    length : int
        Tokens of a window, at least 1.

    Returns
    -------
    ndarray of bool
        ``(len(query) - length + 1,)``, or none.
    """
    names = _Names.of_tokens(query, text)
    while 2 * names.length <= length:
        names = names.pairs(names.length)
    if names.length < length:
        names = names.pairs(length - names.length)
    return names.found()


def longest_match(query: np.ndarray, text: np.ndarray) -> Match:
    """Find the longest span that two sequences share.

    Parameters
    ----------
    query, text : ndarray of int
        ``(tokens,)``.
    """
    names = _Names.of_tokens(query, text)
    if not names.match:
        return Match(0, 0, 0)
    while (longer := names.pairs(names.length)).match:
        names = longer
    # Some window of `length` is shared, none of twice that: the longest is found by bisection.
    best, too_long = names, 2 * names.length
    while too_long - best.length > 1:
        middle = (best.length + too_long) // 2
        tried = names.pairs(middle - names.length)
        if tried.match:
            best = tried
        else:
            too_long = middle
    query_at = int(best.found().argmax())
    text_at = int((best.text == best.query[query_at]).argmax())
    return Match(best.length, query_at, text_at)
