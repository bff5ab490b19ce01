"""Let a moment that must not be cut in two end before Ctrl-C is heard."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
