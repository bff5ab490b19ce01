"""Threads, and what the C core was built with and found on this machine."""

from __future__ import annotations

from typing import Any, TypeVar

from minilm import _core

M = TypeVar("M")

_OLD_CORES = ("prescott", "core2", "generic", "katmai", "coppermine", "northwood", "banias")


def compile(model: M, *args: Any, **kwargs: Any) -> M:  # noqa: A001
    """Return the model: its layers are compiled already; for code written for PyTorch."""
    return model


def set_num_threads(num_threads: int) -> None:
    """Set how many threads the C core computes with; results do not depend on it.

    Raises
    ------
    ValueError
        If the number is not from 1 to 256.
    """
    _core.set_num_threads(num_threads)


def get_num_threads() -> int:
    """Return how many threads the C core computes with."""
    return _core.get_num_threads()


def show_config() -> None:
    """Print how the C core was built and what it found on this machine.

    Warns of a BLAS that did not recognise the processor and fell back to code for an old one:
    matrix products are then several times slower than they need to be.
    """
    config = _core.config()
    width = max(map(len, config))
    for name, value in config.items():
        print(f"{name:{width}}  {value}")
    if str(config.get("blas_core", "")).lower() in _OLD_CORES:
        print(
            f"warning: BLAS took this processor for a {config['blas_core']!r}; set "
            "OPENBLAS_CORETYPE (Haswell, SkylakeX, Zen, ...) before Python starts"
        )
