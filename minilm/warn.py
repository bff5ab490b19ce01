"""Warnings that point at the caller's line, wherever in minilm they come from."""

from __future__ import annotations

import sys
import warnings


def warn_caller(message: str) -> None:
    """Warn, as from the nearest line outside of minilm; Python says it once for each such line."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module == "minilm" or module.startswith("minilm.")
