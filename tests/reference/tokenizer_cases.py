"""Texts and calls on which tokenizers are compared with those of ``transformers``."""

from __future__ import annotations

from typing import Any

TEXTS = [
    "",
    " ",
    "Hello world",
    " Hello  world \n\n\tand\r\nmore   ",
    "I'll say it's 'quoted', isn't it? We've THEY'RE I'D",
    "3.1415 1,000,000 ²³ ½ Ⅷ １２３",
    "naïve café Ångström Straße İstanbul",
    "cafe\u0301 vs caf\u00e9 \ufb01 \u212b",
    "日本語 と 中文，한국어",
    "العربية עברית हिन्दी ไทย",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽 \U0001f9d1\u200d\U0001f4bb",
    "zero\u200bwidth\u00adsoft\u2028line\u2029para\u0085next\u00a0nbsp\u3000wide\ufeffbom",
    "null\x00 bell\x07 escape\x1b delete\x7f unit\x1f",
    "\ufffd \ufdd0 \U0010ffff \ue000",
    "<|endoftext|>Once upon<|endoftext|> a time<|endoftext",
    "[CLS] a [SEP] [MASK] [PAD] [UNK] [cls]",
    "snake_case CamelCase kebab-case a/b\\c {x: [1]} `tick` #tag @name $5 €6",
    "supercalifragilisticexpialidocious" + "x" * 120,
    "ÀÈÌ ÖÜ ÇŞ ŒÆ ǅ ß ſ",
    "e\u0301\u0323\u0327 \u1e69 \u0344",
]

BATCH = ["the cat sat on the mat", "the dog", "a cat and a dog sat"]

CALLS: dict[str, dict[str, Any]] = {
    "one": {"text": BATCH[0]},
    "batch": {"text": BATCH},
    "padded": {"text": BATCH, "padding": True},
    "left": {"text": BATCH, "padding": True, "padding_side": "left"},
    "fixed": {"text": BATCH, "padding": "max_length", "max_length": 12},
    "cut": {"text": BATCH, "truncation": True, "max_length": 5},
    "cut by length alone": {"text": BATCH, "max_length": 5},
    "both": {"text": BATCH, "truncation": True, "padding": "max_length", "max_length": 6},
    "multiple": {"text": BATCH, "padding": True, "pad_to_multiple_of": 8},
    "pair": {"text": BATCH[0], "text_pair": BATCH[1]},
    "pairs": {"text": BATCH, "text_pair": BATCH[::-1], "padding": True},
    "pairs as tuples": {"text": list(zip(BATCH, BATCH[::-1], strict=True))},
    "cut pair": {"text": BATCH[0], "text_pair": BATCH[2], "truncation": True, "max_length": 9},
    "cut first": {
        "text": BATCH[0],
        "text_pair": BATCH[1],
        "truncation": "only_first",
        "max_length": 8,
    },
    "cut second": {
        "text": BATCH[1],
        "text_pair": BATCH[2],
        "truncation": "only_second",
        "max_length": 8,
    },
    "plain": {"text": BATCH[1], "add_special_tokens": False},
    "words": {"text": BATCH[1].split(), "is_split_into_words": True},
    "batch of words": {"text": [text.split() for text in BATCH], "is_split_into_words": True},
    "no mask": {"text": BATCH[1], "return_attention_mask": False},
    "types": {"text": BATCH[1], "text_pair": BATCH[0], "return_token_type_ids": True},
    "more columns": {
        "text": BATCH[1],
        "return_special_tokens_mask": True,
        "return_offsets_mapping": True,
        "return_length": True,
    },
    "overflowing": {
        "text": BATCH[:2],
        "truncation": True,
        "max_length": 6,
        "stride": 1,
        "return_overflowing_tokens": True,
    },
}

WORD_PIECES = [
    *"[PAD] [UNK] [CLS] [SEP] [MASK]".split(),
    *"the cat sat on mat dog a and hello world cafe naive ##s ##ing it".split(),
    *"abcdefghijklmnopqrstuvwxyz",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
    *"0 1 2 3 ##0 ##1 ##2 . , ' ! ? - [ ] 日 本 中 文".split(),
]

SENTENCES = (
    "The cat sat on the mat, and the dog sat on the cat. It's what the cat wanted, isn't it? "
    "A dog and a cat and a mat: the dog's mat. Hello world! The naïve café, the Straße. " * 4
)


def plain(encoding: Any) -> dict[str, Any]:
    """Return what a call gave as lists and numbers, as JSON has them."""
    columns = {name: encoding[name] for name in encoding.keys()}  # noqa: SIM118
    if "offset_mapping" in columns:
        columns["offset_mapping"] = [list(pair) for pair in columns["offset_mapping"]]
    return columns
