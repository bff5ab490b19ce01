"""One page about a run, in one file that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from minilm.atomic import atomic_write
from minilm.evaluation import gap, perplexity
from minilm.svg import Reference
from minilm.training.curves import history_chart
from minilm.training.history import History
from minilm.training.report_style import STYLE


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
        best = self.history.best_record()
        figures = []
        if best is not None:
            figures.append(_figure(f"validation, epoch {best['epoch']:g}", best["val_loss"]))
        for reference in self.references:
            note = ""
            if best is not None:
                note = f"; validation is {gap(best['val_loss'], reference.value)}"
            figures.append(_figure(reference.name, reference.value, note))
        return f'<div class="figures">{"".join(figures)}</div>'

    def _chart(self) -> str:
        chart = history_chart(self.history, self.references)
        return f'<div class="chart">{chart}</div>' if chart else ""

    def _samples(self) -> str:
        samples = "".join(
            f'<div class="sample"><h3>{escape(how)}</h3><p>{escape(text)}</p></div>'
            for how, text in self.samples.items()
        )
        return _section("What it writes", samples) if samples else ""

    def _epochs(self) -> str:
        table = self.history.table()
        return _section("Epochs", f'<div class="scroll">{table}</div>') if table else ""


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
