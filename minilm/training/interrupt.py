"""Hear Ctrl-C where a run can be left, and nowhere else."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from minilm.warn import warn_caller

if TYPE_CHECKING:
    from minilm.training.history import History


def warn_of_interrupt(history: History, output_dir: str | None) -> None:
    """Say that Ctrl-C ended a run; the lines behind it go on as if it were done."""
    if history.interrupted:
        steps = len(history.step_losses)
        warn_caller(
            f"Ctrl-C ended the training after step {steps:,}; resume_from_checkpoint=True goes on"
            if output_dir
            else f"Ctrl-C ended the training after step {steps:,}"
        )


@contextmanager
def interrupt_deferred() -> Iterator[None]:
    """Hold Ctrl-C back inside the block, and raise it at the end.

    Weights half of which are of the next step, or a save half done, are worth nothing. Other
    threads never see Ctrl-C, so there it does nothing.

    Raises
    ------
    KeyboardInterrupt
        At the end of the block, if Ctrl-C came inside.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = False

    def note(signum: int, frame: object) -> None:
        nonlocal came
        came = True

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if came:
        raise KeyboardInterrupt


class InterruptFlag:
    """Take note of Ctrl-C inside the block, for `check` to raise where the run can be left.

    An exception that a signal raises wherever Python happens to be can be lost: while a generator
    is closed, in a weak reference's callback, under somebody's lock. A second Ctrl-C does not wait.
    A polite ``kill`` (SIGTERM, as job schedulers send before the one that nothing survives) counts
    as Ctrl-C. Other threads never see signals, so there it does nothing.

    Attributes
    ----------
    urgent : bool
        Whether a second one came, which stopped whatever was being done.
    """

    def __init__(self) -> None:
        self._came = False
        self.urgent = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._came = self.urgent = False
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _note(self, signum: int, frame: object) -> None:
        if self._came:
            self.urgent = True
            raise KeyboardInterrupt
        self._came = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came since the block began."""
        if self._came:
            raise KeyboardInterrupt
