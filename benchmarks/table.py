"""The results for people: a table for the terminal, one for the README, and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLUMNS = [  # title, name of the figure, format
    ("row", "row", "{:<15}"),
    ("minilm ms", "minilm ms", "{:>10.2f}"),
    ("torch ms", "torch ms", "{:>9.2f}"),
    ("fused ms", "fused ms", "{:>9.2f}"),
    ("JAX ms", "jax ms", "{:>9.2f}"),
    ("roof ms", "roof ms", "{:>8.2f}"),
    ("x torch", "over torch", "{:>7.2f}"),
    ("x JAX", "over jax", "{:>6.2f}"),
    ("of roof", "of roof", "{:>8.2f}"),
    ("faults", "minilm faults", "{:>7.1f}"),
    ("torch's", "torch faults", "{:>8.1f}"),
    ("JAX's", "jax faults", "{:>8.1f}"),
    ("MiB", "minilm MiB", "{:>6.0f}"),
    ("torch's", "torch MiB", "{:>8.0f}"),
    ("JAX's", "jax MiB", "{:>6.0f}"),
    ("loss", "minilm loss", "{:>8.4f}"),
    ("differs", "difference", "{:>8.0e}"),
    ("same", "same", "{:>5}"),
]

README_COLUMNS = [
    ("model, batch", "title", "{}"),
    ("minilm ms", "minilm ms", "{:.1f}"),
    ("PyTorch ms", "torch best ms", "{:.1f}"),
    ("JAX ms", "jax ms", "{:.1f}"),
    ("faster than PyTorch", "over torch", "{:.1f}"),
    ("than JAX", "over jax", "{:.1f}"),
    ("share of the roofline", "of roof", "{:.0%}"),
    ("peak MiB", "minilm MiB", "{:.0f}"),
    ("PyTorch's", "torch MiB", "{:.0f}"),
    ("JAX's", "jax MiB", "{:.0f}"),
]

COLOURS = {"minilm": "#4477aa", "torch": "#ee6677", "jax": "#ccbb44"}
NAMES = {"minilm": "minilm", "torch": "PyTorch", "jax": "JAX"}


def header() -> str:
    """Return the titles of the columns."""
    titles = (_at_width(title, form) for title, _, form in COLUMNS)
    return " ".join(titles)


def line(row: dict[str, Any]) -> str:
    """Return one row's figures; those that were not measured are empty."""
    cells = []
    for _, name, form in COLUMNS:
        value = row.get(name)
        cells.append(_at_width("", form) if value is None else form.format(value))
    return " ".join(cells)


def _at_width(text: str, form: str) -> str:
    width = len(form.format("" if form.endswith(("<15}", ">5}")) else 0))
    return f"{text:<{width}}" if "<" in form else f"{text:>{width}}"


def markdown(results: dict[str, Any]) -> str:
    """Return what stands in the README: a line on the run, and its table.

    Columns of which no row has a figure are left out; void rows are said to be so.
    """
    rows = [_with_best(row) for row in results["rows"]]
    columns = [column for column in README_COLUMNS if any(row.get(column[1]) for row in rows)]
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    lines = [
        f"{machine['cpu']}, {machine['isa']}, {machine['threads']} threads; {versions}; medians of "
        f"{results['measured steps']} steps by turns:",
        "",
        "| " + " | ".join(title for title, _, _ in columns) + " |",
        "|" + "---|" * len(columns),
    ]
    for row in rows:
        cells = [_cell(row, name, form) for _, name, form in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _with_best(row: dict[str, Any]) -> dict[str, Any]:
    """Add the better of torch's two, and say so where a row is void."""
    torches = [row[name] for name in ("torch ms", "fused ms") if name in row]
    void = " (void: losses differ)" if row.get("same") == "VOID" else ""
    return row | {"torch best ms": min(torches, default=None), "title": row["title"] + void}


def _cell(row: dict[str, Any], name: str, form: str) -> str:
    value = row.get(name)
    return "" if value is None else form.format(value)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw how many times faster than the others, and each library's share of the roofline."""
    from matplotlib.figure import Figure

    rows = [_with_best(row) for row in rows][::-1]
    faster = {name: [row.get(f"over {name}") for row in rows] for name in ("torch", "jax")}
    times = {"minilm": "minilm ms", "torch": "torch best ms", "jax": "jax ms"}
    share = {
        name: [row["roof ms"] / row[figure] if row.get(figure) else None for row in rows]
        for name, figure in times.items()
    }
    figure = Figure(figsize=(12, 0.75 * len(rows) + 1.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _bars(left, faster, "times as fast as", "{:.2f}")
    _bars(right, share, "share of the roofline", "{:.0%}")
    left.set_yticks(range(len(rows)), [row["title"] for row in rows])
    figure.savefig(path, dpi=120)


def _bars(axis: Any, series: dict[str, list[float | None]], title: str, form: str) -> None:
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
    axis.axvline(1, color="#888888", linewidth=1, zorder=0)
    axis.set_title(title)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.12)
    if measured:
        axis.legend(frameon=False, loc="lower right")
