"""JSON that every reader understands."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(values: Mapping[str, Any]) -> str:
    """Return a mapping as indented JSON text.

    Parameters
    ----------
    values : mapping
        Names, and what JSON can hold. JSON has no infinity and no NaN (a perplexity may overflow):
        they become null.

    Returns
    -------
    str
    """
    return json.dumps(finite(values), indent=2, ensure_ascii=False, allow_nan=False)


def finite(value: Any) -> Any:
    """Return what JSON can hold in place of a value: null for infinity and NaN, at any depth."""
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
