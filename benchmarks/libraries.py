"""The libraries that are compared, by the names of their columns."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import Any

from configurations import Row, TransformerConfiguration
from measure import Steps
from workload import Workload

# Column: the module that it needs.
LIBRARIES = {"minilm": "minilm", "torch": "torch", "fused": "torch", "jax": "jax"}


def installed(left_out: list[str] | None) -> list[str]:
    """Return the columns that can be measured here, those of `left_out` not among them."""
    return [
        name
        for name, module in LIBRARIES.items()
        if module not in (left_out or []) and importlib.util.find_spec(module)
    ]


def compared(row: Row, columns: list[str]) -> list[str]:
    """Return those of the columns that know a row's model."""
    if not isinstance(row, TransformerConfiguration):
        return columns
    known = {"minilm"} | ({"torch", "fused"} if importlib.util.find_spec("transformers") else set())
    return [name for name in columns if name in known]


def build(name: str, row: Row, **options: Any) -> Steps:
    """Return the workload of a column; `fused` is torch with its fused Adam."""
    if isinstance(row, TransformerConfiguration):
        from transformer_workload import TransformerWorkload

        return TransformerWorkload(LIBRARIES[name], row, fused=name == "fused")
    if name == "jax":
        from jax_workload import JaxWorkload

        return JaxWorkload(row, **options)
    if name == "fused":
        options["fused"] = True
    return Workload(LIBRARIES[name], row, **options)


def set_threads(name: str, threads: int) -> None:
    """Let a library use this many threads."""
    if name == "jax":
        from jax_workload import limit_threads

        limit_threads(threads)
    else:
        importlib.import_module(LIBRARIES[name]).set_num_threads(threads)


def versions(names: list[str]) -> dict[str, str]:
    """Return the versions of the modules behind some columns."""
    return {LIBRARIES[name]: importlib.metadata.version(LIBRARIES[name]) for name in names}
