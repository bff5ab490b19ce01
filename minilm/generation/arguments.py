"""What a caller of ``generate`` says, made into what is to be done."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from minilm.generation.config import GenerationConfig
from minilm.generation.conflicts import settle
from minilm.generation.prompt import Prompt
from minilm.generation.start import start_ids
from minilm.random import default_generator
from minilm.tensor import Tensor
from minilm.warn import warn_caller

TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def _as_config(config: GenerationConfig | Mapping[str, Any] | None) -> GenerationConfig:
    """Return a configuration, whichever form it comes in."""
    if isinstance(config, GenerationConfig):
        config.validate()  # its attributes may have been set since
        return config
    return GenerationConfig.from_dict(config or {})


def config_for(
    model: Any,
    generation_config: GenerationConfig | Mapping[str, Any] | None,
    options: dict[str, Any],
) -> GenerationConfig:
    """Return all options: the caller's before the model's, and these before the defaults.

    Parameters
    ----------
    model : nn.Module or NGramModel
        Its ``generation_config``, where it has one, says how it writes by itself.
    generation_config : GenerationConfig or mapping, optional
        Stands for the model's own, of which only the ids of tokens are taken over.
    options : dict
        Of the call; None stands for what is not said.
    """
    config, asked = _own_config(model), {}
    if generation_config is not None:
        ids = {name: getattr(config, name) for name in TOKEN_IDS}
        config = _as_config(generation_config)
        asked = config.changes()
        config = config.updated({**ids, **asked})
    asked |= {name: value for name, value in options.items() if value is not None}
    return settle(config.updated(asked), asked)


def _own_config(model: Any) -> GenerationConfig:
    """Return how a model writes by itself, without the ids of tokens that it does not have.

    A configuration's defaults are the published model's, whose vocabulary may be larger.
    """
    config = _as_config(getattr(model, "generation_config", None))
    size = getattr(getattr(model, "config", None), "vocab_size", None)
    if size is None:
        return config
    single = {name: getattr(config, name) for name in ("bos_token_id", "pad_token_id")}
    foreign: dict[str, Any] = {
        name: None for name, token in single.items() if token is not None and token >= size
    }
    ends = [token for token in config.eos_ids if token < size]
    if len(ends) < len(config.eos_ids):
        foreign["eos_token_id"] = ends or None
    return config.updated(foreign) if foreign else config


# What Hugging Face's models take beside ids, and what to do instead.
INPUTS = {
    "inputs": "the prompt is called input_ids",
    "inputs_embeds": "a prompt is ids, input_ids",
    "past_key_values": "keys and values are kept inside; give all of the text as input_ids",
    "position_ids": "positions are counted along the attention_mask",
}


def refuse_inputs(options: Mapping[str, Any]) -> None:
    """Say what to give instead of one of `INPUTS`.

    Raises
    ------
    TypeError
        If there is one among the options of a call.
    """
    for name in INPUTS.keys() & options.keys():
        if options[name] is not None:
            raise TypeError(f"generate takes no {name}: {INPUTS[name]}")


def seed_of(seed: Any) -> int:
    """Return the seed of a call, or without one, a seed from the global generator.

    Raises
    ------
    TypeError
        If it is no whole number.
    """
    if seed is None:
        return int(default_generator.integers(0, 2**62, ()))
    try:
        return operator.index(seed)
    except TypeError:
        raise TypeError(f"seed: expected a whole number, got {seed!r:.60}") from None


def warn_of_a_long_prompt(model: Any, prompt: Prompt) -> None:
    """Warn if a model does not see all of a prompt."""
    longest, given = getattr(model, "max_length", None), prompt.ids.shape[1]
    if longest is not None and given > longest:
        warn_caller(
            f"the prompt has {given} tokens, but the model reads at most {longest} at once: it "
            f"sees the last {longest} alone"
        )


def mask_of_padding(input_ids: Any, config: GenerationConfig) -> np.ndarray | None:
    """Return where ids are no padding, if it can be told: padding that is no end of a text."""
    pad = config.pad_token_id
    if pad is None or pad in config.eos_ids:
        return None
    try:
        there = np.asarray(_plain(input_ids)) != pad
    except ValueError:  # rows of several lengths, which are refused elsewhere
        return None
    return None if there.all() else there.astype(np.int64)


def first_ids(config: GenerationConfig, tokenizer: Any) -> list[int]:
    """Return the ids to write on from when there is no prompt."""
    if config.bos_token_id is not None:
        return [config.bos_token_id]
    if tokenizer is None:
        return [0]
    ids: list[int] = start_ids(getattr(tokenizer, "backend_tokenizer", tokenizer)).tolist()
    return ids


def is_one_text(input_ids: Any) -> bool:
    """Tell whether a prompt has the axis ``(time,)`` alone."""
    return np.ndim(_plain(input_ids)) == 1


def _plain(input_ids: Any) -> Any:
    return input_ids.numpy() if isinstance(input_ids, Tensor) else input_ids
