"""Train a language model on a text, and write a passage with it."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.cli.arguments import (
    input_name,
    not_negative,
    number,
    positive,
    positive_int,
    print_json,
    say,
    thread_count,
    whole,
)
from minilm.training.settings import Architecture, Settings

if TYPE_CHECKING:
    from minilm.training.corpus import Corpus

HELP = "train a model on a text"
STORIES = "stories"  # the name of the text that the package carries
RUNS = Path("runs")

# option, type, metavar, help; defaults are those of Architecture and Settings.
OPTIONS = (
    ("layers", positive_int, "N", "recurrent layers"),
    ("hidden", positive_int, "N", "units of a layer"),
    ("embed", positive_int, "N", "length of a token's vector"),
    ("dropout", number(float, 0, 0.99), "P", "share of outputs dropped in training"),
    ("seq-len", positive_int, "N", "tokens that gradients flow through"),
    ("batch-size", positive_int, "N", "pieces of the text read side by side"),
    ("epochs", positive_int, "N", "passes over the text"),
    ("lr", positive, "X", "highest learning rate, between a warm-up and half a cosine"),
    ("weight-decay", not_negative, "X", "AdamW's, on matrices"),
    ("clip", not_negative, "X", "largest norm of the gradients; 0 for any"),
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
        choices=("char", "word"),
        help="what a token is; without it, words in the stories and characters in a file",
    )
    parser.add_argument(
        "--model",
        choices=("rnn", "lstm", "gru"),
        default=Architecture.model,
        help="kind of recurrent layer",
    )
    for name, kind, metavar, text in OPTIONS:
        attribute = name.replace("-", "_")
        default = getattr(Settings, attribute, getattr(Architecture, attribute, None))
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=text, default=default)
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
    corpus, best_possible = _corpus(args)
    training = Run(
        corpus,
        Architecture(**_chosen(args, Architecture)),
        Settings(**_chosen(args, Settings)),
        args.out or _new_folder(corpus, args.model),
        best_possible,
    )
    training.fit(Progress())
    result = {"folder": str(training.folder), **training.summary(), "passage": training.passage}
    if args.json:
        print_json(result)
    else:
        _print(result)
    steps = len(training.history.step_losses)
    say(f"saved in {training.folder}" if steps else "nothing was trained, nothing saved")
    if training.history.interrupted:
        raise KeyboardInterrupt
    return 0


def _corpus(args: argparse.Namespace) -> tuple[Corpus, float | None]:
    """Return the text to train on, and the loss of a perfect model of it if that is known."""
    from minilm.training.corpus import make_corpus, source_loss

    if args.data is not None:
        from minilm.data.text import read_text

        return make_corpus(read_text(args.data), args.level or "char", input_name(args.data)), None
    from minilm.data.stories import stories

    text = stories()
    corpus = make_corpus(text, args.level or "word", STORIES)
    return corpus, source_loss(corpus, text)


def _chosen(args: argparse.Namespace, kind: type) -> dict[str, Any]:
    """Return the arguments that are fields of a dataclass."""
    return {field.name: getattr(args, field.name) for field in fields(kind)}


def _new_folder(corpus: Corpus, model: str) -> Path:
    """Name a folder after the run; a trained model is never written over unasked."""
    stem = Path(corpus.name).stem.replace(" ", "-")
    name = f"{stem}-{corpus.level}-{model}"
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
