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
    """Run the command: print architecture, parameters by name and shape, and training."""
    from minilm.models import from_pretrained
    from minilm.models.folder import read_config

    model = from_pretrained(args.folder)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    report = {
        "folder": str(Path(args.folder)),
        **read_config(args.folder),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "shapes": shapes,
    }
    if args.json:
        print_json(report)
    else:
        for line in _lines(report):
            print(line)
    return 0


def _lines(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}"
            yield from _lines(value, indent + "  ")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{indent}{name:<{30 - len(indent)}}{shown}"
