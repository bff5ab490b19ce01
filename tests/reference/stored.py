"""Where PyTorch's answers are stored, and how they are read."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from .case import Case

DATA = Path(__file__).parent / "data"


@cache
def load(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of ``data/<name>.npz``."""
    with np.load(DATA / f"{name}.npz") as file:
        return dict(file)


def load_case(case: Case) -> dict[str, np.ndarray]:
    """Return the digests of a case's results, by the results' names."""
    results = {}
    for key, value in load(case.kind).items():
        name, result = key.split("/")
        if name == case.name:
            results[result] = value
    return results


@cache
def state_dicts() -> dict[str, dict[str, list[int]]]:
    """Return names and shapes of PyTorch's state_dicts, in order, by case."""
    return json.loads((DATA / "state_dicts.json").read_text(encoding="utf-8"))
