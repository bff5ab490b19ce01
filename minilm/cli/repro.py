"""Do an experiment again whose result is claimed, and say whether it comes out."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from minilm.cli.arguments import number, print_json, say

HELP = "repeat an experiment whose result is claimed"
DATA = "MINILM_DATA"  # the environment variable that names the folder of texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="which; without it, a list of all")
    parser.add_argument(
        "--data",
        metavar="FILE",
        help=f"the text; without it, the experiment's own, in the folder that {DATA} names",
    )
    parser.add_argument(
        "--share",
        type=number(float, 0, 1, open_low=True),
        default=1.0,
        metavar="X",
        help="do only this part of the work, to see that it runs",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command: print each figure beside its goal; 1 if a goal is missed."""
    from minilm.repro import EXPERIMENTS

    if args.name is None:
        if args.json:
            print_json({name: other.summary for name, other in EXPERIMENTS.items()})
        else:
            for name, other in EXPERIMENTS.items():
                print(f"{name:22}{other.summary}")
        return 0
    if args.name not in EXPERIMENTS:
        raise ValueError(f"no experiment {args.name!r}; there are {', '.join(EXPERIMENTS)}")
    experiment = EXPERIMENTS[args.name]
    outcomes = experiment.run(_text(args.data, experiment.data), args.share, say)
    if args.json:
        print_json(
            {
                one.name: {"value": one.value, "goal": one.goal, "reached": one.reached}
                for one in outcomes
            }
        )
    else:
        for one in outcomes:
            print(one)
    return int(any(one.reached is False for one in outcomes))


def _text(given: str | None, own: str) -> Path:
    if given is not None:
        return Path(given)
    path = Path(os.environ.get(DATA, ".")) / own
    if own != "stories" and not path.is_file():
        raise FileNotFoundError(
            2, f"no such text: give it as --data FILE, or its folder as {DATA}", str(path)
        )
    return path
