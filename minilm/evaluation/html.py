"""An evaluation as it shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from minilm.notebook import BLUE, for_notebook
from minilm.svg import Series, line_chart

if TYPE_CHECKING:
    from minilm.evaluation.result import CalibrationBin, Detail, Evaluation

COLOURS = {"model": BLUE, "perfect": "#85909a"}


def evaluation_html(evaluation: Evaluation) -> str:
    """Return figures and terms as a table, and what the detail holds below it."""
    parts = [_table(_figures(evaluation)), f"<p>{escape(str(evaluation))}</p>"]
    if evaluation.detail is not None:
        parts += _detail(evaluation.detail)
    return for_notebook("".join(parts), COLOURS)


def _figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    rows = [
        ("loss, nats a token", f"{evaluation.loss:.4f}"),
        ("perplexity", f"{evaluation.perplexity:.4f}"),
        ("tokens", f"{evaluation.tokens:,}"),
    ]
    if evaluation.chars_per_token is not None:
        rows.append(("bits a character", f"{evaluation.bits_per_char():.4f}"))
    if evaluation.bytes_per_token is not None:
        rows.append(("bits a byte", f"{evaluation.bits_per_byte():.4f}"))
    detail = evaluation.detail
    if detail is not None:
        rows += [
            ("accuracy", f"{detail.accuracy:.2%}"),
            ("among the first five", f"{detail.top5_accuracy:.2%}"),
            ("calibration error", f"{detail.calibration_error:.2%}"),
        ]
    return rows


def _detail(detail: Detail) -> Iterable[str]:
    yield reliability_diagram(detail.calibration)
    yield _table(
        [
            (_code(one.text, one.token), f"{one.count:,}", f"{one.nats:.1f}", f"{one.mean:.3f}")
            for one in detail.costliest
        ],
        ("costliest tokens", "count", "nats in all", "nats each"),
    )
    yield _table(
        [
            (
                f"{one.nats:.2f}",
                _code(one.context_text, " ".join(map(str, one.context))),
                _code(one.text, one.token),
                f"{_code(one.guess_text, one.guess)} ({one.confidence:.0%})",
            )
            for one in detail.worst
        ],
        ("nats", "after", "came", "most likely was"),
    )


def reliability_diagram(bins: Sequence[CalibrationBin]) -> str:
    """Draw how often the model is right against how sure it is, as an ``<svg>`` element.

    On the diagonal it is as often right as it says.
    """
    points = [(one.confidence, one.accuracy) for one in bins if one.count]
    perfect = [(0.0, 0.0), (1.0, 1.0)]
    return line_chart(
        [Series("perfect", perfect), Series("model", points, dots=True)],
        [],
        "confidence: probability of the likeliest token",
        "accuracy",
    )


def _code(text: str | None, otherwise: object) -> str:
    """Show a token so that its spaces and line ends can be seen; the id where it has no name."""
    return f"<code>{escape(str(otherwise) if text is None else repr(text)[1:-1])}</code>"


def _table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Put cells that are HTML into a table; without a head, the first of a row is its name."""
    lines = ["".join(f"<th>{cell}</th>" for cell in head)] if head else []
    for first, *cells in rows:
        tag = "td" if head else "th"
        lines.append(f"<{tag}>{first}</{tag}>" + "".join(f"<td>{cell}</td>" for cell in cells))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
