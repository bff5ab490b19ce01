"""Errors of the `tokenizers` library, which is written in Rust, as errors of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def guarded(error: Callable[[str], Exception], what: str) -> Iterator[None]:
    """Turn whatever `tokenizers` raises into one kind of error.

    It raises bare ``Exception`` where it notices that something is wrong, and a ``PanicException``,
    which is no ``Exception``, where it does not.

    Parameters
    ----------
    error : callable
        Makes the error that is raised instead.
    what : str
        What its message begins with.
    """
    try:
        yield
    except BaseException as found:
        if type(found).__name__ != "PanicException" and not isinstance(found, Exception):
            raise  # Ctrl-C
        raise error(f"{what}: {str(found).strip() or type(found).__name__}") from None
