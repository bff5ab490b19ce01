"""From files to a model: which stored tensor is which parameter, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minilm.grad_mode import no_grad
from minilm.models.errors import FolderError
from minilm.models.weights import FLOATS, StoredTensor
from minilm.tensor import Tensor
from minilm.warn import warn_caller


@dataclass
class Match:
    """Which stored tensor goes where.

    Attributes
    ----------
    pairs : dict
        Names of parameters, and what they are read from.
    missing, unexpected : list of str
        Parameters that nothing is stored for, and stored tensors that are no parameters.
    unfit : list of str
        What is of another shape, or of another kind of numbers.
    """

    pairs: dict[str, StoredTensor] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)


def fill(model: Any, stored: Mapping[str, StoredTensor], source: Path, whole: bool) -> list[str]:
    """Read the weights of a model.

    Parameters
    ----------
    model : nn.Module
        Its parameters and buffers are overwritten.
    stored : mapping
        Names and tensors of the files.
    source : Path
        Folder or file, named in messages.
    whole : bool
        Whether the files are those of just such a model. Else only the part under
        ``base_model_prefix`` must be there: a new head is put on it.

    Returns
    -------
    list of str
        The parameters of a new head, which were not stored.

    Raises
    ------
    FolderError
        If the weights do not fit: all names that are missing, unexpected, of another shape or of
        another kind of numbers are listed. Nothing is overwritten then.
    """
    own = model.state_dict(keep_vars=True)
    match = _match(model, own, stored)
    needed = match.missing if whole else _base_names(model, match.missing, own)
    problems = [f"missing {name} {own[name].shape}" for name in needed]
    if whole:
        problems += [f"unexpected {name} {stored[name].shape}" for name in match.unexpected]
    problems += match.unfit
    if problems:
        raise FolderError(f"the weights in {source} do not fit config.json: {'; '.join(problems)}")
    first: dict[int, str] = {}
    for name, tensor in match.pairs.items():
        original = first.setdefault(id(own[name]), name)
        if not _same(match.pairs[original], tensor):
            raise FolderError(
                f"{source}: {original} and {name} are one parameter of this model, but they differ "
                "there. If they are two, config.json should say so (tie_word_embeddings or "
                "tie_weights: false)"
            )
    with no_grad():
        for name in first.values():
            own[name].copy_(Tensor(match.pairs[name].read()))
    return match.missing


def _same(a: StoredTensor, b: StoredTensor) -> bool:
    return a == b or np.array_equal(a.read(), b.read())


def _match(model: Any, own: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]) -> Match:
    match, ignored = Match(), getattr(model, "ignored_weights", None)
    for name, tensor in stored.items():
        if ignored is not None and ignored.search(name):
            continue
        wanted = _own_name(model, own, name)
        if wanted is None or wanted in match.pairs:
            match.unexpected.append(name)
            continue
        match.pairs[wanted] = tensor
        shape = tuple(own[wanted].shape)
        if tensor.shape != shape:
            match.unfit.append(f"{name} has shape {tensor.shape}, expected {shape}")
        elif own[wanted].dtype.kind == "f" and tensor.dtype not in FLOATS:
            match.unfit.append(
                f"{name} is {tensor.dtype}, expected {', '.join(FLOATS)}: is the model quantized? "
                "Take the original"
            )
    there = {id(own[name]) for name in match.pairs}  # or under another name of the same memory
    match.missing = [name for name in own if id(own[name]) not in there]
    return match


def _own_name(model: Any, own: Mapping[str, Tensor], name: str) -> str | None:
    """Return what a model calls a stored tensor.

    Files of a model without a head have no prefix, and those of one with a head have it.
    """
    prefix = getattr(model, "base_model_prefix", "") + "."
    for candidate in (name, prefix + name, name.removeprefix(prefix)):
        if candidate in own:
            return candidate
    return None


def _base_names(model: Any, names: list[str], own: Mapping[str, Tensor]) -> list[str]:
    """Return those names that belong to the model without its head."""
    prefix = model.base_model_prefix + "."
    headed = any(name.startswith(prefix) for name in own)
    return [name for name in names if name.startswith(prefix) or not headed]


def warn_of_new_head(model: Any, names: list[str], folder: Path) -> None:
    """Say that a model must learn before it is of use."""
    warn_caller(
        f"{folder} holds no {', '.join(names)}: these weights of {type(model).__name__} start at "
        "random. Train the model before you trust what it says"
    )
