"""Writing files so that a crash or a full disk never costs the old ones."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
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
            temporary = hidden_name(target)
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


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, and those that it is in, where they are missing; return its path.

    Raises
    ------
    NotADirectoryError
        If there is a file of that name.
    OSError
        If it cannot be made.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(
            f"{folder} is a file: expected a folder, into which several files are written"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hidden_name(path: Path) -> Path:
    """Return a free name beside `path`, for what is not complete: ``.NAME.1f2e3d4c.tmp``."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def atomic_folder(path: str | os.PathLike[str], files: Mapping[str, bytes]) -> None:
    """Write a folder of files under a temporary name, and give it its own when it is complete.

    A folder of that name is replaced. No moment is without a complete folder, under its own name
    or that of `hidden_name`.

    Parameters
    ----------
    path : path
        The folder; the one it lies in must exist.
    files : mapping
        Names and contents.

    Raises
    ------
    OSError
        If writing fails; then the old folder is as it was, and the new one removed.
    """
    target = Path(path)
    temporary, old = hidden_name(target), None
    try:
        temporary.mkdir()
        for name, content in files.items():
            with open(temporary / name, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync_folder(temporary)
        if target.exists():
            old = hidden_name(target)
            os.rename(target, old)
        os.rename(temporary, target)
        _sync_folder(target.parent)
    except BaseException as error:
        if old is not None and not target.exists():
            os.rename(old, target)
            old = None
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            message = f"{error.strerror or error}; not written, what was there before stays"
            raise OSError(error.errno, message, str(target)) from error
        raise
    finally:
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk, where the system can be told so."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
