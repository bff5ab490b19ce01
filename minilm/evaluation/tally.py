"""Adding up what a model says to a text, in memory that does not grow with the text."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

import minilm.nn.functional as F
from minilm.data.stream import IGNORED
from minilm.evaluation.names import Names
from minilm.evaluation.readers import Scores
from minilm.evaluation.result import CalibrationBin, Detail, Surprise, TokenCost
from minilm.evaluation.windows import Window

BINS = 15  # of the calibration, as in Guo et al. 2017
COSTLIEST = 20  # types reported
WORST = 10  # single tokens reported


class Tally:
    """The summed loss, and how often each token was a target.

    Attributes
    ----------
    nats : float
        The loss of all targets together.
    counts : ndarray of int64
        How often each id was a target, ``(vocab,)`` or shorter.
    """

    def __init__(self) -> None:
        self.nats = 0.0
        self.counts = np.zeros(0, np.int64)

    @property
    def tokens(self) -> int:
        """How many targets there were."""
        return int(self.counts.sum())

    def add(self, scores: Scores, window: Window) -> None:
        """Add the targets of a window that count."""
        targets = window.targets[window.targets != IGNORED]
        if targets.size:
            self.counts = _plus(self.counts, np.bincount(targets))
            self.nats += self._total(scores, window)

    def _total(self, scores: Scores, window: Window) -> float:
        return scores.total()


class DetailedTally(Tally):
    """The same, with a look at every score."""

    def __init__(self) -> None:
        super().__init__()
        self._costs = np.zeros(0)  # (vocab,): nats
        self._first = self._first_five = 0
        self._bins = np.zeros((3, BINS))  # predictions, their confidence, right ones
        self._worst: list[_Worst] = []

    def _total(self, scores: Scores, window: Window) -> float:
        return sum(self._add_block(*block, window) for block in scores.blocks())

    def _add_block(self, places: np.ndarray, logits: np.ndarray, window: Window) -> float:
        targets = window.targets.ravel()[places]
        losses = _losses(logits, targets)
        guesses = logits.argmax(1)
        confidence = np.exp(-_losses(logits, guesses))
        ahead = _ahead(logits, targets)
        self._costs = _plus(self._costs, np.bincount(targets, losses))
        self._first += int((ahead == 0).sum())
        self._first_five += int((ahead < 5).sum())
        # Bin k holds (k / BINS, (k + 1) / BINS].
        bins = np.clip(np.ceil(np.nan_to_num(confidence) * BINS).astype(int) - 1, 0, BINS - 1)
        for row, weights in enumerate((None, confidence, ahead == 0)):
            self._bins[row] += np.bincount(bins, weights, BINS)
        self._keep_worst(places, targets, losses, guesses, confidence, window)
        return float(losses.sum())

    def _keep_worst(
        self,
        places: np.ndarray,
        targets: np.ndarray,
        losses: np.ndarray,
        guesses: np.ndarray,
        confidence: np.ndarray,
        window: Window,
    ) -> None:
        time = window.targets.shape[1]
        found = []
        for i in np.argsort(-losses, kind="stable")[:WORST].tolist():
            row, column = divmod(int(places[i]), time)
            found.append(
                _Worst(
                    float(losses[i]),
                    int(targets[i]),
                    *window.place(row, column),
                    tuple(window.context(row, column).tolist()),
                    int(guesses[i]),
                    float(confidence[i]),
                )
            )
        self._worst = heapq.nlargest(WORST, self._worst + found, key=lambda one: one.nats)

    def detail(self, names: Names) -> Detail:
        """Return what was found, with the names of tokens."""
        counts = self.counts
        order = np.argsort(-self._costs, kind="stable")[:COSTLIEST].tolist()
        return Detail(
            accuracy=self._first / self.tokens,
            top5_accuracy=self._first_five / self.tokens,
            calibration=self._calibration(),
            costliest=tuple(
                TokenCost(i, names.token(i), int(counts[i]), float(self._costs[i]))
                for i in order
                if counts[i]
            ),
            worst=tuple(one.named(names) for one in self._worst),
        )

    def _calibration(self) -> tuple[CalibrationBin, ...]:
        with np.errstate(invalid="ignore"):
            means = self._bins[1:] / self._bins[0]  # 0 / 0 in an empty bin
        return tuple(
            CalibrationBin(
                low=k / BINS,
                high=(k + 1) / BINS,
                count=int(self._bins[0, k]),
                confidence=float(means[0, k]),
                accuracy=float(means[1, k]),
            )
            for k in range(BINS)
        )


@dataclass(frozen=True)
class _Worst:
    """A `Surprise` without the names of tokens."""

    nats: float
    token: int
    row: int | None
    position: int
    context: tuple[int, ...]
    guess: int
    confidence: float

    def named(self, names: Names) -> Surprise:
        return Surprise(
            nats=self.nats,
            token=self.token,
            text=names.token(self.token),
            row=self.row,
            position=self.position,
            context=self.context,
            context_text=names.text(self.context),
            guess=self.guess,
            guess_text=names.token(self.guess),
            confidence=self.confidence,
        )


def _losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    losses = F.cross_entropy(logits, targets, reduction="none").numpy()
    return np.asarray(losses, np.float64)


def _ahead(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return how many tokens the model prefers to each target.

    Of equal scores the lower id comes first, as in argmax: a model that scores all tokens the same
    is right where token 0 is. To a score that is no number, all are preferred.
    """
    own = logits[np.arange(len(targets)), targets][:, None]
    ahead = (logits > own).sum(1)
    equal = logits == own
    ahead += (equal & (np.arange(logits.shape[1]) < targets[:, None])).sum(1)
    return np.asarray(np.where(np.isnan(own[:, 0]), np.iinfo(np.int64).max, ahead))


def _plus(total: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Add two arrays, the shorter one as if 0 followed."""
    longer, shorter = (total, more) if len(total) >= len(more) else (more, total)
    padded = np.pad(shorter, (0, len(longer) - len(shorter)))
    return np.asarray(longer + padded)
