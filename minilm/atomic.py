"""Writing files so that a crash or a full disk never costs the old ones."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO


def atomic_write(path: str | os.PathLike[str], writer: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name, and give it its own name only when it is complete.

    Parameters
    ----------
    path : path
        The file to write; its folder must exist.
    writer : callable
        Is given the open binary file, and writes the content.

    Raises
    ------
    OSError
        If writing fails. Whatever fails, also in `writer`, the old file stays as it was and the
        temporary one is removed.

    Examples
    --------
    >>> atomic_write("notes.txt", lambda file: file.write("naïve".encode("utf-8")))
    """
    atomic_write_all({path: writer})


def atomic_write_all(
    writers: Mapping[str | os.PathLike[str], Callable[[BinaryIO], object]],
) -> None:
    """Write files that belong together: none gets its name before all are complete.

    Parameters
    ----------
    writers : mapping
        For each file a function that writes its content, as in `atomic_write`.

    Raises
    ------
    OSError
        If writing fails; then all old files stay as they were.
    """
    temporaries: dict[Path, Path] = {}
    target = Path()
    try:
        for path, writer in writers.items():
            target = Path(path)
            # In the same folder: a file cannot be renamed from one disk to another.
            temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
            temporaries[target] = temporary
            with open(temporary, "xb") as file:
                writer(file)
                file.flush()
                os.fsync(file.fileno())  # the name must not reach the disk before the content
        for target, temporary in temporaries.items():
            os.replace(temporary, target)
    except BaseException as error:
        for temporary in temporaries.values():
            with contextlib.suppress(OSError):
                temporary.unlink()
        if isinstance(error, OSError):  # which knows the temporary name, if any
            message = f"{error.strerror or error}; not written, what was there before stays"
            raise OSError(error.errno, message, str(target)) from error
        raise
