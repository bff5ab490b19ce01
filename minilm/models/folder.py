"""The one format on disk: a folder with config.json, model.safetensors and tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from minilm.atomic import atomic_write_all
from minilm.json_text import to_json
from minilm.serialization import load
from minilm.tensor import Tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from minilm.models.base import LanguageModel

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"


class FolderError(ValueError):
    """A model's folder is missing, incomplete or damaged; the message names the file."""


def save_pretrained(
    model: LanguageModel,
    folder: str | Path,
    tokenizer: Tokenizer | None = None,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Save a model, and its tokenizer, into a folder.

    All files are written under temporary names first, so that a full disk or a power cut leaves
    the model that was there whole. A parameter that several modules share is written once, under
    the first of its names; the others stand in the file's metadata, as `safetensors` itself has it.

    Parameters
    ----------
    model : LanguageModel
        What to save.
    folder : str or Path
        Where; made when missing.
    tokenizer : tokenizers.Tokenizer, optional
        Written as ``tokenizer.json``.
    training : mapping, optional
        How the model was trained and what it reached; kept in ``config.json`` under
        ``"training"``.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = pretrained_files(model, tokenizer, training)
    atomic_write_all({folder / name: _writer(data) for name, data in files.items()})


def pretrained_files(
    model: LanguageModel,
    tokenizer: Tokenizer | None = None,
    training: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """Return the files of a model's folder, by name; see :func:`save_pretrained`."""
    config: dict[str, Any] = {
        "model_type": model.model_type,
        "architectures": [type(model).__name__],
        **model.config,
    }
    if training is not None:
        config["training"] = dict(training)
    files = {CONFIG: to_json(config).encode("utf-8"), WEIGHTS: weight_bytes(model)}
    if tokenizer is not None:
        files[TOKENIZER] = tokenizer.to_str(pretty=True).encode("utf-8")
    return files


def weight_bytes(model: Any) -> bytes:
    """Return a module's ``state_dict`` as a safetensors file."""
    from safetensors.numpy import save as to_bytes

    shared = _shared_names(model)
    arrays = {
        name: np.ascontiguousarray(tensor.numpy())
        for name, tensor in model.state_dict().items()
        if name not in shared
    }
    return to_bytes(arrays, metadata={"format": "pt", **shared})


def _writer(data: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(data)


def from_pretrained(folder: str | Path) -> LanguageModel:
    """Load the model that a folder holds, in evaluation mode.

    Parameters
    ----------
    folder : str or Path
        As written by :func:`save_pretrained`.

    Returns
    -------
    LanguageModel

    Raises
    ------
    FolderError
        If the folder or a file in it is missing or damaged, or the weights do not fit the
        architecture; then all names that are missing, unexpected or of another shape are listed.
    """
    path = Path(folder)
    model = _build(read_config(path), path / CONFIG)
    load_weights(model, path / WEIGHTS)
    return model.eval()


def load_weights(model: Any, path: str | Path) -> None:
    """Give a model the weights of a safetensors file; a shared one may have any of its names.

    Raises
    ------
    FolderError
        If the file is missing or damaged, or does not fit the model; then all names that are
        missing, unexpected or of another shape are listed.
    """
    path = Path(path)
    weights = _read_weights(path)
    _fill_in_shared(weights, _shared_names(model), path)
    _load_weights(model, weights, path)


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Load the tokenizer of a model's folder.

    Raises
    ------
    FolderError
        If ``tokenizer.json`` is missing or damaged, or knows another number of tokens than the
        model beside it.
    """
    from tokenizers import Tokenizer

    path = Path(folder) / TOKENIZER
    text = _read_text(path)
    try:
        tokenizer: Tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises bare Exception
        raise FolderError(f"{path} is damaged: {error}") from None
    expected, known = read_config(folder).get("vocab_size"), tokenizer.get_vocab_size()
    if known != expected:
        raise FolderError(
            f"{path} has {known} tokens, but vocab_size in {CONFIG} is {expected}: is it another "
            "model's tokenizer?"
        )
    return tokenizer


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read the ``config.json`` of a model's folder.

    Raises
    ------
    FolderError
        If the folder or the file is missing or damaged.
    """
    path = Path(folder) / CONFIG
    try:
        config = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise FolderError(
            f"{path} is damaged: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    if not isinstance(config, dict):
        raise FolderError(f"{path} is damaged: expected an object, got {type(config).__name__}")
    return config


def _model_types() -> dict[str, type[LanguageModel]]:
    from minilm.models.awd_lstm import AWDLSTM
    from minilm.models.rnn import RNNModel

    return {model.model_type: model for model in (RNNModel, AWDLSTM)}


def _build(config: Mapping[str, Any], path: Path) -> LanguageModel:
    types = _model_types()
    kind = config.get("model_type")
    if kind not in types:
        raise FolderError(f"{path}: model_type must be one of {', '.join(types)}; got {kind!r}")
    ours = {"model_type", "architectures", "training"}
    arguments = {name: value for name, value in config.items() if name not in ours}
    try:
        return types[kind](**arguments)
    except (TypeError, ValueError) as error:
        raise FolderError(f"{path} does not describe a {types[kind].__name__}: {error}") from None


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import safe_open

    _check_exists(path)
    try:
        weights = load(path)
    except ValueError as error:
        raise FolderError(str(error)) from None
    with safe_open(path, framework="numpy") as file:
        others = file.metadata() or {}
    return {name: weights[of] for name, of in others.items() if of in weights} | weights


def _shared_names(model: LanguageModel) -> dict[str, str]:
    """Map each further name of a parameter that several modules share to its first name."""
    first: dict[Tensor, str] = {}
    names = {
        name: first.setdefault(tensor, name)
        for name, tensor in model.state_dict(keep_vars=True).items()
    }
    return {name: original for name, original in names.items() if name != original}


def _fill_in_shared(weights: dict[str, Tensor], shared: Mapping[str, str], path: Path) -> None:
    """Give shared parameters all their names: a file may have any of them, or all."""
    for name, original in shared.items():
        if name in weights and original in weights:
            if not np.array_equal(weights[name].numpy(), weights[original].numpy()):
                raise FolderError(
                    f"{path}: {original} and {name} are one parameter of this model, but they "
                    f"differ there: was it trained without tied weights? Then {CONFIG} should say "
                    "so"
                )
        elif original in weights:
            weights[name] = weights[original]
        elif name in weights:
            weights[original] = weights[name]


def _load_weights(model: LanguageModel, weights: Mapping[str, Tensor], path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    problems = [f"missing {name} {shape}" for name, shape in expected.items() if name not in given]
    problems += [
        f"unexpected {name} {shape}" for name, shape in given.items() if name not in expected
    ]
    problems += [
        f"{name} has shape {given[name]}, expected {shape}"
        for name, shape in expected.items()
        if given.get(name, shape) != shape
    ]
    if problems:
        raise FolderError(f"the weights in {path} do not fit {CONFIG}: {'; '.join(problems)}")
    model.load_state_dict(weights)


def _read_text(path: Path) -> str:
    _check_exists(path)
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise FolderError(f"{path} is damaged: not UTF-8 at byte offset {error.start}") from None


def _check_exists(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise FolderError(
            f"{folder} {what}; expected the folder of a trained model, as minilm train makes"
        )
    if not path.exists():
        here = ", ".join(sorted(entry.name for entry in folder.iterdir())[:10]) or "nothing"
        raise FolderError(f"{folder} has no {path.name} (it has {here})")
