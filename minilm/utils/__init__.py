"""Tools under PyTorch's names: ``minilm.utils.checkpoint``, ``minilm.utils.data``."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name not in ("checkpoint", "data"):
        raise AttributeError(f"module 'minilm.utils' has no attribute {name!r}")
    return importlib.import_module(f"minilm.utils.{name}")
