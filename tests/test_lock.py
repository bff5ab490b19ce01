import subprocess
import sys

import pytest

from minilm.lock import FolderInUseError, FolderLock, hold_folder

HOLD = """
import sys
from minilm.lock import FolderLock
with FolderLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline().strip() == b"held"
    return process


def test_the_second_is_refused_and_told_who_holds_it(tmp_path):
    with holder(tmp_path) as process:
        with pytest.raises(FolderInUseError, match=f"another run .process {process.pid}.") as error:
            FolderLock(tmp_path).__enter__()
        assert error.value.filename == str(tmp_path)
        process.stdin.close()
    with FolderLock(tmp_path):
        pass


def test_in_one_process_too(tmp_path):
    with FolderLock(tmp_path), pytest.raises(FolderInUseError), FolderLock(tmp_path):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path):
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
        with FolderLock(tmp_path):
            pass


def test_nothing_is_left_behind(tmp_path):
    with FolderLock(tmp_path):
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_and_none_needs_no_lock(tmp_path):
    with hold_folder(tmp_path / "a" / "b"), hold_folder(None), hold_folder(None):
        assert (tmp_path / "a" / "b").is_dir()
