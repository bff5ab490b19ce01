"""Search for the hyperparameters with which a model learns a text best."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from minilm.cli.arguments import number, positive_int, print_json, say, thread_count, whole
from minilm.cli.train import RUNS
from minilm.training.recipe import STORIES, Recipe
from minilm.tuning.search import METHODS, Plan, tune

HELP = "search for good hyperparameters"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "space",
        metavar="SPACE.toml",
        help="what to try: options of minilm train (batch_size for --batch-size), each with a list "
        "of values, {low = , high = , log = , step = }, or one value for all trials",
    )
    parser.add_argument(
        "--data", metavar="FILE", help="a UTF-8 text; without it, stories that minilm carries"
    )
    parser.add_argument(
        "--level",
        "--tokenizer",
        choices=("char", "word", "bpe"),
        help="what a token is; without it, words in the stories and characters in a file",
    )
    parser.add_argument(
        "--vocab-size",
        type=positive_int,
        metavar="N",
        help="most token types: 8000 for bpe, any number of words",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="random",
        help="how values are drawn; halving draws at random, and drops more on the way",
    )
    parser.add_argument(
        "--trials",
        type=positive_int,
        metavar="N",
        help="how many; without it, all of a grid, and 20 of the others",
    )
    parser.add_argument(
        "--jobs", type=positive_int, default=1, metavar="N", help="trials at a time"
    )
    parser.add_argument(
        "--no-pruning", action="store_true", help="train every trial to its end, good or bad"
    )
    parser.add_argument(
        "--reduction",
        type=number(int, 2),
        metavar="N",
        help="the best one of N goes on at a rung, and the next is at N times the epochs; without "
        "it, 3 for halving and 2 for the others",
    )
    parser.add_argument(
        "--min-epochs", type=positive_int, default=1, metavar="N", help="epochs to the first rung"
    )
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of the drawing")
    parser.add_argument(
        "--threads",
        type=thread_count,
        metavar="N",
        help="which the jobs share; without it, one for each processor",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where the journal and the runs go, and with which a search goes on; without it, "
        f"{RUNS / 'tune-SPACE'}",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; 130 if Ctrl-C ended the search."""
    if args.threads:
        from minilm.runtime import set_num_threads

        set_num_threads(args.threads)
    plan = Plan(
        args.method, args.trials, args.seed, not args.no_pruning, args.reduction, args.min_epochs
    )
    level = args.level or ("char" if args.data else "word")
    recipe = Recipe(args.data or STORIES, level, vocab_size=args.vocab_size)
    folder = args.out or RUNS / f"tune-{Path(args.space).stem}"
    try:
        study = tune(args.space, recipe, folder, plan, jobs=args.jobs, say=say)
    except KeyboardInterrupt:
        say(f"the same command goes on with {folder}")
        raise
    _print(study, args.json)
    return 0


def _print(study: Any, as_json: bool) -> None:
    """Print the trials, the best first, and the command that trains the best one's model."""
    command = study.best_command()
    if as_json:
        trials = [dataclasses.asdict(trial) for trial in study.trials]
        best = dataclasses.asdict(study.best)
        found = {"folder": str(study.folder), "best": best, "command": command, "trials": trials}
        print_json(found)
        return
    print(study.table())
    print(f"\nTo train the best one, with report and samples:\n{command}")
    say(f"saved in {study.folder}")
