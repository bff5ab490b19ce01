"""Where a run ran."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np

from minilm import _core


def environment() -> dict[str, Any]:
    """Return versions, platform and the C core's choices, by name.

    Returns
    -------
    dict
        Strings and integers only, in the order to show them in.
    """
    core = {name: _plain(value) for name, value in _core.config().items()}
    return {
        "minilm": core.pop("version"),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        **core,
    }


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
