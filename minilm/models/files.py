"""Reading the text files of a model's folder, with errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minilm.models.errors import FolderError


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a model's folder, which must hold an object.

    Raises
    ------
    FolderError
        If the file is missing or damaged.
    """
    text = read_text(path)
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise FolderError(
            f"{path} is damaged: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (RecursionError, ValueError) as error:  # nested too deeply, a number of too many digits
        raise FolderError(f"{path} is damaged: {error}") from None
    if not isinstance(values, dict):
        raise FolderError(f"{path} is damaged: expected an object, got {type(values).__name__}")
    return values


def read_text(path: Path) -> str:
    """Read a text file of a model's folder.

    Raises
    ------
    FolderError
        If it is missing, or not UTF-8.
    """
    check_exists(path)
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise FolderError(f"{path} is damaged: not UTF-8 at byte offset {error.start}") from None


def check_exists(path: Path) -> None:
    """Refuse a file that is missing, and say what its folder has instead.

    Raises
    ------
    FolderError
        If there is no such file.
    """
    folder = path.parent
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise FolderError(
            f"{folder} {what}; expected the folder of a trained model, as minilm train makes"
        )
    if not path.exists():
        here = ", ".join(sorted(entry.name for entry in folder.iterdir())[:10]) or "nothing"
        raise FolderError(f"{folder} has no {path.name} (it has {here})")
