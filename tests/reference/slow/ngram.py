"""An n-gram language model with Witten-Bell smoothing, in dictionaries.

Witten & Bell 1991, https://doi.org/10.1109/18.87000 (method C), interpolated as in Chen & Goodman
1998, https://dash.harvard.edu/handle/1/25104739, section 2.6. For a context ``h`` seen ``n`` times
with ``t`` different successors, and ``h'`` the same context without its oldest token::

    p(w | h) = (count(h w) + t p(w | h')) / (n + t)

A context never seen leaves everything to ``h'``; below the empty context lies 1 / V.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence


class NGram:
    """Counts of every context of 0 .. order - 1 tokens."""

    def __init__(self, order: int, vocab_size: int):
        self.order, self.vocab_size = order, vocab_size
        self.counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)

    def fit(self, ids: Sequence[int]) -> None:
        """Count each token after the contexts before it, as long as the text gives them."""
        for i, token in enumerate(ids):
            for length in range(min(i, self.order - 1) + 1):
                self.counts[tuple(ids[i - length : i])][token] += 1

    def probability(self, context: Sequence[int], token: int) -> float:
        """p(token | the last order - 1 tokens of context)."""
        context = tuple(context)[-(self.order - 1) :] if self.order > 1 else ()
        p = 1.0 / self.vocab_size
        for length in range(len(context) + 1):
            successors = self.counts.get(context[len(context) - length :])
            if successors:
                t = len(successors)
                p = (successors[token] + t * p) / (successors.total() + t)
        return p

    def log_prob(self, ids: Sequence[int], start: int = 0) -> list[float]:
        """Log probability, in nats, of each token from ``start`` on, given those before it."""
        first = [max(0, i - self.order + 1) for i in range(len(ids))]
        return [
            math.log(self.probability(ids[first[i] : i], ids[i])) for i in range(start, len(ids))
        ]
