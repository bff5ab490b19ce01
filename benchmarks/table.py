"""The results for people: a table and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLUMNS = [  # title, name of the figure, format
    ("row", "row", "{:<15}"),
    ("minilm ms", "minilm ms", "{:>10.2f}"),
    ("torch ms", "torch ms", "{:>9.2f}"),
    ("fused ms", "fused ms", "{:>9.2f}"),
    ("roof ms", "roof ms", "{:>8.2f}"),
    ("faster", "faster", "{:>7.2f}"),
    ("of roof", "of roof", "{:>8.2f}"),
    ("faults", "minilm faults", "{:>7.1f}"),
    ("torch's", "torch faults", "{:>8.1f}"),
    ("MiB", "minilm MiB", "{:>6.0f}"),
    ("torch's", "torch MiB", "{:>8.0f}"),
    ("loss", "minilm loss", "{:>8.4f}"),
    ("torch's", "torch loss", "{:>8.4f}"),
    ("same", "same", "{:>5}"),
]


def header() -> str:
    """Return the titles of the columns."""
    titles = (_at_width(title, form) for title, _, form in COLUMNS)
    return " ".join(titles)


def line(result: dict[str, Any]) -> str:
    """Return one row's figures; those that were not measured are empty."""
    cells = []
    for _, name, form in COLUMNS:
        value = result.get(name)
        cells.append(_at_width("", form) if value is None else form.format(value))
    return " ".join(cells)


def _at_width(text: str, form: str) -> str:
    width = len(form.format(0 if form.endswith("f}") else ""))
    return f"{text:<{width}}" if "<" in form else f"{text:>{width}}"


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Draw how many times faster than torch, and the share of the roofline."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 0.45 * len(results) + 1.5))
    axes = figure.subplots(1, 2, sharey=True)
    names = [result["row"] for result in results][::-1]
    panels = [("faster", "times faster than torch"), ("of roof", "share of the roofline")]
    for axis, (column, title) in zip(axes, panels, strict=True):
        values = [result.get(column) or 0 for result in results][::-1]
        bars = axis.barh(names, values, color="#4477aa")
        axis.bar_label(bars, fmt="%.2f", padding=3)
        axis.axvline(1, color="#888888", linewidth=1)
        axis.set_title(title)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.15)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
