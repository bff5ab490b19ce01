"""Atomic writes: whatever fails, the old file stays and nothing else is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from minilm.atomic import atomic_write


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "naïve.txt"
    for content in (b"first, which is longer", b"second"):
        atomic_write(path, lambda file, content=content: file.write(content))
        assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["naïve.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, ValueError])
def test_the_old_file_stays(tmp_path: Path, error: type) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")

    def fail(file: BinaryIO) -> None:
        file.write(b"half of the new")
        raise error("stop")

    with pytest.raises(error):
        atomic_write(path, fail)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fsync(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        atomic_write(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        atomic_write(tmp_path / "nowhere" / "file", lambda file: None)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
def test_permissions_are_those_of_a_new_file(tmp_path: Path) -> None:
    atomic_write(tmp_path / "ours", lambda file: None)
    (tmp_path / "theirs").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_a_failed_write_names_the_file_and_what_stays(tmp_path):
    def full(file):
        raise OSError(28, "No space left on device")

    target = tmp_path / "model.safetensors"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match="what was there before stays") as caught:
        atomic_write(target, full)
    assert caught.value.errno == 28
    assert caught.value.filename == str(target)
    assert target.read_bytes() == b"old"
