"""Let a trained model write, and look up how much of it stands in its training text."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from minilm.cli.arguments import add_int8, add_sampling, positive_int, print_json, whole

if TYPE_CHECKING:
    import numpy as np

HELP = "see how much a model copies from its training text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("folder", metavar="DIR", help="a folder that minilm train made")
    add(
        "--train",
        metavar="FILE",
        required=True,
        help="the text that the model was trained on: the part held out then is compared, too",
    )
    add(
        "--held-out",
        metavar="FILE",
        help="another text of the kind to compare with, which the model was not trained on",
    )
    add(
        "--text",
        metavar="FILE",
        help="look up this text, or - for standard input, instead of letting the model write",
    )
    add("-m", "--max-tokens", type=positive_int, default=2000, metavar="N", help="tokens to write")
    add("-n", "--ngram", type=positive_int, default=8, metavar="N", help="tokens in an n-gram")
    add_sampling(parser)
    add_int8(parser)
    add("--seed", type=whole, default=0, metavar="N", help="the same seed writes the same text")


def run(args: argparse.Namespace) -> int:
    """Run the command: print the longest span copied, and the share of new n-grams."""
    from minilm.cli.training_text import training_ids
    from minilm.data.text import read_text
    from minilm.evaluation import memorisation
    from minilm.models import load_tokenizer

    tokenizer = load_tokenizer(args.folder)
    train_ids, held_out = training_ids(args.folder, tokenizer, args.train)
    report = memorisation(
        _written(args, tokenizer) if args.text is None else read_text(args.text),
        train_ids,
        held_out=held_out if args.held_out is None else read_text(args.held_out),
        n=args.ngram,
        tokenizer=tokenizer,
    )
    if args.json:
        print_json(report.to_dict())
    else:
        print(report)
    return 0


def _written(args: argparse.Namespace, tokenizer: Any) -> np.ndarray:
    """Return what the model writes after its start."""
    from minilm.data.vocab import UNKNOWN
    from minilm.generation import generate, start_ids
    from minilm.models import from_pretrained

    start = start_ids(tokenizer)
    unknown = tokenizer.token_to_id(UNKNOWN)
    ids: np.ndarray = generate(
        from_pretrained(args.folder, load_in_8bit=args.int8),
        start,
        args.max_tokens,
        temperature=args.temp,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=args.seed,
        suppress_tokens=[] if unknown is None else [unknown],
    ).numpy()
    return ids[len(start) :]
