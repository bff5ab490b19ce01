"""What the settings of a configuration may be: each check returns the value, or says what it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[str, Any], Any]

ACTIVATIONS = (
    "gelu",
    "gelu_new",
    "gelu_pytorch_tanh",
    "gelu_fast",
    "relu",
    "silu",
    "swish",
    "tanh",
)
LARGEST_SIZE = 2**31 - 1


def size(name: str, value: Any) -> int:
    """Refuse what is no whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_SIZE:
        raise ValueError(f"{name} must be a whole number of at least 1; got {value!r}")
    return value


def share(name: str, value: Any) -> float:
    """Refuse what is no number in [0, 1]."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} is a share from 0 to 1; got {value!r}")
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """Refuse what is no finite number of at least 0."""
    if not _is_number(value) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number of at least 0; got {value!r}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """Refuse what is no finite number above 0."""
    if not _is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number above 0; got {value!r}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False; got {value!r}")
    return value


def activation(name: str, value: Any) -> str:
    """Refuse an activation that is not computed."""
    if value not in ACTIVATIONS:
        raise ValueError(f"{name} must be one of {', '.join(ACTIVATIONS)}; got {value!r}")
    return str(value)


def token_id(name: str, value: Any) -> int | list[int] | None:
    """Refuse what is neither an id, nor a list of ids, nor None."""
    ids = value if isinstance(value, list) else [value]
    if value is not None and not all(type(id_) is int for id_ in ids):
        raise ValueError(f"{name} must be an id of a token, or None; got {value!r}")
    return value  # type: ignore[no-any-return]


def names(name: str, value: Any) -> list[str]:
    """Refuse what is no list of text."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} must be a list of names; got {value!r}")
    return value


def labels(name: str, value: Any) -> dict[int, str]:
    """Return names of classes by their numbers, which JSON makes text; refuse anything else."""
    try:
        by_number = {int(index): label for index, label in value.items()}
    except (AttributeError, ValueError, TypeError):
        by_number = {}
    complete = sorted(by_number) == list(range(len(by_number))) and by_number
    if not complete or not all(isinstance(label, str) for label in by_number.values()):
        raise ValueError(
            f"{name} must name the classes 0, 1, ... without a gap, at least one; got {value!r}"
        )
    return by_number


def problem(name: str, value: Any) -> str:
    """Refuse a kind of classification that is not computed."""
    kinds = ("regression", "single_label_classification", "multi_label_classification")
    if value not in kinds:
        raise ValueError(f"{name} must be one of {', '.join(kinds)}; got {value!r}")
    return str(value)


def optional(check: Check) -> Check:
    """Allow None beside what a check allows."""
    return lambda name, value: None if value is None else check(name, value)


def divides(part: str, count: int, whole: str, length: int) -> int:
    """Return ``length / count``, or refuse numbers that do not divide.

    Raises
    ------
    ValueError
        The message names both settings.
    """
    if length % count:
        raise ValueError(f"{part} ({count}) must divide {whole} ({length})")
    return length // count


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


COMMON: dict[str, Check] = {
    "architectures": optional(names),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), token_id),
    **dict.fromkeys(("tie_word_embeddings", "output_attentions", "output_hidden_states"), flag),
    "problem_type": optional(problem),
}

# Keys that any file may hold, and the values for which the model is the one that is computed here.
COMPUTED: dict[str, tuple[Any, ...]] = {
    "auto_map": (None,),  # the author's own code
    "quantization_config": (None,),
    "per_layer_config": (None, {}),
    "pruned_heads": (None, {}),
    "is_encoder_decoder": (False, None),
    "is_causal": (True, None),
    "return_dict": (True, None),
}

HARMLESS = frozenset(
    "_commit_hash _name_or_path attn_implementation chunk_size_feed_forward dtype finetuning_task "
    "gradient_checkpointing is_decoder name_or_path task_specific_params tokenizer_class "
    "torch_dtype training transformers_version use_bfloat16 use_cache".split()
)
