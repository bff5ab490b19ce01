"""Tables of weights as inline SVG: a grid of maps with one scale, names at both axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from minilm.notebook import BLUE
from minilm.svg import text_element

WIDEST = 1080  # the page; more maps begin a new row
COLUMNS = 4
PAD, TITLE, LEGEND = 10, 22, 40
TITLE_LETTER = 12.0
LETTER = 0.62  # width of a letter, of its height
LONGEST_NAME = 14  # letters
FAINTEST = 0.004  # a cell below this share of the scale does not show


@dataclass(frozen=True)
class HeatMap:
    """One map.

    Attributes
    ----------
    title : str
        Stands above it.
    values : ndarray
        ``(rows, columns)``, 0 or more.
    """

    title: str
    values: np.ndarray


def heat_maps(
    maps: Sequence[HeatMap],
    row_names: Sequence[str],
    column_names: Sequence[str],
    scale: str,
    background: str = "",
) -> str:
    """Draw maps of one shape in a grid.

    Parameters
    ----------
    maps : sequence of HeatMap
        At least one; all have the same shape.
    row_names, column_names : sequence of str
        One for each row and column. Long ones are cut.
    scale : str
        What the values are. The darkest colour is the largest value of all maps.
    background : str
        A colour; none by default, so that a page shows through.

    Returns
    -------
    str
        An ``<svg>`` element, which stands by itself. Each cell has its value as a tooltip.
    """
    layout = _Layout.of([one.title for one in maps], row_names, column_names)
    top = max(float(one.values.max()) for one in maps) or 1.0
    width, height = layout.size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" style="max-width: {width:.0f}px" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(scale)}">'
    ]
    if background:
        parts.append(f'<rect width="100%" height="100%" fill="{escape(background)}"/>')
    for place, one in enumerate(maps):
        parts += layout.draw(place, one, top, row_names, column_names)
    return "\n".join([*parts, *_legend(layout, scale, top), "</svg>"])


def shown_name(name: str) -> str:
    """Return a token as a label: white space as signs, and what is long cut.

    Examples
    --------
    >>> shown_name(" key")
    '·key'
    """
    for sign, shown in ((" ", "·"), ("Ġ", "·"), ("\n", "↵"), ("Ċ", "↵"), ("\t", "⇥"), ("\r", "↵")):
        name = name.replace(sign, shown)
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


@dataclass(frozen=True)
class _Layout:
    """Where everything lies."""

    columns: int
    rows: int
    cell: float
    letter: float  # height
    left: float  # room for the names of rows
    above: float  # room for the names of columns
    inner: tuple[float, float]  # width and height of a map
    pitch: float  # from one map to the next beside it

    @classmethod
    def of(
        cls, titles: Sequence[str], row_names: Sequence[str], column_names: Sequence[str]
    ) -> _Layout:
        longest = max(len(row_names), len(column_names))
        cell = float(np.clip(260 / longest, 9, 22))
        letter = min(11.0, cell)

        def room(names: Sequence[str]) -> float:
            return max(len(shown_name(name)) for name in names) * LETTER * letter + 8

        inner = cell * len(column_names), cell * len(row_names)
        widest = max(inner[0], *(len(title) * LETTER * TITLE_LETTER for title in titles))
        fits = int((WIDEST - room(row_names)) // (widest + 2 * PAD))
        columns = min(len(titles), COLUMNS, max(fits, 1))
        return cls(
            columns,
            -(-len(titles) // columns),
            cell,
            letter,
            room(row_names) + PAD,
            room(column_names) + TITLE,
            inner,
            widest + 2 * PAD,
        )

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of all."""
        width = self.left + self.columns * self.pitch
        # A map that is narrower than the legend must not cut it off.
        return max(width, 330.0), self.rows * (self.above + self.inner[1] + PAD) + LEGEND

    def draw(
        self,
        place: int,
        one: HeatMap,
        top: float,
        row_names: Sequence[str],
        column_names: Sequence[str],
    ) -> list[str]:
        """Draw a map with its names."""
        row, column = divmod(place, self.columns)
        x = self.left + column * self.pitch
        y = row * (self.above + self.inner[1] + PAD) + self.above
        width, height = self.inner
        parts = [_label(x, y - self.above + 14, one.title, "start", TITLE_LETTER)]
        for i, name in enumerate(column_names):
            at = x + (i + 0.5) * self.cell + 0.35 * self.letter
            turned = f'transform="rotate(-90 {at:.1f} {y - 4:.1f})"'
            parts.append(_label(at, y - 4, shown_name(name), "start", self.letter, turned))
        if column == 0:
            for i, name in enumerate(row_names):
                at = y + (i + 0.5) * self.cell + 0.35 * self.letter
                parts.append(_label(x - 5, at, shown_name(name), "end", self.letter))
        parts += self._cells(x, y, one.values, top, row_names, column_names)
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none" '
            'stroke="currentColor" stroke-opacity=".35"/>'
        )
        return parts

    def _cells(
        self,
        x: float,
        y: float,
        values: np.ndarray,
        top: float,
        row_names: Sequence[str],
        column_names: Sequence[str],
    ) -> list[str]:
        parts = []
        for i, j in np.argwhere(values >= FAINTEST * top):
            tip = f"{shown_name(row_names[i])} → {shown_name(column_names[j])}: {values[i, j]:.3f}"
            parts.append(
                f'<rect class="cell" x="{x + j * self.cell:.1f}" y="{y + i * self.cell:.1f}" '
                f'width="{self.cell:.1f}" height="{self.cell:.1f}" fill="{BLUE}" '
                f'fill-opacity="{values[i, j] / top:.3f}"><title>{escape(tip)}</title></rect>'
            )
        return parts


def _label(x: float, y: float, text: str, anchor: str, size: float, more: str = "") -> str:
    style = f'style="font-size: {size:.1f}px" fill="currentColor"'
    return text_element(x, y, text, anchor, "label", f"{style} {more}".strip())


def _legend(layout: _Layout, scale: str, top: float) -> list[str]:
    """Draw the scale below the maps, from nothing to the largest value."""
    y, step = layout.size[1] - 24, 14
    x = PAD + 12
    parts = [_label(PAD, y + 11, "0", "start", 11)]
    for i in range(6):
        parts.append(
            f'<rect x="{x + i * step}" y="{y:.1f}" width="{step}" height="{step}" fill="{BLUE}" '
            f'fill-opacity="{i / 5:.1f}"/>'
        )
    parts.append(
        f'<rect x="{x}" y="{y:.1f}" width="{6 * step}" height="{step}" fill="none" '
        'stroke="currentColor" stroke-opacity=".35"/>'
    )
    parts.append(_label(x + 6 * step + 6, y + 11, f"{top:.2f}  {scale}", "start", 11))
    return parts
