"""The results as pictures."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from table import with_best

COLOURS = {"minilm": "#4477aa", "torch": "#ee6677", "jax": "#ccbb44"}
NAMES = {"minilm": "minilm", "torch": "PyTorch", "jax": "JAX"}
GREY = "#888888"


def draw_results(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw how many times as fast as the others we are, and all shares of the roofline."""
    from matplotlib.figure import Figure

    rows = [with_best(row) for row in rows][::-1]
    faster = {name: [row.get(f"over {name}") for row in rows] for name in ("torch", "jax")}
    times = {"minilm": "minilm ms", "torch": "torch best ms", "jax": "jax ms"}
    share = {
        name: [row["roof ms"] / row[figure] if row.get(figure) else None for row in rows]
        for name, figure in times.items()
    }
    figure = Figure(figsize=(12, 0.7 * len(rows) + 1.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_bars(left, faster, "{:.2f}")
    _draw_bars(right, share, "{:.0%}")
    left.set_title("minilm is so many times as fast")
    right.set_title("share of the roofline")
    right.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    left.set_yticks(range(len(rows)), [row["title"] for row in rows])
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=120)


def _draw_bars(axis: Any, series: dict[str, list[float | None]], form: str) -> None:
    """Draw groups of horizontal bars, one of each series in a group; 1 is marked."""
    measured = {name: values for name, values in series.items() if any(values)}
    height = 0.8 / max(len(measured), 1)
    for number, (name, values) in enumerate(measured.items()):
        places = [group + 0.4 - (number + 0.5) * height for group in range(len(values))]
        widths = [value or 0 for value in values]
        label, colour = NAMES[name], COLOURS[name]
        bars = axis.barh(places, widths, height=0.9 * height, label=label, color=colour)
        texts = ["" if value is None else form.format(value) for value in values]
        axis.bar_label(bars, texts, padding=3, fontsize=8)
    axis.axvline(1, color=GREY, linewidth=1, zorder=0)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.12)


def draw_grid(cells: list[dict[str, Any]], sizes: dict[str, list[int]], path: Path) -> None:
    """Draw a heat map of ratios for each kind and time: 1 is white, more is blue, less is red."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    kinds, times = list(dict.fromkeys(cell["kind"] for cell in cells)), sizes["time"]
    width, height = 0.62 * len(sizes["batch"]) + 1, 0.5 * len(sizes["hidden"]) + 1
    figure = Figure((width * len(kinds) + 1, height * len(times) + 0.4), layout="constrained")
    panels = figure.subplots(len(times), len(kinds), sharex=True, sharey=True, squeeze=False)
    ratio = {(c["kind"], c["time"], c["hidden"], c["batch"]): c["ratio"] for c in cells}
    for (row, time), (column, kind) in product(enumerate(times), enumerate(kinds)):
        axis = panels[row, column]
        values = np.array(
            [[ratio[kind, time, h, b] for b in sizes["batch"]] for h in sizes["hidden"]]
        )
        image = axis.imshow(values, cmap="RdBu", norm=LogNorm(1 / 8, 8), aspect="auto")
        _write_values(axis, values)
        axis.set_title(f"{kind}, {time} steps", fontsize=10)
        axis.set_xticks(range(len(sizes["batch"])), sizes["batch"])
        axis.set_yticks(range(len(sizes["hidden"])), sizes["hidden"])
        axis.tick_params(length=0)
    figure.supxlabel("batch", fontsize=10)
    figure.supylabel("hidden size", fontsize=10)
    bar = figure.colorbar(image, ax=panels)
    bar.set_ticks([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], labels="1/8 1/4 1/2 1 2 4 8".split())
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label("times as fast as PyTorch")
    figure.savefig(path, dpi=120)


def _write_values(axis: Any, values: np.ndarray) -> None:
    """Write the ratios on a heat map, those below 1 in bold."""
    for (i, j), value in np.ndenumerate(values):
        axis.text(
            j,
            i,
            f"{value:.2f}" if value < 10 else f"{value:.0f}",
            ha="center",
            va="center",
            size=8,
            weight="bold" if value < 1 else "normal",
            color="black" if 1 / 3 < value < 3 else "white",
        )


AXES = {"batch": "batch B", "time": "time steps T", "vocab": "vocabulary V"}


def draw_scaling(results: list[dict[str, Any]], title: str, path: Path) -> None:
    """Draw the times beside lines of slope 1 through the last of them."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    figure = Figure(figsize=(3.8 * len(results), 3.8), layout="constrained")
    panels = figure.subplots(1, len(results), sharey=True)
    for axis, result in zip(panels, results, strict=True):
        sizes, times = np.array(result["sizes"]), np.array(result["ms"])
        line = times[-1] * sizes / sizes[-1]
        axis.loglog(sizes, line, color=GREY, linestyle="--", label="slope 1")
        label = f"measured, slope {result['slope']:.2f}"
        axis.loglog(sizes, times, color=COLOURS["minilm"], marker="o", label=label)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.set_xlabel(AXES[result["axis"]])
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, loc="upper left")
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[0].yaxis.set_minor_locator(NullLocator())
    panels[0].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panels[0].set_ylabel("ms a step")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=120)
