"""Whether operations are recorded for backward: `no_grad`, `enable_grad`, `set_grad_enabled`."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")


class _GradMode(threading.local):
    enabled = True


_grad_mode = _GradMode()


def is_grad_enabled() -> bool:
    """Tell whether operations of this thread are recorded for `Tensor.backward`."""
    return _grad_mode.enabled


class set_grad_enabled:
    """Switch recording on or off, at once; used in a ``with`` block, only until its end.

    Parameters
    ----------
    mode : bool
        Whether operations of this thread are recorded from now on.
    """

    def __init__(self, mode: bool) -> None:
        self._previous = _grad_mode.enabled
        _grad_mode.enabled = bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        _grad_mode.enabled = self._previous


class _GradModeSwitch:
    """A ``with`` block, or a decorator, inside which recording is on or off."""

    def __init__(self, mode: bool) -> None:
        self._mode = mode
        self._entered: list[set_grad_enabled] = []

    def __enter__(self) -> None:
        self._entered.append(set_grad_enabled(self._mode))

    def __exit__(self, *exception: object) -> None:
        self._entered.pop().__exit__()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def switched(*args: P.args, **kwargs: P.kwargs) -> R:
            with _GradModeSwitch(self._mode):
                return function(*args, **kwargs)

        return switched


@overload
def no_grad() -> _GradModeSwitch: ...
@overload
def no_grad(function: Callable[P, R]) -> Callable[P, R]: ...
def no_grad(function: Callable[P, R] | None = None) -> _GradModeSwitch | Callable[P, R]:
    """Leave operations unrecorded, in a ``with`` block or in a decorated function.

    Examples
    --------
    >>> with minilm.no_grad():
    ...     loss = criterion(model(inputs), targets)
    """
    switch = _GradModeSwitch(False)
    return switch if function is None else switch(function)


inference_mode = no_grad
"""PyTorch's other name for it."""


@overload
def enable_grad() -> _GradModeSwitch: ...
@overload
def enable_grad(function: Callable[P, R]) -> Callable[P, R]: ...
def enable_grad(function: Callable[P, R] | None = None) -> _GradModeSwitch | Callable[P, R]:
    """Record operations inside `no_grad`, in a ``with`` block or in a decorated function."""
    switch = _GradModeSwitch(True)
    return switch if function is None else switch(function)
