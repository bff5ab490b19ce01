"""The tokenizer's files in a folder, in any of the forms that Hugging Face's folders have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.data.byte_pairs import END_OF_TEXT
from minilm.data.guard import guarded
from minilm.models.errors import FolderError
from minilm.models.files import read_json, read_text

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

NAMES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
MORE = ("additional_special_tokens", "extra_special_tokens")  # the older and the newer name

TOKENIZER = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
ADDED = "added_tokens.json"
TEMPLATE = "chat_template.jinja"
VOCAB, MERGES, WORD_PIECES = "vocab.json", "merges.txt", "vocab.txt"
FILES = (TOKENIZER, SETTINGS, SPECIAL, ADDED, TEMPLATE, VOCAB, MERGES, WORD_PIECES, "config.json")

# What a tokenizer_config.json says that is read here, and what its values must be.
FIELDS: dict[str, tuple[type, ...]] = {
    "model_max_length": (int, float),
    "padding_side": (str,),
    "truncation_side": (str,),
    "model_input_names": (list,),
    "chat_template": (str, list),
    "clean_up_tokenization_spaces": (bool,),
}
# Of use to whoever wrote the file only.
DROPPED = ("name_or_path", "tokenizer_file", "added_tokens_decoder", "vocab_file", "merges_file")


def read_folder(folder: Path) -> tuple[Tokenizer, dict[str, Any]]:
    """Read a folder's tokenizer, and what it says about it.

    ``tokenizer.json`` is taken before ``vocab.json`` with ``merges.txt`` (byte-level byte pairs, as
    GPT-2 has them), and these before ``vocab.txt`` (WordPiece, as BERT has it).

    Returns
    -------
    tokenizer : tokenizers.Tokenizer
    settings : dict
        What `PreTrainedTokenizerFast` takes.

    Raises
    ------
    FolderError
        If a file is missing or damaged; the message names it.
    """
    settings = _settings(folder)
    if (folder / TOKENIZER).exists():
        tokenizer = read_tokenizer_json(folder / TOKENIZER)
    elif (folder / VOCAB).exists() and (folder / MERGES).exists():
        tokenizer = read_byte_pairs(folder, settings)
    elif (folder / WORD_PIECES).exists():
        tokenizer = read_word_pieces(folder / WORD_PIECES, settings)
    else:
        raise FolderError(_nothing_found(folder))
    with guarded(FolderError, f"{folder}: the added tokens are damaged"):
        _add_tokens(tokenizer, folder, settings.pop("added_tokens_decoder", None))
    if "Bert" in str(settings.get("tokenizer_class")) and "DistilBert" not in str(
        settings["tokenizer_class"]
    ):
        names = ["input_ids", "token_type_ids", "attention_mask"]
        settings.setdefault("model_input_names", names)
    return tokenizer, {name: value for name, value in settings.items() if name not in DROPPED}


def read_tokenizer_json(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json``.

    Raises
    ------
    FolderError
        If it is missing or damaged.
    """
    from tokenizers import Tokenizer

    values = read_json(path)  # which says where JSON is wrong, better than Rust's reader
    if not isinstance(values.get("model"), Mapping):
        raise FolderError(f"{path} is damaged: it has no model, which tokenizers writes")
    with guarded(FolderError, f"{path} is damaged"):
        tokenizer = Tokenizer.from_str(read_text(path))
    tokenizer.no_padding()  # a call says how to fill up and where to cut
    tokenizer.no_truncation()
    return tokenizer


def read_byte_pairs(folder: Path, settings: dict[str, Any]) -> Tokenizer:
    """Read ``vocab.json`` and ``merges.txt``: GPT-2's byte pair encoding.

    Raises
    ------
    FolderError
        If they are damaged, or do not go together.
    """
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    vocab = read_json(folder / VOCAB)
    lines = read_text(folder / MERGES).split("\n")
    lines = [line for line in lines if line and not line.startswith("#version")]
    merges = []
    for line in lines:
        first, _, second = line.partition(" ")
        if not second or " " in second:
            raise FolderError(f"{folder / MERGES} is damaged: {line!r:.60} is not a pair of tokens")
        merges.append((first, second))
    with guarded(FolderError, f"{folder}: {VOCAB} and {MERGES} do not go together"):
        tokenizer = Tokenizer(BPE(vocab, merges, fuse_unk=False))
    space = bool(settings.get("add_prefix_space", False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    tokenizer.decoder = decoders.ByteLevel()
    if END_OF_TEXT in vocab:
        for name in ("bos_token", "eos_token", "unk_token"):
            settings.setdefault(name, END_OF_TEXT)
    return tokenizer


def read_word_pieces(path: Path, settings: dict[str, Any]) -> Tokenizer:
    """Read ``vocab.txt``: BERT's WordPiece, with ``[CLS]`` and ``[SEP]`` around a text.

    Raises
    ------
    FolderError
        If the tokens that it needs are missing.
    """
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    tokens = read_text(path).split("\n")
    tokens = tokens[:-1] if tokens[-1] == "" else tokens
    vocab = {token.removesuffix("\r"): index for index, token in enumerate(tokens)}
    named = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    named = {name: text_of(settings.get(name) or usual) for name, usual in named.items()}
    missing = [token for token in named.values() if token not in vocab]
    if missing:
        raise FolderError(
            f"{path} has {len(vocab)} tokens, but not {', '.join(missing)}: is it the vocabulary "
            "of a BERT model, a token a line?"
        )
    for name, usual in (*named.items(), ("pad_token", "[PAD]"), ("mask_token", "[MASK]")):
        if usual in vocab:
            settings.setdefault(name, usual)
    with guarded(FolderError, f"{path} is damaged"):
        tokenizer = Tokenizer(WordPiece(vocab, unk_token=named["unk_token"]))
        tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
            strip_accents=settings.get("strip_accents"),
            lowercase=bool(settings.get("do_lower_case", True)),
        )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    first, last = named["cls_token"], named["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[first, "$A:0", f"{last}:0"],
        pair=[first, "$A:0", f"{last}:0", "$B:1", f"{last}:1"],
        special_tokens=[(first, vocab[first]), (last, vocab[last])],
    )
    return tokenizer


def _settings(folder: Path) -> dict[str, Any]:
    """Return what the folder's small files say, checked."""
    found = read_json(folder / SETTINGS) if (folder / SETTINGS).exists() else {}
    if (folder / SPECIAL).exists():
        tokens = read_json(folder / SPECIAL)
        found = {**{k: v for k, v in tokens.items() if k in (*NAMES, *MORE)}, **found}
    for name, kinds in FIELDS.items():
        value = found.get(name)
        if value is None:
            found.pop(name, None)
        elif not isinstance(value, kinds):
            raise FolderError(f"{folder / SETTINGS}: {name} cannot be {value!r:.60}")
    for name in NAMES:
        with guarded(FolderError, f"{folder / SETTINGS}: {name}"):
            if found.get(name) is not None:
                text_of(found[name])
    for name in MORE:
        if not isinstance(found.get(name), list):
            found.pop(name, None)  # newer files may map names to tokens
    if isinstance(found.get("chat_template"), list):
        found["chat_template"] = _templates(found["chat_template"], folder)
    if (folder / TEMPLATE).exists():
        found["chat_template"] = read_text(folder / TEMPLATE)
    return found


def _templates(entries: list[Any], folder: Path) -> dict[str, str]:
    try:
        return {str(entry["name"]): str(entry["template"]) for entry in entries}
    except (TypeError, KeyError):
        raise FolderError(
            f"{folder / SETTINGS}: chat_template is a text, or a list of name and template"
        ) from None


def _add_tokens(tokenizer: Tokenizer, folder: Path, decoder: Any) -> None:
    """Add the tokens that older folders keep outside of the vocabulary, in the order of ids."""
    added = read_json(folder / ADDED) if (folder / ADDED).exists() else {}
    tokens: dict[int, Any] = {int(index): token for token, index in added.items()}
    if isinstance(decoder, Mapping):
        tokens |= {int(index): token for index, token in decoder.items()}
    known = tokenizer.get_vocab()
    for _, token in sorted(tokens.items()):
        special = isinstance(token, Mapping) and bool(token.get("special", False))
        if special:
            tokenizer.add_special_tokens([as_special(token)])
        elif text_of(token) not in known:
            tokenizer.add_tokens([text_of(token)])


def _nothing_found(folder: Path) -> str:
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        return f"{folder} {what}; expected a folder with a tokenizer"
    here = ", ".join(sorted(entry.name for entry in folder.iterdir())[:10]) or "nothing"
    advice = ""
    if any(folder.glob("*.model")):
        advice = (
            ". A SentencePiece model is read by transformers: there, "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes tokenizer.json"
        )
    return (
        f"{folder} has no tokenizer: expected {TOKENIZER}, or {VOCAB} with {MERGES}, or "
        f"{WORD_PIECES} (it has {here}){advice}"
    )


def text_of(token: Any) -> str:
    """Return the text of a token, which files give as text or as an object."""
    if isinstance(token, Mapping):
        token = token.get("content")
    text = getattr(token, "content", token)
    if not isinstance(text, str) or not text:
        raise ValueError(f"a special token is text, or an object with 'content'; got {token!r}")
    return text


def as_special(token: Any) -> AddedToken:
    """Return a special token as `tokenizers` takes it, with what a file says about spaces."""
    from tokenizers import AddedToken

    fields = ("single_word", "lstrip", "rstrip", "normalized")
    if isinstance(token, Mapping):
        said = {name: token.get(name) for name in fields}
    else:
        said = {name: getattr(token, name, None) for name in fields}
    options = {name: value for name, value in said.items() if isinstance(value, bool)}
    return AddedToken(text_of(token), special=True, **{"normalized": False, **options})
