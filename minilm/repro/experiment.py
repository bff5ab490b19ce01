"""What an experiment is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Say: TypeAlias = Callable[[str], object]


@dataclass(frozen=True)
class Outcome:
    """One figure of an experiment, beside what it is measured against.

    Attributes
    ----------
    name : str
        What was measured.
    value : float
        What came out.
    goal : float, optional
        What it has to reach.
    at_most : bool
        Whether the goal is an upper limit, as of a loss; otherwise it is a lower one.
    """

    name: str
    value: float
    goal: float | None = None
    at_most: bool = True

    @property
    def reached(self) -> bool | None:
        """Tell whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def __str__(self) -> str:
        text = f"{self.name:44} {self.value:10.4f}"
        if self.goal is None:
            return text
        verdict = "reached" if self.reached else "missed"
        return f"{text}  goal: {'<=' if self.at_most else '>='} {self.goal:g}, {verdict}"


@dataclass(frozen=True)
class Experiment:
    """An experiment that can be done again.

    Attributes
    ----------
    name : str
        As ``minilm repro`` knows it.
    summary : str
        What is done, in a sentence.
    data : str
        The text it takes by default: the name of a file, looked for in the folder of data, or
        "stories".
    run : callable
        Takes the path of the text, a share of the work to do (1 is all of it; less is for tests,
        and reaches no goal) and a function to tell people things; returns outcomes.
    """

    name: str
    summary: str
    data: str
    run: Callable[[Path, float, Say], list[Outcome]]
