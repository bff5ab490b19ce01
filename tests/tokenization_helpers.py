"""Small tokenizers for tests, and what ``transformers`` answered to the same."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from reference.stored import DATA
from reference.tokenizer_cases import WORD_PIECES

from minilm.tokenization import AutoTokenizer, PreTrainedTokenizerFast


@cache
def stored() -> dict[str, Any]:
    """What tests/reference/make_tokenizers.py wrote."""
    return json.loads((DATA / "tokenizers.json").read_text(encoding="utf-8"))


def byte_pair_folder(folder: Path) -> Path:
    """Write a small ``vocab.json`` and ``merges.txt``."""
    folder.mkdir(exist_ok=True)
    for name, text in stored()["byte pairs"]["files"].items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def word_piece_folder(folder: Path, **settings: Any) -> Path:
    """Write a small ``vocab.txt``, and ``tokenizer_config.json``."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORD_PIECES) + "\n", encoding="utf-8")
    write_settings(folder, **settings)
    return folder


def write_settings(folder: Path, **settings: Any) -> None:
    """Write a ``tokenizer_config.json``."""
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def byte_pairs(folder: Path, **options: Any) -> PreTrainedTokenizerFast:
    """Return a small byte-level tokenizer, made as GPT-2's; it knows English text about a cat."""
    options = {"pad_token": "<|endoftext|>", **options}
    return AutoTokenizer.from_pretrained(byte_pair_folder(folder / "byte-pairs"), **options)


def word_pieces(folder: Path, **settings: Any) -> PreTrainedTokenizerFast:
    """Return a small WordPiece tokenizer, made as DistilBERT's."""
    settings = {"tokenizer_class": "DistilBertTokenizer", **settings}
    return AutoTokenizer.from_pretrained(word_piece_folder(folder / "word-pieces", **settings))
