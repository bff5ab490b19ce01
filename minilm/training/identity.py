"""What makes a run the run it is: its data, tokenizer, architecture, and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from minilm.data.tokenizer import backend_of
from minilm.models.values import HARMLESS
from minilm.tensor import Tensor
from minilm.training.arguments import TrainingArguments

# Settings that may change while a run goes on: where it writes, when it reports, how long it is.
# The seeds did their work at its start; where the streams stand now is in the checkpoint.
FREE = {
    "seed",
    "data_seed",
    "output_dir",
    "num_train_epochs",
    "max_steps",
    "gradient_checkpointing",  # gives the same bits
    "logging_strategy",
    "logging_steps",
    "logging_first_step",
    "save_strategy",
    "save_steps",
    "save_total_limit",
    "per_device_eval_batch_size",
    "resume_from_checkpoint",
    "disable_tqdm",
    "report_to",
    "run_name",
    "dataloader_num_workers",
    "dataloader_pin_memory",
    "use_cpu",
}
LOADER = ("batch_size", "bptt", "k1", "k2", "drop_last", "sequence_length", "stride")
NOT_COMPUTED = HARMLESS | {"architectures"}  # what a configuration learns on its way to a folder
SAMPLES = 32  # of a data set whose samples are made when asked for


def identity_of(
    model: Any, loader: Any, tokenizer: Any, optimizer: Any, args: TrainingArguments
) -> dict[str, Any]:
    """Return what must be the same when a run goes on.

    Parameters
    ----------
    model : nn.Module
        Its class, its configuration where it has one, and the shapes of its parameters.
    loader : DataLoader or StreamLoader
        Its data, by a digest.
    tokenizer : tokenizers.Tokenizer or None
        By a digest.
    optimizer : optim.Optimizer
        Its class.
    args : TrainingArguments
        All but those in `FREE`.

    Returns
    -------
    dict
        Names, and what JSON can hold.
    """
    settings = {name: value for name, value in args.to_dict().items() if name not in FREE}
    identity = {
        "architecture": _architecture(model),
        "data": data_digest(getattr(loader, "dataset", getattr(loader, "ids", None))),
        "loader": {
            name: getattr(part, name)
            for part in (loader, getattr(loader, "dataset", None))
            for name in LOADER
            if hasattr(part, name)
        },
        "tokenizer": None if tokenizer is None else _digest(_text_of(tokenizer)),
        "optimizer": type(optimizer).__name__,
        **settings,
    }
    plain: dict[str, Any] = json.loads(json.dumps(identity, default=str))  # as it is read back
    return plain


def _architecture(model: Any) -> dict[str, Any]:
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    config = getattr(model, "config", {})
    config = config.to_dict() if hasattr(config, "to_dict") else config
    if not isinstance(config, dict):  # of a user's own model
        config = {}
    settings = {name: value for name, value in config.items() if name not in NOT_COMPUTED}
    return {"class": type(model).__name__, **settings, **shapes}


def _text_of(tokenizer: Any) -> str:
    backend = backend_of(tokenizer)
    return str(backend.to_str() if hasattr(backend, "to_str") else backend)


def data_digest(data: Any) -> str:
    """Return a digest of a text or a data set.

    Token ids count whole, wherever a data set has them as ``ids``, and so do tensors. Of others
    their length counts, and some samples spread over them.
    """
    fingerprint = getattr(data, "_fingerprint", None)  # of Hugging Face's datasets
    if isinstance(fingerprint, str):
        return fingerprint
    whole = getattr(data, "ids", getattr(data, "tensors", data))
    if isinstance(whole, (np.ndarray, Tensor, tuple)):
        return _digest(whole)
    if not hasattr(data, "__len__"):
        return type(data).__name__
    places = np.unique(np.linspace(0, max(len(data) - 1, 0), SAMPLES).astype(int))
    return _digest([len(data), *(data[int(place)] for place in places if len(data))])


def _digest(value: Any) -> str:
    digest = hashlib.sha256()
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()[:16]


def _parts(value: Any) -> Iterator[bytes | memoryview]:
    """Yield bytes that differ where values differ; arrays are not copied."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield str(name).encode("utf-8")
            yield from _parts(part)
    elif isinstance(value, (str, bytes)):
        yield value.encode("utf-8") if isinstance(value, str) else value
    elif isinstance(value, (list, tuple)) and not all(isinstance(part, int) for part in value):
        for part in value:
            yield from _parts(part)
    else:
        array = np.ascontiguousarray(value)
        yield f"{array.dtype} {array.shape}".encode()
        yield array.view(np.uint8).data if array.size else b""
