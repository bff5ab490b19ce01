import io
import sys
from pathlib import Path

import pytest

from minilm.data import read_text


@pytest.fixture
def write(tmp_path: Path):
    def write(data: bytes) -> Path:
        path = tmp_path / "some.txt"
        path.write_bytes(data)
        return path

    return write


def test_text_is_utf8_and_kept_as_it_is(write) -> None:
    text = "naïve\r\n\tжук 日本\n\n"
    assert read_text(write(text.encode("utf-8"))) == text


def test_a_byte_order_mark_is_dropped_at_the_start_only(write) -> None:
    mark = "\ufeff"
    assert read_text(write((mark + "a" + mark).encode("utf-8"))) == "a" + mark


def test_standard_input_is_utf8_whatever_its_own_encoding(monkeypatch) -> None:
    data = io.BytesIO("é\r\n".encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data, encoding="latin-1"))
    assert read_text("-") == "é\r\n"


def test_a_bad_byte_is_named_with_file_line_and_offset(write) -> None:
    path = write(b"one\ntwo\nth\xe9 end\n")
    with pytest.raises(UnicodeError) as error:
        read_text(path)
    message = str(error.value)
    assert str(path) in message
    assert "line 3" in message
    assert "offset 10 (from 0)" in message
    assert "0xe9" in message
    assert "Latin-1" in message


def test_a_text_that_ends_within_a_character_is_refused(write) -> None:
    with pytest.raises(ValueError, match="line 1, byte offset 2 .*unexpected end of data"):
        read_text(write("ab€".encode()[:-1]))


def test_utf16_is_recognized(write) -> None:
    with pytest.raises(UnicodeError, match="UTF-16"):
        read_text(write("text".encode("utf-16")))


@pytest.mark.parametrize("data", [b"", "\ufeff".encode()])
def test_empty_text_is_refused(write, data: bytes) -> None:
    with pytest.raises(ValueError, match="some.txt is empty"):
        read_text(write(data))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.txt"):
        read_text(tmp_path / "nowhere.txt")
