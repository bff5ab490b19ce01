"""The one format on disk: a folder with config.json, model.safetensors and tokenizer.json.

It is Hugging Face's: what ``transformers`` writes is read here, and the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from minilm.atomic import atomic_write_all, make_folder
from minilm.json_text import to_json
from minilm.models.errors import FolderError as FolderError
from minilm.models.files import check_exists, read_json
from minilm.models.loading import fill, warn_of_new_head
from minilm.models.tokenizer_files import TOKENIZER, read_folder
from minilm.models.weights import WEIGHTS as WEIGHTS
from minilm.models.weights import stored_tensors, stored_weights
from minilm.models.weights import weight_bytes as weight_bytes
from minilm.nn import init

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from minilm.models.base import LanguageModel
    from minilm.models.pretrained import PretrainedModel
    from minilm.models.pretrained_config import PretrainedConfig

    M = TypeVar("M", bound=PretrainedModel)
    C = TypeVar("C", bound=PretrainedConfig)

CONFIG = "config.json"
GENERATION = "generation_config.json"


def save_pretrained(
    model: PretrainedModel,
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
    model : PretrainedModel
        What to save.
    folder : str or Path
        Where; made when missing.
    tokenizer : tokenizers.Tokenizer or PreTrainedTokenizerFast, optional
        Written as ``tokenizer.json``; the latter with its ``tokenizer_config.json``.
    training : mapping, optional
        How the model was trained and what it reached; kept in ``config.json`` under
        ``"training"``.

    Raises
    ------
    NotADirectoryError
        If there is a file of that name.
    OSError
        If a file cannot be written.
    """
    folder = make_folder(folder)
    files = pretrained_files(model, tokenizer, training)
    atomic_write_all({folder / name: _writer(data) for name, data in files.items()})


def pretrained_files(
    model: PretrainedModel,
    tokenizer: Tokenizer | None = None,
    training: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """Return the files of a model's folder, by name; see :func:`save_pretrained`."""
    config = {
        "model_type": model.model_type,
        **_settings(model),
        "architectures": [type(model).__name__],
    }
    if training is not None:
        config["training"] = dict(training)
    files = {CONFIG: to_json(config).encode("utf-8"), WEIGHTS: weight_bytes(model)}
    writing = model.generation_config.to_dict()
    if writing:
        files[GENERATION] = to_json(writing).encode("utf-8")
    if tokenizer is not None and hasattr(tokenizer, "pretrained_files"):
        files |= tokenizer.pretrained_files()
    elif tokenizer is not None:
        files[TOKENIZER] = tokenizer.to_str(pretty=True).encode("utf-8")
    return files


def _settings(model: PretrainedModel) -> dict[str, Any]:
    if isinstance(model.config, dict):
        return model.config
    settings: dict[str, Any] = model.config.to_dict()
    settings.pop("torch_dtype", None)  # the file that they came from may have been narrower
    return settings | {"dtype": "float32"}


def _writer(data: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(data)


def from_pretrained(folder: str | Path, load_in_8bit: bool = False) -> LanguageModel:
    """Load the language model that a folder holds, in evaluation mode.

    Parameters
    ----------
    folder : str or Path
        As written by :func:`save_pretrained`, or by ``transformers``.
    load_in_8bit : bool
        Return what ``quantize()`` makes of the model.

    Returns
    -------
    LanguageModel

    Raises
    ------
    FolderError
        If the folder or a file in it is missing or damaged, the architecture is not supported, or
        the weights do not fit it; then all names that are missing, unexpected or of another shape
        are listed.
    TypeError
        If `load_in_8bit` is no bool, or there is no such model in int8.
    """
    from minilm.models.auto import model_class
    from minilm.models.base import LanguageModel
    from minilm.models.eight_bit import check_has_8bit, checked_8bit

    checked_8bit(load_in_8bit, {})
    path = Path(folder)
    cls = model_class(read_config(path), path / CONFIG)
    if not issubclass(cls, LanguageModel):
        raise FolderError(f"{path} holds a {cls.__name__}, which is no language model")
    if not load_in_8bit:
        return load_model(path, cls)
    check_has_8bit(cls)
    loaded: Any = load_model(path, cls)
    quantized: LanguageModel = loaded.quantize()
    return quantized


def load_model(
    folder: Path,
    cls: type[M],
    config: PretrainedConfig | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> M:
    """Load a model of a certain class, in evaluation mode.

    Parameters
    ----------
    folder : Path
        Where it is.
    cls : type
        The class. Where the folder holds a relative with another head, the part below the head is
        loaded, and a new head is put on it, with a warning.
    config : PretrainedConfig, optional
        Instead of the one in the folder.
    overrides : mapping, optional
        Settings that replace those of the configuration.

    Raises
    ------
    FolderError
        As :func:`from_pretrained`.
    TypeError
        If the folder holds another type of model, or a setting is unknown.
    """
    from minilm.generation.config import GenerationConfig

    settings = read_config(folder)
    kind, names = settings.get("model_type"), settings.get("architectures") or [cls.__name__]
    if kind != cls.model_type:
        raise TypeError(f"{folder} holds a {', '.join(names)}, not a {cls.__name__}")
    stored = stored_weights(folder)
    with init.skipped():
        model = _build(cls, settings, folder, len(stored), config, overrides or {})
    whole = cls.__name__ in names or not cls.base_model_prefix
    new = fill(model, stored, folder, whole)
    if new:
        model.reset_parameters(new)
        warn_of_new_head(model, new, folder)
    if (folder / GENERATION).exists():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()


def load_weights(model: Any, path: str | Path) -> None:
    """Give a module the weights of a safetensors file; a shared one may have any of its names.

    Raises
    ------
    FolderError
        If the file is missing or damaged, or does not fit the module; then all names that are
        missing, unexpected or of another shape are listed.
    """
    path = Path(path)
    check_exists(path)
    fill(model, stored_tensors(path), path, whole=True)


def _build(
    cls: type[M],
    settings: Mapping[str, Any],
    folder: Path,
    tensors: int,
    config: PretrainedConfig | None,
    overrides: Mapping[str, Any],
) -> M:
    """Make a model whose weights are still to be read."""
    path = folder / CONFIG
    for name in ("num_layers", "num_hidden_layers", "n_layer", "n_layers"):
        blocks = settings.get(name)
        if isinstance(blocks, int) and blocks > tensors:
            raise FolderError(f"{path}: {name} is {blocks}, but there are only {tensors} weights")
    try:
        if cls.config_class is None:
            ours = {"model_type", "architectures", "training"}
            arguments = {name: value for name, value in settings.items() if name not in ours}
            return cls(**arguments, **overrides)
        return cls(config or config_from(cls.config_class, settings, folder, overrides))
    except FolderError:
        raise
    except (TypeError, ValueError, MemoryError, OverflowError) as error:
        if overrides:
            raise
        raise FolderError(f"{path} does not describe a {cls.__name__}: {error}") from None


def config_from(
    cls: type[C], settings: Mapping[str, Any], folder: Path, overrides: Mapping[str, Any]
) -> C:
    """Make a configuration of a file's settings.

    Raises
    ------
    FolderError
        If a setting of the file is out of range, or asks for something that is not computed.
    TypeError, ValueError
        If an override is unknown or out of range.
    """
    try:
        config = cls.from_dict(settings)
    except ValueError as error:
        raise FolderError(f"{folder / CONFIG}: {error}") from None
    return cls.from_dict(settings, **overrides) if overrides else config


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Load the tokenizer of a model's folder.

    It is ``tokenizer.json``, or ``vocab.json`` with ``merges.txt`` (GPT-2), or ``vocab.txt``
    (WordPiece, as BERT has it).

    Raises
    ------
    FolderError
        If there is none, a file is damaged, or it knows another number of tokens than the model
        beside it. A model may have some rows more, up to a multiple of 64, as
        ``resize_token_embeddings(pad_to_multiple_of=...)`` makes them.
    """
    path = Path(folder)
    tokenizer, _ = read_folder(path)
    expected, known = read_config(path).get("vocab_size"), tokenizer.get_vocab_size()
    if known != expected and not _is_padded(known, expected):
        raise FolderError(
            f"{path}: the tokenizer has {known} tokens, but vocab_size in {CONFIG} is {expected}: "
            "is it another model's tokenizer?"
        )
    return tokenizer


def _is_padded(known: int, expected: Any) -> bool:
    """Tell whether a vocabulary was rounded up to a multiple of 64 or 128, as is usual."""
    return isinstance(expected, int) and expected % 64 == 0 and 0 < expected - known < 128


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read the ``config.json`` of a model's folder.

    Raises
    ------
    FolderError
        If the folder or the file is missing or damaged.
    """
    return read_json(Path(folder) / CONFIG)
