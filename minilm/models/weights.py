"""Weights on disk: safetensors files, one or several, in float32 or narrower.

A file begins with the length of its header and the header, JSON that says of each tensor its
dtype, its shape, and where it lies. The `safetensors` package checks all of that; the numbers are
then read where they lie, since NumPy has no bfloat16.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.models.errors import FolderError
from minilm.models.files import check_exists, read_json
from minilm.safetensors_bytes import to_safetensors

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
# bfloat16 is the upper half of a float32.
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
OTHERS = {
    **{f"I{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    "BOOL": "?",
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies in a file.

    Attributes
    ----------
    path : Path
        The file.
    dtype : str
        Its dtype, as safetensors names it: ``"F32"``, ``"BF16"`` ...
    shape : tuple of int
        The length of each axis.
    begin, end : int
        Where its bytes lie in the file.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    def read(self) -> np.ndarray:
        """Return the values; those of 16 bits are widened to float32.

        Raises
        ------
        FolderError
            If NumPy has no such numbers.
        """
        dtype = (FLOATS | OTHERS).get(self.dtype)
        if dtype is None:
            raise FolderError(
                f"{self.path} holds a tensor of dtype {self.dtype}, which is not read"
            )
        count = math.prod(self.shape)
        if count == 0:
            return np.zeros(self.shape, dtype)
        raw = np.memmap(self.path, dtype, "r", offset=self.begin, shape=(count,))
        wide: np.ndarray = raw
        if self.dtype == "BF16":
            wide = (raw.astype(np.uint32) << 16).view(np.float32)
        elif self.dtype == "F16":
            wide = raw.astype(np.float32)
        return np.asarray(wide).reshape(self.shape)


def stored_weights(folder: Path) -> dict[str, StoredTensor]:
    """List the tensors of a model's folder, without reading them.

    Parameters
    ----------
    folder : Path
        Holds ``model.safetensors``, or ``model.safetensors.index.json`` and the files that it
        names.

    Raises
    ------
    FolderError
        If a file is missing or damaged, or the weights are there as a pickle only.
    """
    if (folder / WEIGHTS).exists() or not (folder / INDEX).exists():
        return stored_tensors(_existing(folder / WEIGHTS))
    tensors: dict[str, StoredTensor] = {}
    names = _read_index(folder / INDEX)
    for file in sorted(set(names.values())):
        tensors |= stored_tensors(_existing(folder / file))
    lost = [name for name in names if name not in tensors]
    if lost:
        raise FolderError(f"{folder / INDEX} names tensors that no file holds: {', '.join(lost)}")
    return tensors


def _existing(path: Path) -> Path:
    """Return a path, or say what to do where there is no such file."""
    pickles = [name for name in PICKLES if (path.parent / name).exists()]
    if pickles and not path.exists():
        raise FolderError(
            f"{path.parent} has its weights as {pickles[0]}, a pickle. Loading one can run any "
            "code, so minilm does not. Convert it where transformers is installed: "
            "AutoModel.from_pretrained(folder).save_pretrained(folder) writes safetensors"
        )
    check_exists(path)
    return path


def _read_index(path: Path) -> dict[str, str]:
    """Read which file holds which tensor."""
    names = read_json(path).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise FolderError(f"{path} is damaged: expected weight_map, names and their files")
    for name, file in names.items():
        # A file of another folder is none of this model's.
        if not isinstance(file, str) or Path(file).name != file or not file:
            raise FolderError(f"{path} is damaged: the file of {name} is {file!r}")
    return names


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """List the tensors of one file, without reading them.

    What metadata name as a further name of a tensor is listed, too.

    Raises
    ------
    FolderError
        If the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names, others = list(file.keys()), file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise FolderError(
            f"{path}: not a complete safetensors file ({error}); it may have been cut short while "
            "it was copied or downloaded"
        ) from None
    start, header = _header(path)
    tensors = {name: _tensor(path, start, header[name]) for name in names}
    return {name: tensors[of] for name, of in others.items() if of in tensors} | tensors


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Return where the tensors of a file begin, and its header."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return 8 + length, json.loads(file.read(length))


def _tensor(path: Path, start: int, entry: Mapping[str, Any]) -> StoredTensor:
    begin, end = entry["data_offsets"]
    return StoredTensor(path, entry["dtype"], tuple(entry["shape"]), start + begin, start + end)


def weight_bytes(model: Any) -> bytes:
    """Return a module's ``state_dict`` as a safetensors file.

    A parameter of several names is written under the first; metadata map the others to it.
    """
    state = model.state_dict(keep_vars=True)
    first: dict[int, str] = {}
    names = {name: first.setdefault(id(tensor), name) for name, tensor in state.items()}
    arrays = {name: np.ascontiguousarray(state[name].detach().numpy()) for name in first.values()}
    shared = {name: original for name, original in names.items() if name != original}
    return to_safetensors(arrays, {"format": "pt", **shared})
