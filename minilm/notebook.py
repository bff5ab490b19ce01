"""How results show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Mapping

# `currentColor` and shades of it: a notebook may be light or dark.
STYLE = """
.minilm table { border-collapse: collapse; margin: 0 0 .8rem; }
.minilm th, .minilm td { text-align: left; padding: .2rem .9rem .2rem 0; }
.minilm table.epochs th, .minilm table.epochs td { text-align: right; }
.minilm code { white-space: pre; }
.minilm svg { display: block; width: 100%; max-width: 44rem; height: auto; }
.minilm text { fill: currentColor; font: 12px system-ui, sans-serif; }
.minilm .grid { stroke: currentColor; opacity: .15; }
.minilm .axis { stroke: currentColor; opacity: .5; }
.minilm .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
"""
LIGHT_BLUE, BLUE, ORANGE = "#8fb3d9", "#3b7dc4", "#c77a1d"  # readable on white and on black


def for_notebook(content: str, colours: Mapping[str, str] = {}) -> str:  # noqa: B006 - not written
    """Return HTML with its style, which reaches nothing else of the page.

    Parameters
    ----------
    content : str
        Tables and charts of :func:`minilm.svg.line_chart`.
    colours : mapping
        For the name of each curve its colour.
    """
    rules = [
        f".minilm .line.{name} {{ stroke: {colour}; }} "
        f".minilm .dot.{name}, .minilm .name.{name} {{ fill: {colour}; }}"
        for name, colour in colours.items()
    ]
    return f'<div class="minilm"><style>{STYLE}{chr(10).join(rules)}</style>{content}</div>'
