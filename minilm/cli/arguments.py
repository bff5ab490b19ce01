"""Argument types that say what they expect, and what several sub-commands share."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minilm.json_text import to_json


def number(
    kind: type, low: float, high: float = math.inf, *, open_low: bool = False
) -> Callable[[str], Any]:
    """Return an argparse type for a number in a range.

    Parameters
    ----------
    kind : type
        int or float.
    low, high : float
        Bounds that are allowed themselves.
    open_low : bool
        The number must lie above `low`.

    Returns
    -------
    callable
        Raises argparse's error, which names the argument, with what was expected and got.
    """
    what = {int: "a whole number", float: "a number"}[kind]
    above = f"above {low:g}" if open_low else f"of at least {low:g}"
    expected = f"{what} {above}" + (f" and at most {high:g}" if high < math.inf else "")

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or (open_low and value == low) or math.isinf(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return parse


positive_int = number(int, 1)
thread_count = number(int, 1, 256)
whole = number(int, 0)
positive = number(float, 0, open_low=True)
not_negative = number(float, 0)


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how to sample."""
    parser.add_argument("--temp", type=not_negative, default=0.8, help="0: always the likeliest")
    parser.add_argument("--top-k", type=whole, default=0, help="of the k likeliest; 0: of all")
    parser.add_argument(
        "--top-p",
        type=number(float, 0, 1, open_low=True),
        default=1.0,
        help="of the likeliest that make this probability together",
    )


def add_int8(parser: argparse.ArgumentParser) -> None:
    """Add the argument that rounds a model's weights."""
    parser.add_argument(
        "--int8",
        action="store_true",
        help="round the weights to 8 bits: a quarter of the memory, faster where they are large",
    )


def input_name(path: str) -> str:
    """Return what a report calls an input."""
    return "standard input" if path == "-" else Path(path).name


def print_json(values: Mapping[str, Any]) -> None:
    """Print a result as one JSON object."""
    print(to_json(values))


def say(message: str) -> None:
    """Print a message for people, on standard error."""
    print(message, file=sys.stderr)


def say_unknown(tokenizer: Any, ids: Any, what: str) -> None:
    """Say how many tokens of an input the model does not know."""
    from minilm.data.vocab import UNKNOWN

    count = int((ids == tokenizer.token_to_id(UNKNOWN)).sum())
    if count:
        say(f"{what}: {count:,} of {len(ids):,} tokens are unknown, read as {UNKNOWN}")
