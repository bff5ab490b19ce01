"""Write on from a prompt with a trained model."""

from __future__ import annotations

import argparse
import sys

from minilm.cli.arguments import (
    not_negative,
    number,
    print_json,
    say_unknown,
    whole,
)

HELP = "write with a trained model"


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
    add("--temp", type=not_negative, default=0.8, metavar="X", help="0 for always the likeliest")
    add("--top-k", type=whole, default=0, metavar="K", help="of the K likeliest; 0 for all")
    add(
        "--top-p",
        type=number(float, 0, 1),
        default=1.0,
        metavar="P",
        help="of the likeliest that have this probability together",
    )
    add(
        "--seed",
        type=whole,
        metavar="N",
        help="the same seed writes the same text; without it, any",
    )
    add(
        "--int8",
        action="store_true",
        help="round the weights to 8 bits: a quarter of the memory, faster where they are large",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command: print the passage as it is written."""
    from minilm.data.text import read_text
    from minilm.data.tokenizer import encode_text
    from minilm.generation import stream_text
    from minilm.models import LanguageModel, RNNModel, from_pretrained, load_tokenizer
    from minilm.random import default_generator

    model: LanguageModel
    if args.int8:
        model = RNNModel.from_pretrained(args.folder).quantize()
    else:
        model = from_pretrained(args.folder)
    tokenizer = load_tokenizer(args.folder)
    prompt = read_text("-") if args.prompt == "-" else args.prompt
    say_unknown(tokenizer, encode_text(tokenizer, prompt), "the prompt")
    seed = default_generator.seed() if args.seed is None else args.seed
    pieces: list[str] = []
    stream_text(
        model,
        tokenizer,
        prompt,
        args.max_tokens,
        write=pieces.append if args.json else _write,
        temperature=args.temp,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=seed,
    )
    if args.json:
        print_json({"prompt": prompt, "seed": seed, "text": "".join(pieces)})
    else:
        print()
    return 0


def _write(piece: str) -> None:
    print(piece, end="", flush=True, file=sys.stdout)
