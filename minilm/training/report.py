"""One page about a run, in one file that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import Any

from minilm.atomic import atomic_write
from minilm.evaluation import gap, perplexity
from minilm.svg import Reference, Series, line_chart
from minilm.training.history import EpochRecord, History
from minilm.training.report_style import STYLE

CURVE_POINTS = 200  # more would not show


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes
    ----------
    title, lead : str
        A name for the run, and a sentence on it.
    history : History
        Losses in nats a token.
    references : sequence of Reference
        Losses to compare with: an n-gram's, the text's own entropy.
    settings, environment : mapping
        Names and values, shown as two tables.
    samples : mapping of str to str
        How each passage was made, and the passage.
    """

    title: str
    lead: str
    history: History
    references: Sequence[Reference]
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    samples: Mapping[str, str]

    def html(self) -> str:
        """Return the page."""
        return "\n".join(
            [
                '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
                f"<h1>{escape(self.title)}</h1>",
                f'<p class="lead">{escape(self.lead)}</p>',
                self._figures(),
                self._chart(),
                self._samples(),
                '<div class="pair">',
                _section("Settings", _table(self.settings)),
                _section("Environment", _table(self.environment)),
                "</div>",
                self._epochs(),
                "</body>\n</html>\n",
            ]
        )

    def write(self, path: Path) -> None:
        """Write the page into a file, atomically.

        Raises
        ------
        OSError
            If the file cannot be written; an old one stays as it was.
        """
        page = self.html().encode("utf-8")
        atomic_write(path, lambda file: file.write(page))

    def _figures(self) -> str:
        """Show the losses to compare as large figures."""
        best = self.history.best
        figures = (
            [] if best is None else [_figure(f"validation, epoch {best.epoch}", best.valid_loss)]
        )
        for reference in self.references:
            note = (
                "" if best is None else f"; validation is {gap(best.valid_loss, reference.value)}"
            )
            figures.append(_figure(reference.name, reference.value, note))
        return f'<div class="figures">{"".join(figures)}</div>'

    def _chart(self) -> str:
        records, losses = self.history.records, self.history.step_losses
        if not losses:
            return ""
        series = [Series("train", _thinned(losses, self.history.steps_per_epoch))]
        if records:
            valid = [(float(record.epoch), record.valid_loss) for record in records]
            series.append(Series("valid", valid, dots=True))
        chart = line_chart(series, self.references, "epochs", "loss, nats a token")
        return f'<div class="chart">{chart}</div>'

    def _samples(self) -> str:
        samples = "".join(
            f'<div class="sample"><h3>{escape(how)}</h3><p>{escape(text)}</p></div>'
            for how, text in self.samples.items()
        )
        return _section("What it writes", samples) if samples else ""

    def _epochs(self) -> str:
        if not self.history.records:
            return ""
        columns = fields(EpochRecord)
        head = "".join(f"<th>{escape(column.name.replace('_', ' '))}</th>" for column in columns)
        body = "".join(
            "<tr>"
            + "".join(
                f"<td>{getattr(record, column.name):{column.metadata['format']}}</td>"
                for column in columns
            )
            + "</tr>"
            for record in self.history.records
        )
        table = f'<table class="epochs"><tr>{head}</tr>{body}</table>'
        return _section("Epochs", f'<div class="scroll">{table}</div>')


def _thinned(losses: Sequence[float], steps_per_epoch: int) -> list[tuple[float, float]]:
    """Average runs of steps, so that about `CURVE_POINTS` points against epochs remain."""
    width = -(-len(losses) // CURVE_POINTS)
    return [
        ((start + len(chunk) / 2) / steps_per_epoch, sum(chunk) / len(chunk))
        for start in range(0, len(losses), width)
        if (chunk := losses[start : start + width])
    ]


def _figure(name: str, loss: float, note: str = "") -> str:
    return (
        f'<div class="figure"><span>{escape(name)}</span><b>{loss:.4f}</b>'
        f"<span>nats a token, perplexity {perplexity(loss):.2f}{note}</span></div>"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(_shown(value))}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
