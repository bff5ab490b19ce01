"""Measure how well a trained model predicts a text."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from minilm.cli.arguments import (
    add_int8,
    input_name,
    positive_int,
    print_json,
    say,
    say_unknown,
)

if TYPE_CHECKING:
    import numpy as np

    from minilm.evaluation import Detail, Evaluation

HELP = "measure a trained model on a text"
# A span that no two texts share by chance.
TELLING_TOKENS = 100
TELLING_SHARE = 0.1  # of the text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("folder", metavar="DIR", help="a folder that minilm train made")
    add("file", metavar="FILE", help="a UTF-8 text, or - for standard input")
    add(
        "--detail",
        action="store_true",
        help="accuracy, calibration, and the tokens that cost most; takes longer",
    )
    add(
        "--ngram",
        metavar="TRAINING_FILE",
        help="compare with n-grams, counted in the text that the model was trained on",
    )
    add_int8(parser)
    add(
        "--stride",
        type=positive_int,
        metavar="N",
        help="read windows in which N tokens count; without it, a model with a state carries it on",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command: print what the model reaches, on what terms, and beside what."""
    from minilm.cli.training_text import training_ids
    from minilm.data.text import read_text
    from minilm.evaluation import evaluate, yardstick
    from minilm.evaluation.names import Names
    from minilm.models import from_pretrained, load_tokenizer

    model = from_pretrained(args.folder, load_in_8bit=args.int8)
    tokenizer = load_tokenizer(args.folder)
    text = read_text(args.file)
    ids = Names(tokenizer).encode(text)
    say_unknown(tokenizer, ids, input_name(args.file))
    reached = evaluate(model, text, tokenizer=tokenizer, stride=args.stride, detail=args.detail)
    values, lines = reached.to_dict(), list(_lines(reached))
    if args.ngram is not None:
        train_ids, _ = training_ids(args.folder, tokenizer, args.ngram)
        _warn_of_overlap(ids, train_ids, input_name(args.file))
        counted = yardstick(train_ids, ids, tokenizer.get_vocab_size())
        values["ngram"] = {
            "order": counted.order,
            "loss": counted.loss,
            "perplexity": counted.perplexity,
            "comparison": counted.compare(reached.loss),
        }
        lines.append(counted.compare(reached.loss))
    if args.json:
        print_json(values)
    else:
        print("\n".join(lines))
    return 0


def _warn_of_overlap(ids: np.ndarray, train_ids: np.ndarray, name: str) -> None:
    """Say so where a good part of the text was trained on: then neither figure means much."""
    from minilm.evaluation.spans import longest_match

    shared = longest_match(ids, train_ids).length
    if shared >= max(TELLING_TOKENS, TELLING_SHARE * len(ids)):
        say(
            f"{name}: {shared:,} of its {len(ids):,} tokens stand in one piece in the training "
            "text, so this says how well they are remembered, not how well new text is predicted"
        )


def _lines(reached: Evaluation) -> Iterator[str]:
    yield f"loss           {reached.loss:.4f} nats a token"
    yield f"perplexity     {reached.perplexity:.4f}"
    yield f"tokens         {reached.tokens}"
    yield f"bits per char  {reached.bits_per_char():.4f}"
    yield f"bits per byte  {reached.bits_per_byte():.4f}"
    if reached.detail is not None:
        yield from _detail(reached.detail)
    yield str(reached)


def _detail(detail: Detail) -> Iterator[str]:
    yield f"accuracy       {detail.accuracy:.2%}, among the first five {detail.top5_accuracy:.2%}"
    yield f"calibration    off by {detail.calibration_error:.2%} (expected calibration error)"
    yield f"\n{'costliest tokens':24}{'count':>10}{'nats in all':>14}{'nats each':>12}"
    for cost in detail.costliest:
        yield f"{cost.text!r:24}{cost.count:10,}{cost.nats:14.1f}{cost.mean:12.3f}"
    yield f"\n{'worst single tokens':>24}  {'nats':>7}  {'after':32}instead of"
    for one in detail.worst:
        yield (
            f"{one.text!r:>24}  {one.nats:7.2f}  {one.context_text!r:32}"
            f"{one.guess_text!r} ({one.confidence:.0%})"
        )
    yield ""
