"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Severity(IntEnum):
    """How bad it is; the higher, the worse."""

    HINT = 1
    """There is something to gain."""
    HARM = 2
    """The model is worse than it needs to be."""
    BROKEN = 3
    """What the run reached means nothing, or there is nothing."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a run.

    Attributes
    ----------
    name : str
        What it is called.
    severity : Severity
    meaning : str
        What that is, in plain words.
    numbers : dict
        What it was told from: names, and numbers or names.
    advice : str
        What to try.
    """

    name: str
    severity: Severity
    meaning: str
    numbers: dict[str, Any]
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, as JSON can hold it."""
        return {**vars(self), "severity": self.severity.name.lower()}

    def __str__(self) -> str:
        """Return it in four lines."""
        numbers = ", ".join(f"{name} {_shown(value)}" for name, value in self.numbers.items())
        return (
            f"{self.name} ({self.severity.name.lower()})\n  {self.meaning}\n"
            f"  Seen: {numbers}.\n  Try: {self.advice}"
        )


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
