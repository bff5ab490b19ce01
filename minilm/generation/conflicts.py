"""Options that contradict each other: which one wins is said, what cannot be is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minilm.generation.config import DEFAULT_NEW_TOKENS, GenerationConfig
from minilm.warn import warn_caller

DRAWING = ("temperature", "top_k", "top_p", "min_p", "typical_p")
BEAMS = ("length_penalty", "early_stopping")
KEPT = ("output_scores", "output_logits", "output_attentions", "output_hidden_states")


def settle(config: GenerationConfig, asked: Mapping[str, Any]) -> GenerationConfig:
    """Decide what is left open, and warn of what has no effect.

    Parameters
    ----------
    config : GenerationConfig
        Everything that was said.
    asked : mapping
        What the caller said, and not the model's own configuration: of this alone is warned.

    Returns
    -------
    GenerationConfig
        With ``do_sample`` set, and of two lengths only the one that counts.

    Raises
    ------
    ValueError
        If options exclude each other.
    """
    asked = {name: value for name, value in asked.items() if value is not None}
    changes: dict[str, Any] = {"do_sample": _draws(config)}
    for wins, loses in (("max_new_tokens", "max_length"), ("min_new_tokens", "min_length")):
        if wins in asked and loses in asked:
            warn_caller(f"both {wins} and {loses} are given: {wins} wins, {loses} has no effect")
        elif loses in asked:
            changes[wins] = None  # the model's own
    settled = config.updated(changes)
    _warn_idle(settled, asked)
    _refuse(settled)
    return settled


def length_of(config: GenerationConfig, prompt_length: int) -> int:
    """Return how many tokens are to be added, at most.

    Raises
    ------
    ValueError
        If the prompt leaves no room, or less than the shortest text needs.
    """
    if config.max_new_tokens is not None:
        longest, said = config.max_new_tokens, f"max_new_tokens {config.max_new_tokens}"
    elif config.max_length is not None:
        longest, said = config.max_length - prompt_length, f"max_length {config.max_length}"
        if longest < 0:
            raise ValueError(
                f"max_length is {config.max_length}, but the prompt has {prompt_length} tokens; "
                "max_new_tokens counts those behind the prompt alone"
            )
    else:
        longest, said = DEFAULT_NEW_TOKENS, ""
    shortest, name = config.min_new_tokens, "min_new_tokens"
    if shortest is None and config.min_length is not None:
        shortest, name = config.min_length - prompt_length, "min_length"
    if shortest is not None and not said:
        return max(shortest, longest)  # nobody said how many at most
    if shortest is not None and shortest > longest:
        raise ValueError(f"{name} asks for {shortest} new tokens, {said} allows {longest}")
    return longest


def _draws(config: GenerationConfig) -> bool:
    if config.temperature == 0:
        return False
    return config.num_beams == 1 if config.do_sample is None else config.do_sample


def _warn_idle(config: GenerationConfig, asked: Mapping[str, Any]) -> None:
    if not config.do_sample:
        idle = [name for name in DRAWING if name in asked and _does_something(name, asked[name])]
        if idle and asked.get("temperature") != 0:
            warn_caller(
                f"{_why_likeliest(config, asked)} takes the likeliest and wins: {', '.join(idle)} "
                "has no effect. Say do_sample=True to draw"
            )
    if config.num_beams == 1:
        idle = [name for name in BEAMS if name in asked and _does_something(name, asked[name])]
        if idle:
            warn_caller(f"{', '.join(idle)} has no effect without beams: say num_beams=4, or so")
    if not config.return_dict_in_generate:
        idle = [name for name in KEPT if asked.get(name)]
        if idle:
            warn_caller(f"{', '.join(idle)} has no effect without return_dict_in_generate=True")


def _why_likeliest(config: GenerationConfig, asked: Mapping[str, Any]) -> str:
    if "do_sample" in asked:
        return "do_sample=False"
    if config.num_beams > 1:
        return f"num_beams={config.num_beams}"
    return "the model's generation_config (do_sample=False, or temperature=0)"


def _does_something(name: str, value: Any) -> bool:
    return bool(value != getattr(GenerationConfig, name))


def _refuse(config: GenerationConfig) -> None:
    wanted, beams = config.num_return_sequences, config.num_beams
    if beams > 1 and wanted > beams:
        raise ValueError(
            f"num_return_sequences is {wanted}, but of {beams} beams at most {beams} texts come"
        )
    if beams == 1 and wanted > 1 and not config.do_sample:
        raise ValueError(
            f"num_return_sequences is {wanted}, but always taking the likeliest gives one text; "
            "say do_sample=True to draw, or num_beams to search"
        )
