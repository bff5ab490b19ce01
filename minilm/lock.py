"""One run, one folder: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, Self

LOCK = ".lock"


class FolderInUseError(OSError):
    """Another run is writing into the folder."""


class FolderLock:
    """Hold a folder inside the block, against other processes and other runs of this one.

    The system keeps the lock, not the file: nothing is left to clear away after a crash.

    Parameters
    ----------
    folder : Path
        Exists already.

    Raises
    ------
    FolderInUseError
        On entering, if someone else holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = Path(folder) / LOCK
        self._file: IO[Any] | None = None

    def __enter__(self) -> Self:
        file = open(self._path, "a+b")  # noqa: SIM115 - open as long as the lock is held
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            holder = file.read(32).decode("ascii", "replace").strip()
            file.close()
            message = f"another run (process {holder or 'unknown'}) is writing into this folder"
            raise FolderInUseError(error.errno, message, str(self._path.parent)) from None
        file.truncate(0)
        file.write(str(os.getpid()).encode("ascii"))
        file.flush()
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def hold_folder(folder: str | os.PathLike[str] | None) -> AbstractContextManager[object]:
    """Return a lock on a folder, which is made when missing; None has nothing to lock.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """
    if folder is None:
        return nullcontext()
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return FolderLock(path)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[Any]) -> None:
        file.seek(1 << 30)  # a byte far behind the process's number, which others may read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
