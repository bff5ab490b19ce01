"""Reading text: always UTF-8, whatever code page the platform prefers."""

from __future__ import annotations

import sys
from pathlib import Path

BYTE_ORDER_MARKS_OF_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: str | Path) -> str:
    r"""Read a whole text as UTF-8.

    Line ends are kept as they are (``"\r\n"`` stays two characters), so that what is read is what
    is in the file; only a byte order mark at the start is dropped.

    Parameters
    ----------
    path : str or Path
        A file, or ``"-"`` for standard input.

    Returns
    -------
    str
        The text, never empty.

    Raises
    ------
    OSError
        If the file cannot be read.
    UnicodeError
        If a byte is not UTF-8; the message names the file, the line, the offset and the byte.
    ValueError
        If the text is empty.
    """
    if str(path) == "-":
        name, data = "standard input", sys.stdin.buffer.read()
    else:
        name, data = str(path), Path(path).read_bytes()
    text = _decode(data, name).removeprefix("\N{BYTE ORDER MARK}")
    if not text:
        raise ValueError(f"{name} is empty: there is no text to read")
    return text


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnicodeError(
            f"{name} is not UTF-8: line {line}, byte offset {error.start} (from 0), "
            f"byte 0x{data[error.start]:02x}: {error.reason}. {_likely_cause(data)}"
        ) from None


def _likely_cause(data: bytes) -> str:
    if data.startswith(BYTE_ORDER_MARKS_OF_UTF16):
        return "It starts as UTF-16 does: save it as UTF-8"
    return "It may be in another encoding, such as Latin-1 or Windows-1252: save it as UTF-8"
