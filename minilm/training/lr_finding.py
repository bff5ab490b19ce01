"""What a test of learning rates has found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minilm.notebook import BLUE, LIGHT_BLUE, ORANGE, for_notebook
from minilm.svg import Series, line_chart

COLOURS = {"loss": LIGHT_BLUE, "smoothed": BLUE, "suggestion": ORANGE}


@dataclass(frozen=True)
class LRFinding:
    """Losses against learning rates, and the rates that they suggest.

    Parameters
    ----------
    lrs : list of float
        The rate of each step, growing.
    losses : list of float
        The loss before each step, in nats a token for cross-entropy.
    running_means : list of float
        Their running mean, which lags behind them by many steps.
    """

    lrs: list[float]
    losses: list[float]
    running_means: list[float]

    @cached_property
    def smoothed(self) -> list[float]:
        """Means of the losses before and after each step, weighted by a bell curve: no lag."""
        losses = np.array(self.losses)
        steps = np.arange(len(losses))
        width = max(1.0, len(losses) / 50)
        weights = np.exp(-0.5 * ((steps[:, None] - steps) / width) ** 2)
        return [float(mean) for mean in (weights * losses).sum(1) / weights.sum(1)]

    @property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls most steeply; None if it never falls.

        Smith (2017, section 3.3) reads the range of good rates from the same fall. Whether a rate
        is best for a long training no short test can say: it is a place to start a search from.
        """
        losses = self.smoothed
        slopes = np.diff(losses[: int(np.argmin(losses)) + 1])
        return self.lrs[int(np.argmin(slopes))] if len(slopes) else None

    @property
    def valley(self) -> float | None:
        """A more careful one: in the middle of the longest fall; None if there is none.

        fastai's method of this name: the longest sequence of ever lower running means, others left
        out, without the first tenth and the last five.
        """
        start = len(self.lrs) // 10
        first, last = _longest_fall(self.running_means[start:-5])
        return self.lrs[start + (first + last) // 2] if last > first else None

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses against the rates, with matplotlib.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure without it.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not there.
        """
        try:
            from matplotlib import pyplot
        except ImportError:
            raise ImportError(
                "drawing needs matplotlib: pip install 'minilm[plots]'. In a notebook, the finding "
                "itself shows its curve without it"
            ) from None
        if ax is None:
            _, ax = pyplot.subplots(figsize=(7, 4))
        shown = slice(self._drawn_steps())
        ax.plot(self.lrs[shown], self.losses[shown], color="#8fb3d9", label="loss")
        ax.plot(self.lrs[shown], self.smoothed[shown], color="#1f5fa8", label="smoothed")
        if self.suggestion is not None:
            label = f"suggestion {self.suggestion:.2g}"
            ax.axvline(self.suggestion, color="#b4690e", linestyle="--", label=label)
        ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.grid(alpha=0.3)
        ax.legend()
        return ax

    def _repr_html_(self) -> str:
        if len(self.lrs) < 2:
            return "<p>The loss was not finite after the first step.</p>"
        series = [
            Series("loss", self._on_log_axis(self.losses)),
            Series("smoothed", self._on_log_axis(self.smoothed)),
        ]
        text = "The loss never falls: no learning rate is suggested."
        if self.suggestion is not None:
            index = self.lrs.index(self.suggestion)
            dot = self._on_log_axis(self.smoothed)[index]
            series.append(Series("suggestion", [dot], dots=True))
            text = f"Suggested learning rate: {self.suggestion:.2g}, where the loss falls fastest."
        chart = line_chart(series, [], "learning rate", "loss", lambda x: f"{10**x:.1g}")
        return for_notebook(f"<p>{text}</p>{chart}", COLOURS)

    def _on_log_axis(self, losses: Sequence[float]) -> list[tuple[float, float]]:
        pairs = zip(self.lrs, losses[: self._drawn_steps()], strict=False)
        return [(math.log10(lr), loss) for lr, loss in pairs]

    def _drawn_steps(self) -> int:
        """Return after how many steps to stop drawing: what explodes would hide what falls."""
        losses = np.array(self.smoothed)
        lowest = int(losses.argmin())
        if lowest == 0:
            return len(losses)
        too_high = np.flatnonzero(losses[lowest:] > 2 * losses[0] - losses[lowest])
        return lowest + int(too_high[0]) if len(too_high) else len(losses)


def _longest_fall(values: Sequence[float]) -> tuple[int, int]:
    """Return where the longest falling sequence of values begins and ends, gaps allowed."""
    if not values:
        return 0, 0
    lengths = np.ones(len(values), np.int64)
    begins = np.arange(len(values))
    array = np.array(values)
    for i in range(1, len(values)):
        higher = np.flatnonzero(array[:i] > array[i])
        if len(higher):
            before = higher[np.argmax(lengths[higher])]
            lengths[i], begins[i] = lengths[before] + 1, begins[before]
    last = int(np.argmax(lengths))
    return int(begins[last]), last
