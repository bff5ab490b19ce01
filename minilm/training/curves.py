"""The curves of a run, as SVG for pages and notebooks, and with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minilm.svg import Reference, Series, line_chart

if TYPE_CHECKING:
    from minilm.training.history import History

CURVE_POINTS = 200  # more would not show


def history_chart(history: History, references: Sequence[Reference] = ()) -> str:
    """Draw training and validation loss against epochs, as an SVG element.

    Parameters
    ----------
    history : History
        Losses in nats a token.
    references : sequence of Reference
        Losses to compare with.

    Returns
    -------
    str
        Empty where nothing was trained.
    """
    if not history.step_losses:
        return ""
    series = [Series("train", thinned(history.step_losses, history.steps_per_epoch))]
    valid = [(row["epoch"], row["val_loss"]) for row in history.records if "val_loss" in row]
    if valid:
        series.append(Series("valid", valid, dots=True))
    return line_chart(series, references, "epochs", "loss, nats a token")


def plot_history(history: History, ax: Any = None) -> Any:
    """Draw the same with matplotlib; see :meth:`History.plot`."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError(
            "drawing needs matplotlib: pip install 'minilm[plots]'. In a notebook, the history "
            "itself shows its curves without it"
        ) from None
    if ax is None:
        _, ax = pyplot.subplots(figsize=(7, 4))
    points = thinned(history.step_losses, history.steps_per_epoch)
    ax.plot(*zip(*points, strict=True), color="#8fb3d9", label="train")
    valid = [(row["epoch"], row["val_loss"]) for row in history.records if "val_loss" in row]
    if valid:
        ax.plot(*zip(*valid, strict=True), "o-", color="#1f5fa8", label="valid")
    ax.set_xlabel("epochs")
    ax.set_ylabel("loss, nats a token")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def thinned(losses: Sequence[float], steps_per_epoch: int) -> list[tuple[float, float]]:
    """Average runs of steps, so that about `CURVE_POINTS` points against epochs remain."""
    width = -(-len(losses) // CURVE_POINTS)
    return [
        ((start + len(chunk) / 2) / steps_per_epoch, sum(chunk) / len(chunk))
        for start in range(0, len(losses), max(width, 1))
        if (chunk := losses[start : start + width])
    ]
