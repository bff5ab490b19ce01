"""Write on from a prompt with a trained model."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from minilm.cli.arguments import (
    add_int8,
    not_negative,
    number,
    positive,
    positive_int,
    print_json,
    say_unknown,
    whole,
)

HELP = "write with a trained model"
TEMPERATURE = 0.8
DRAWING = ("temperature", "top_k", "top_p", "min_p", "typical_p")  # arguments that beams ignore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("folder", metavar="DIR", help="a folder that minilm train made")
    add(
        "-p",
        "--prompt",
        metavar="TEXT",
        default="",
        help="text to go on from, or - to read it from standard input; without it, a new line",
    )
    add("-m", "--max-tokens", type=whole, default=200, metavar="N", help="tokens to write")
    add(
        "-i",
        "--interactive",
        action="store_true",
        help="show the ten likeliest next tokens, and ask what comes, again and again",
    )
    _add_drawing(parser)
    _add_rules(parser)
    _add_beams(parser)
    add(
        "--seed",
        type=whole,
        metavar="N",
        help="the same seed writes the same text; without it, any",
    )
    add_int8(parser)


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("drawing").add_argument
    probability = number(float, 0, 1)
    add(
        "--temp",
        dest="temperature",
        type=not_negative,
        metavar="X",
        help=f"0 for always the likeliest; {TEMPERATURE} if not given",
    )
    add("--top-k", type=whole, metavar="K", help="of the K likeliest; 0 for all")
    add(
        "--top-p",
        type=probability,
        metavar="P",
        help="of the likeliest that have this probability together",
    )
    add(
        "--min-p",
        type=probability,
        metavar="P",
        help="of those at least P times as likely as the likeliest",
    )
    add(
        "--typical-p",
        type=number(float, 0, 1, open_low=True),
        metavar="P",
        help="of those that surprise as is expected, with this probability together",
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("rules").add_argument
    add(
        "--repetition-penalty",
        type=positive,
        metavar="X",
        help="above 1: what was written is less likely to come again",
    )
    add(
        "--no-repeat-ngram-size",
        type=whole,
        metavar="N",
        help="no N tokens in a row come twice",
    )
    add(
        "--stop",
        dest="stop_strings",
        action="append",
        metavar="TEXT",
        help="end with this text; may be given several times",
    )


def _add_beams(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("beam search").add_argument
    add(
        "--num-beams",
        type=positive_int,
        default=1,
        metavar="N",
        help="search N texts side by side for one that is likely as a whole, instead of drawing",
    )
    add(
        "--length-penalty",
        type=float,
        metavar="X",
        help="above 0 favours long texts, below 0 short ones; 1 if not given",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command: print the passage as it is written, or ask what comes."""
    from minilm.data.text import read_text
    from minilm.data.tokenizer import encode_text
    from minilm.models import from_pretrained, load_tokenizer
    from minilm.random import default_generator

    options = _options(args)
    model = from_pretrained(args.folder, load_in_8bit=args.int8)
    tokenizer = load_tokenizer(args.folder)
    prompt = read_text("-") if args.prompt == "-" else args.prompt
    say_unknown(tokenizer, encode_text(tokenizer, prompt), "the prompt")
    options["seed"] = default_generator.seed() if args.seed is None else args.seed
    if args.interactive:
        _interact(model, tokenizer, prompt, options)
    else:
        _print_passage(model, tokenizer, prompt, options, args)
    return 0


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `generate` that were given; refuse those that exclude each other.

    Raises
    ------
    ValueError
        The message names the arguments.
    """
    if args.interactive and (args.json or args.prompt == "-"):
        other = "--json" if args.json else "--prompt -"
        raise ValueError(f"--interactive asks on standard input; it does not go with {other}")
    names = ("repetition_penalty", "no_repeat_ngram_size", "stop_strings", "length_penalty")
    given = {
        name: getattr(args, name) for name in (*DRAWING, *names) if getattr(args, name) is not None
    }
    if args.num_beams > 1:
        drawing = [name for name in DRAWING if name in given]
        if drawing:
            flag = "--temp" if drawing[0] == "temperature" else f"--{drawing[0].replace('_', '-')}"
            raise ValueError(f"--num-beams searches, {flag} is for drawing: give one of them")
        return {"do_sample": False, "num_beams": args.num_beams, **given}
    return {"do_sample": True, "num_beams": 1, "temperature": TEMPERATURE, **given}


def _print_passage(
    model: Any, tokenizer: Any, prompt: str, options: dict[str, Any], args: argparse.Namespace
) -> None:
    from minilm.generation import stream_text

    pieces: list[str] = []
    write = pieces.append if args.json else _write
    stream_text(model, tokenizer, prompt, args.max_tokens, write=write, **options)
    if args.json:
        print_json({"prompt": prompt, "seed": options["seed"], "text": "".join(pieces)})
    else:
        print()


def _interact(model: Any, tokenizer: Any, prompt: str, options: dict[str, Any]) -> None:
    from minilm.cli.interactive import Session, converse

    def ask() -> str | None:
        print("> ", end="", flush=True)
        return sys.stdin.readline() or None

    if hasattr(sys.stdin, "reconfigure"):  # UTF-8, whatever the platform's code page
        sys.stdin.reconfigure(encoding="utf-8")
    converse(Session(model, tokenizer, prompt, options), ask, print)


def _write(piece: str) -> None:
    print(piece, end="", flush=True, file=sys.stdout)
