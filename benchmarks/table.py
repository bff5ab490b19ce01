"""The results for people: a table for the terminal, and one for the README."""

from __future__ import annotations

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
    rows = [with_best(row) for row in results["rows"]]
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


def with_best(row: dict[str, Any]) -> dict[str, Any]:
    """Add the better of torch's two, and say so where a row is void."""
    torches = [row[name] for name in ("torch ms", "fused ms") if name in row]
    void = " (void: losses differ)" if row.get("same") == "VOID" else ""
    return row | {"torch best ms": min(torches, default=None), "title": row["title"] + void}


def _cell(row: dict[str, Any], name: str, form: str) -> str:
    value = row.get(name)
    return "" if value is None else form.format(value)
