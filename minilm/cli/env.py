"""Show where minilm runs: versions, processor, threads, BLAS. Paste it into bug reports."""

from __future__ import annotations

import argparse

from minilm.cli.arguments import print_json

HELP = "show versions, processor and BLAS"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments: none."""


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from minilm.training.environment import environment

    values = environment()
    if args.json:
        print_json(values)
    else:
        for name, value in values.items():
            print(f"{name:<16}{value}")
    return 0
