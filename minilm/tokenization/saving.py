"""Writing a tokenizer into a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from minilm.atomic import atomic_write_all, make_folder
from minilm.json_text import to_json
from minilm.models.tokenizer_files import SETTINGS, TEMPLATE, TOKENIZER

if TYPE_CHECKING:
    from minilm.tokenization.tokenizer import PreTrainedTokenizerFast


def tokenizer_files(tokenizer: PreTrainedTokenizerFast) -> dict[str, bytes]:
    """Return the files of a tokenizer's folder, by name."""
    tokens: dict[str, Any] = dict(tokenizer.special_tokens_map)
    if tokenizer.pad_is_preset:
        del tokens["pad_token"]  # nobody named it
    if tokenizer.extra_special_tokens:
        tokens["additional_special_tokens"] = tokenizer.extra_special_tokens
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **tokenizer.init_kwargs,
        **tokens,
        "model_max_length": tokenizer.model_max_length,
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        "model_input_names": tokenizer.model_input_names,
        "clean_up_tokenization_spaces": tokenizer.clean_up_tokenization_spaces,
    }
    files: dict[str, str] = {TOKENIZER: tokenizer.backend_tokenizer.to_str(pretty=True)}
    template = tokenizer.chat_template
    if isinstance(template, str):
        files[TEMPLATE] = template
    elif template is not None:
        entries = [{"name": name, "template": text} for name, text in template.items()]
        settings["chat_template"] = entries
    files[SETTINGS] = to_json(settings) + "\n"
    return {name: text.encode("utf-8") for name, text in files.items()}


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: str | Path) -> tuple[str, ...]:
    """Write a tokenizer's files into a folder, which is made when missing; all of them or none.

    Returns
    -------
    tuple of str
        Their paths.
    """
    path = make_folder(folder)
    files = tokenizer_files(tokenizer)
    atomic_write_all({path / name: _writer(data) for name, data in files.items()})
    return tuple(str(path / name) for name in files)


def _writer(data: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(data)
