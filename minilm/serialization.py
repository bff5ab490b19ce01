"""Saving and loading tensors: safetensors files, never pickle.

A ``state_dict``, which maps names to tensors, becomes a plain safetensors file that any other
program can read. Anything nested (an optimizer's state, a checkpoint of several parts) is saved as
well: the tensors as entries of the file, the structure round them as JSON in its metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minilm.atomic import atomic_write
from minilm.safetensors_bytes import to_safetensors
from minilm.tensor import Tensor

_STRUCTURE = "minilm.structure"
_FORMAT = {"format": "pt"}
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Save a ``state_dict``, or a dictionary of such, to a safetensors file.

    Parameters
    ----------
    obj : mapping
        Tensors, NumPy arrays, numbers, text, None, and lists, tuples and dictionaries of them.
    path : path
        The file to write. It is replaced as a whole or, if anything fails, not at all.

    Raises
    ------
    TypeError
        If `obj` is not a dictionary, or holds something else, such as a module; the message says
        where.

    Examples
    --------
    >>> minilm.save(model.state_dict(), "model.safetensors")
    >>> model.load_state_dict(minilm.load("model.safetensors"))
    """
    content = to_bytes(obj)
    atomic_write(path, lambda file: file.write(content))


def to_bytes(obj: Any) -> bytes:
    """Return what `save` writes.

    Raises
    ------
    TypeError
        As for `save`.
    """
    if not isinstance(obj, Mapping):
        hint = ": save its state_dict()" if hasattr(obj, "state_dict") else ""
        raise TypeError(f"save: expected a dictionary, got {type(obj).__name__}{hint}")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    structure = _encode(obj, "", arrays)
    metadata = dict(_FORMAT)
    if not all(isinstance(value, (Tensor, np.ndarray)) for value in obj.values()):
        metadata[_STRUCTURE] = json.dumps(structure)
    return to_safetensors(arrays, metadata)


def load(
    path: str | os.PathLike[str], map_location: Any = None, *, weights_only: bool = True
) -> dict[Any, Any]:
    """Load what `save` wrote, or any other safetensors file.

    Parameters
    ----------
    path : path
        The file.
    map_location, weights_only
        For code written for PyTorch; everything is on the CPU, and nothing is ever unpickled.

    Returns
    -------
    dict
        Names and tensors, or the nested dictionary that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is a pickle, as ``torch.save`` writes it, or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    content = Path(path).read_bytes()
    if content.startswith(_PICKLES):
        raise ValueError(
            f"{path}: this is a pickle, as torch.save writes it. Loading one can run any code, so "
            "minilm does not. Convert it where it was made: "
            "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
        )
    try:
        arrays = from_bytes(content)
    except (SafetensorError, KeyError) as error:
        raise ValueError(
            f"{path}: not a complete safetensors file ({error}); it may have been cut short while "
            "it was copied or downloaded"
        ) from None
    tensors = {name: Tensor(array) for name, array in arrays.items()}
    structure = _metadata(content).get(_STRUCTURE)
    if structure is None:
        return tensors
    return dict(_decode(json.loads(structure), tensors))


def _metadata(content: bytes) -> dict[str, str]:
    """Read the metadata of a safetensors file: 8 bytes of length, then a header in JSON."""
    length = int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8 : 8 + length]).get("__metadata__") or {})


# --- structure as JSON ----------------------------------------------------------------------------
# A tensor becomes {"tensor": name}, a tuple {"tuple": [...]}, and a dictionary
# {"dict": [[key, value], ...]}: JSON's keys are text, and an optimizer's are numbers.


def _encode(value: Any, name: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return `value` as JSON, and put its tensors into `arrays` under names that say where."""
    if isinstance(value, (Tensor, np.ndarray)):
        array = value.detach()._array if isinstance(value, Tensor) else value
        arrays[name] = np.asarray(array, order="C")
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"dict": [[k, _encode(v, _join(name, k), arrays)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, _join(name, i), arrays) for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"save: {name or 'the object'} is a {type(value).__name__}; expected tensors, numbers, "
        "text, None, and lists, tuples and dictionaries of them. Of a module or an optimizer, "
        "save the state_dict()"
    )


def _join(name: str, key: Any) -> str:
    if not isinstance(key, (str, int)):
        raise TypeError(f"save: the key {key!r} in {name or 'the object'} must be text or a number")
    return f"{name}.{key}" if name else str(key)


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo `_encode`."""
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(_decode(item, tensors) for item in value["tuple"])
    return {key: _decode(item, tensors) for key, item in value["dict"]}
