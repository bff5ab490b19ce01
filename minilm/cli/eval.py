"""Measure how well a trained model predicts a text."""

from __future__ import annotations

import argparse

from minilm.cli.arguments import input_name, print_json, say_unknown

HELP = "measure a trained model on a text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="a folder that minilm train made")
    parser.add_argument("file", metavar="FILE", help="a UTF-8 text, or - for standard input")


def run(args: argparse.Namespace) -> int:
    """Run the command: print loss, perplexity, tokens and bits per character."""
    from minilm.data.text import read_text
    from minilm.data.tokenizer import encode_text
    from minilm.models import from_pretrained, load_tokenizer
    from minilm.training.evaluate import evaluate

    model, tokenizer = from_pretrained(args.folder), load_tokenizer(args.folder)
    text = read_text(args.file)
    ids = encode_text(tokenizer, text)
    say_unknown(tokenizer, ids, input_name(args.file))
    reached = evaluate(model, ids)
    bits = reached.bits_per_char(len(text) / len(ids))
    if args.json:
        print_json(
            {
                "loss": reached.loss,
                "perplexity": reached.perplexity,
                "tokens": reached.tokens,
                "bits_per_char": bits,
            }
        )
    else:
        print(f"loss           {reached.loss:.4f} nats a token")
        print(f"perplexity     {reached.perplexity:.4f}")
        print(f"tokens         {reached.tokens}, all but the first")
        print(f"bits per char  {bits:.4f}")
    return 0
