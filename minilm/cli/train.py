"""Train a language model on a text, and write a passage with it."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.cli.arguments import (
    not_negative,
    number,
    positive,
    positive_int,
    print_json,
    say,
    thread_count,
    whole,
)
from minilm.training.architectures import KINDS
from minilm.training.recipe import STORIES, Recipe
from minilm.training.settings import Architecture, Settings

if TYPE_CHECKING:
    from minilm.training.run import Run

HELP = "train a model on a text"
RUNS = Path("runs")

# option, type, metavar, help; defaults are those of Architecture and Settings.
OPTIONS = (
    ("layers", positive_int, "N", "recurrent layers, 1; or blocks of a GPT, 4"),
    ("hidden", positive_int, "N", "units of a layer: 256, in a GPT 128"),
    ("embed", positive_int, "N", "length of a token's vector in recurrent models: 128"),
    ("heads", positive_int, "N", "of a GPT's attention: 4"),
    ("dropout", number(float, 0, 0.99), "P", "share dropped in training: 0.2, in a GPT 0"),
    ("seq-len", positive_int, "N", "tokens that gradients flow through, that a GPT reads at once"),
    ("batch-size", positive_int, "N", "pieces of the text read side by side"),
    ("epochs", positive_int, "N", "passes over the text"),
    ("optimizer", str, "NAME", "adamw, adam, sgd, rmsprop or adagrad"),
    ("lr", positive, "X", "highest learning rate of the schedule: 0.01, in a GPT 0.001"),
    ("schedule", str, "NAME", "cosine after a warm-up, or linear, constant, one_cycle, ..."),
    ("beta2", number(float, 0, 0.99999), "P", "of Adam"),
    ("weight-decay", not_negative, "X", "of matrices"),
    ("clip", not_negative, "X", "largest norm of the gradients; 0 for any"),
    ("accumulate", positive_int, "N", "windows whose gradients make one step"),
    ("label-smoothing", number(float, 0, 0.99), "P", "share of a target spread over all tokens"),
    ("ema", number(float, 0, 0.99999), "P", "keep an average of the weights that decays by this"),
    ("patience", whole, "N", "stop after N epochs without improvement; 0 for never"),
    ("save-steps", whole, "N", "steps from checkpoint to checkpoint; 0 for one an epoch"),
    ("seed", whole, "N", "the same seed trains the same model"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="a UTF-8 text, or - for standard input; without it, stories that minilm carries",
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
        "--init",
        metavar="DIR",
        help="train on the model in this folder, as it is, with its tokenizer",
    )
    parser.add_argument(
        "--model", choices=tuple(KINDS), default=Architecture.model, help="kind of model"
    )
    parser.add_argument(
        "--tie", action="store_true", help="one matrix for embedding and head of a recurrent model"
    )
    parser.add_argument(
        "--gradient-checkpointing",
        action="store_true",
        help="compute a GPT's activations again in backward: less memory, more time, the same bits",
    )
    for name, kind, metavar, text in OPTIONS:
        attribute = name.replace("-", "_")
        default = getattr(Settings, attribute, getattr(Architecture, attribute, None))
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=text, default=default)
    parser.add_argument(
        "--resume",
        metavar="DIR",
        help="go on with the run in this folder, exactly, as it began; alone, or with --data where "
        "its text has moved",
    )
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="say what memory and time the run would take, measured on three batches, and stop",
    )
    parser.add_argument(
        "--threads", type=thread_count, metavar="N", help="without it, one for each processor"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"the run's folder; without it, a new one in {RUNS}"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; 130 if Ctrl-C ended the training."""
    from minilm.training.progress import Progress
    from minilm.training.run import Run

    if args.threads:
        from minilm.runtime import set_num_threads

        set_num_threads(args.threads)
    recipe = _recipe(args)
    folder = Path(args.resume) if args.resume else args.out or _new_folder(recipe)
    training = Run(recipe, folder, resume=bool(args.resume), say=say)
    if args.estimate:
        return _estimate(training, args.json)
    training.fit(Progress())
    result = {"folder": str(training.folder), **training.summary(), "passage": training.passage}
    if args.json:
        print_json(result)
    else:
        _print(result)
    steps = len(training.history.step_losses)
    say(f"saved in {training.folder}" if steps else "nothing was trained, nothing saved")
    if training.history.interrupted:
        if steps:
            say(f"go on with: minilm train --resume {training.folder}")
        raise KeyboardInterrupt
    return 0


def _estimate(training: Run, as_json: bool) -> int:
    """Say what a run would take, and do not begin it."""
    found = training.estimate()
    if as_json:
        print_json({**dataclasses.asdict(found), "memory": found.memory, "fits": found.fits})
    else:
        print(found)
    found.require_fit()
    return 0


def _recipe(args: argparse.Namespace) -> Recipe:
    """Return what is to be done: what the options say, or what the folder of a run says."""
    if args.resume:
        from minilm.training.recipe import load_recipe

        _refuse_changes(args, _RUN, "--resume goes on with a run as it began", "begin a new run")
        recipe = load_recipe(args.resume)
        return dataclasses.replace(recipe, data=args.data) if args.data else recipe
    if args.init:
        _refuse_changes(
            args,
            _MODEL,
            "--init trains on a model as it is, with its tokenizer",
            "begin with a new model",
        )
    return Recipe(
        args.data or STORIES,
        _level(args),
        Architecture(**_chosen(args, Architecture)),
        Settings(**_chosen(args, Settings)),
        args.vocab_size,
        args.init,
    )


def _level(args: argparse.Namespace) -> str:
    """Return what a token is: of a model that is trained on, what it was, or a piece of a word."""
    if args.init:
        from minilm.models.folder import read_config

        level: str = (read_config(args.init).get("training") or {}).get("level", "bpe")
        return level
    return args.level or ("char" if args.data else "word")


# What a model is, and what a run is, with their defaults.
_MODEL: dict[str, Any] = {**vars(Architecture()), "level": None, "vocab_size": None}
_RUN: dict[str, Any] = {**_MODEL, **vars(Settings()), "out": None, "init": None}


def _refuse_changes(
    args: argparse.Namespace, defaults: dict[str, Any], why: str, instead: str
) -> None:
    """Raise if an option would change what is settled."""
    changed = [name for name, value in defaults.items() if getattr(args, name) != value]
    if changed:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
        raise ValueError(f"{why}, so {options} cannot be given: leave out, or {instead}")


def _chosen(args: argparse.Namespace, kind: type) -> dict[str, Any]:
    """Return the arguments that are fields of a dataclass."""
    return {field.name: getattr(args, field.name) for field in fields(kind)}


def _new_folder(recipe: Recipe) -> Path:
    """Name a folder after the run; a trained model is never written over unasked."""
    stem = Path(recipe.name).stem.replace(" ", "-")
    kind = Path(recipe.init).resolve().name if recipe.init else recipe.architecture.model
    name = f"{stem}-{recipe.level}-{kind}"
    names = itertools.chain([name], (f"{name}-{count}" for count in itertools.count(2)))
    return next(folder for folder in (RUNS / name for name in names) if _is_free(folder))


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _print(result: dict[str, Any]) -> None:
    """Print the losses under each other, then the passage."""
    from minilm.evaluation import gap, perplexity

    losses = {
        "validation": result.get("loss"),
        f"{result['ngram_order']}-gram": result["ngram_loss"],
        "best possible": result.get("best_possible_loss"),
    }
    print(f"{'':14}nats a token  perplexity  validation is")
    for name, loss in losses.items():
        if loss is None:
            continue
        line = f"{name:14}{loss:12.4f}{perplexity(loss):12.3f}"
        if "loss" in result and name != "validation":
            line += f"  {gap(result['loss'], loss)}"
        print(line)
    if result["passage"]:
        print(f"\n{result['passage']}")
