"""Show what a trained model's folder holds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from minilm.cli.arguments import print_json

HELP = "show what a folder holds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="a folder that minilm train made")


def run(args: argparse.Namespace) -> int:
    """Run the command: print architecture, parts, and how it was trained."""
    from minilm.models import from_pretrained, summary
    from minilm.models.folder import read_config

    model = from_pretrained(args.folder)
    about = {"folder": str(Path(args.folder)), **read_config(args.folder)}
    if args.json:
        parameters = sum(parameter.numel() for parameter in model.parameters())
        shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
        print_json({**about, "parameters": parameters, "shapes": shapes})
        return 0
    for line in _lines(about):
        print(line)
    print()
    print(summary(model))
    return 0


def _lines(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    width = max((len(name) for name in values), default=0) + 2
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}"
            yield from _lines(value, indent + "  ")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{indent}{name:<{width}}{shown}"
