"""Safetensors files that are the same, byte for byte, whenever they hold the same.

`safetensors` writes the metadata of a file in an order that changes from process to process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

LENGTH_BYTES = 8  # of the header's length, which stands before it


def to_safetensors(
    arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]
) -> bytes:
    """Return a file of arrays, the names of its metadata in order.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        In C order.
    metadata : mapping of str to str
        What else is to stand in the header.
    """
    from safetensors.numpy import save

    data = save(dict(arrays), dict(metadata))
    end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    header = json.loads(data[LENGTH_BYTES:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % LENGTH_BYTES)  # the format aligns what follows
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + data[end:]
