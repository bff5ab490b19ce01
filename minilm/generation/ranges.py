"""Which values the options of generation may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any


def is_int(value: Any, low: int, high: int = 2**63 - 1) -> bool:
    """Tell whether a value is a whole number of a range, both ends in it."""
    return (
        hasattr(value, "__index__")
        and not isinstance(value, bool)
        and low <= value.__index__() <= high
    )


def _is_number(value: Any, low: float, high: float = math.inf) -> bool:
    try:
        return not isinstance(value, str) and low <= float(value) <= high and value != math.inf
    except TypeError:
        return False


def _is_list(value: Any, fits: Callable[[Any], bool], shortest: int = 0) -> bool:
    return (
        isinstance(value, Collection)
        and not isinstance(value, str | bytes | Mapping)
        and len(value) >= shortest
        and all(map(fits, value))
    )


def _is_id(value: Any) -> bool:
    return is_int(value, 0)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _at_least(low: int) -> Callable[[Any], bool]:
    return lambda value: is_int(value, low)


Rule = tuple[Callable[[Any], bool], str]

FLAG: Rule = (_is_flag, "True or False")
TOKENS: Rule = (_at_least(0), "a number of tokens, 0 or more")
COUNT: Rule = (_at_least(1), "a whole number of at least 1")
SHARE: Rule = (lambda value: _is_number(value, 0, 1), "a probability, 0 to 1")

# What a value must be to fit, for a program and in words; None always fits.
RULES: dict[str, Rule] = {
    **dict.fromkeys(("max_new_tokens", "max_length", "min_new_tokens", "min_length"), TOKENS),
    **dict.fromkeys(("num_beams", "num_return_sequences"), COUNT),
    **dict.fromkeys(("top_p", "min_p"), SHARE),
    **dict.fromkeys(("do_sample", "output_scores", "output_logits"), FLAG),
    **dict.fromkeys(("output_attentions", "output_hidden_states"), FLAG),
    **dict.fromkeys(("return_dict_in_generate", "use_cache"), FLAG),
    "max_time": (lambda v: _is_number(v, 0), "seconds, 0 or more"),
    "stop_strings": (lambda v: _is_text(v) or _is_list(v, _is_text), "a text, or a list of them"),
    "temperature": (lambda v: _is_number(v, 0), "a finite number, 0 or more"),
    "top_k": (_at_least(0), "0 for all tokens, or how many"),
    "typical_p": (lambda v: _is_number(v, 0, 1) and v > 0, "a probability above 0, up to 1"),
    "repetition_penalty": (lambda v: _is_number(v, 0) and v > 0, "a number above 0"),
    "no_repeat_ngram_size": (_at_least(0), "the size of an n-gram, or 0 for none"),
    "bad_words_ids": (
        lambda v: _is_list(v, lambda word: _is_list(word, _is_id, 1)),
        "lists of ids, none of them empty",
    ),
    "suppress_tokens": (lambda v: _is_list(v, _is_id), "a list of ids"),
    "length_penalty": (lambda v: _is_number(v, -30, 30), "a number from -30 to 30"),
    "early_stopping": (lambda v: _is_flag(v) or v == "never", "True, False or 'never'"),
    "bos_token_id": (_is_id, "an id, or None for none"),
    "pad_token_id": (_is_id, "an id, or None for none"),
    "eos_token_id": (
        lambda v: _is_id(v) or _is_list(v, _is_id),
        "an id, a list of ids, or None for none",
    ),
}
