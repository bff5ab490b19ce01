"""Line charts as inline SVG, drawn from numbers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 860, 400
LEFT, RIGHT, TOP, BOTTOM = 58, 156, 14, 46


@dataclass(frozen=True)
class Series:
    """A curve.

    Attributes
    ----------
    name : str
        Shown at the end of the curve, and its CSS class.
    points : sequence of (float, float)
        From left to right.
    dots : bool
        Whether each point shows, with its values as a tooltip.
    """

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


@dataclass(frozen=True)
class Reference:
    """A dashed line across the chart, at a height that has a name."""

    name: str
    value: float


def line_chart(
    series: Sequence[Series],
    references: Sequence[Reference],
    x_label: str,
    y_label: str,
    x_format: Callable[[float], str] = "{:g}".format,
) -> str:
    """Draw curves and reference lines.

    The height shows all references, all dots, and every curve after its first tenth, where a
    training loss falls steeply: what is above is cut off.

    Parameters
    ----------
    series : sequence of Series
        At least one point in all.
    references : sequence of Reference
        May be empty.
    x_label, y_label : str
        What the axes show, with units.
    x_format : callable
        How numbers on the x axis are written: for logarithms, as what they are logarithms of.

    Returns
    -------
    str
        An ``<svg>`` element. Its colours come from the page: a curve has the class ``line`` and
        its name, a reference ``reference``, text and grid have ``label`` and ``grid``.
    """
    frame = _Frame.around(series, references)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(y_label)} against {escape(x_label)}">',
        # Wide enough for a dot at either end.
        f'<clipPath id="inside"><rect x="{LEFT - 4}" y="{TOP}" width="{WIDTH - LEFT - RIGHT + 8}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/></clipPath>',
        *_axes(frame, x_label, y_label, x_format),
        *(_reference(frame, reference) for reference in references),
        *(_curve(frame, one, x_format) for one in series),
        *_names(frame, series, references),
        "</svg>",
    ]
    return "\n".join(parts)


@dataclass(frozen=True)
class _Frame:
    """Which numbers the chart spans, and where on the page they lie."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    @classmethod
    def around(cls, series: Sequence[Series], references: Sequence[Reference]) -> _Frame:
        xs = [x for one in series for x, _ in one.points]
        start = min(xs) + (max(xs) - min(xs)) / 10
        shown = [y for one in series for x, y in one.points if one.dots or x >= start]
        shown += [reference.value for reference in references]
        pad = 0.06 * (max(shown) - min(shown)) or 0.5
        return cls(min(0.0, *xs), max(xs) or 1.0, min(shown) - pad, max(shown) + pad)

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Return about `count` round numbers in [low, high]: 1, 2 or 5 times a power of ten apart.

    Examples
    --------
    >>> ticks(0.0, 9.7)
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    return [round(k * step, 12) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _axes(frame: _Frame, x_label: str, y_label: str, x_format: Callable[[float], str]) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value in ticks(frame.y_low, frame.y_high):
        y = frame.y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(text_element(LEFT - 8, y + 4, f"{value:g}", anchor="end"))
    for value in ticks(frame.x_low, frame.x_high, 8):
        parts.append(text_element(frame.x(value), bottom + 18, x_format(value), anchor="middle"))
    parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>')
    parts.append(text_element((LEFT + right) / 2, HEIGHT - 8, x_label, anchor="middle"))
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text class="label" text-anchor="middle" transform="translate(14 {middle:.1f}) '
        f'rotate(-90)">{escape(y_label)}</text>'
    )
    return parts


def _curve(frame: _Frame, one: Series, x_format: Callable[[float], str]) -> str:
    places = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in one.points)
    parts = [f'<polyline class="line {escape(one.name)}" points="{places}"/>']
    if one.dots:
        parts += [
            f'<circle class="dot {escape(one.name)}" cx="{frame.x(x):.1f}" '
            f'cy="{frame.y(y):.1f}" r="3.5"><title>{escape(one.name)} {y:.4f} at '
            f"{x_format(x)}</title></circle>"
            for x, y in one.points
        ]
    return f'<g clip-path="url(#inside)">{"".join(parts)}</g>'


def _reference(frame: _Frame, reference: Reference) -> str:
    y = frame.y(reference.value)
    return f'<path class="reference" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'


def _names(frame: _Frame, series: Sequence[Series], references: Sequence[Reference]) -> list[str]:
    """Write names and last values right of the chart, moved apart where they would overlap."""
    ends = [(one.points[-1][1], one.name) for one in series if one.points]
    ends += [(reference.value, reference.name) for reference in references]
    parts, lowest = [], -math.inf
    for value, name in sorted(ends, reverse=True):
        lowest = max(frame.y(value) + 4, lowest + 16)
        parts.append(
            text_element(WIDTH - RIGHT + 8, lowest, f"{name} {value:.3f}", css=f"name {name}")
        )
    return parts


def text_element(
    x: float, y: float, text: str, anchor: str = "start", css: str = "label", more: str = ""
) -> str:
    """Return a line of text as SVG.

    Parameters
    ----------
    x, y : float
        Where its anchor stands.
    text : str
        What it says.
    anchor : {"start", "middle", "end"}
        Which part of it stands there.
    css : str
        Its class.
    more : str
        Further attributes.
    """
    return (
        f'<text class="{escape(css)}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        f"{' ' if more else ''}{more}>{escape(text)}</text>"
    )
