"""Loading in int8: ``from_pretrained(..., load_in_8bit=True)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OTHERS = ("load_in_4bit", "quantization_config")  # what transformers has beside it


def checked_8bit(load_in_8bit: Any, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Check what was asked for, before any weight is read.

    Parameters
    ----------
    load_in_8bit : bool
        Whether the model is wanted in int8.
    overrides : mapping
        The other arguments of ``from_pretrained``.

    Returns
    -------
    dict
        `overrides` without those that only say that nothing else is wanted.

    Raises
    ------
    TypeError
        If `load_in_8bit` is no bool.
    ValueError
        If another way to quantize is asked for.
    """
    if not isinstance(load_in_8bit, bool):
        raise TypeError(
            f"load_in_8bit is True or False; got {load_in_8bit!r}, a {type(load_in_8bit).__name__}"
        )
    for name in OTHERS:
        if overrides.get(name):
            beside = " and load_in_8bit=True exclude each other" if load_in_8bit else ""
            raise ValueError(
                f"{name}={overrides[name]!r:.60}{beside or ' is not supported'}: minilm rounds "
                f"weights to 8 bits, a scale a row, and in no other way. Leave {name} out, and "
                "pass load_in_8bit=True"
            )
    return {name: value for name, value in overrides.items() if name not in OTHERS}


def check_has_8bit(cls: type) -> None:
    """Refuse a class of models that has no form in int8.

    Raises
    ------
    TypeError
        The message names what has.
    """
    if not hasattr(cls, "quantize"):
        raise TypeError(
            f"load_in_8bit=True: {cls.__name__} has no form in int8, language models have "
            "(RNNModel, AWDLSTM, GPT2LMHeadModel, LlamaForCausalLM). Load it without"
        )
