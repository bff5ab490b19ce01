"""Talk with a model that was trained on conversations."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from minilm.cli.arguments import add_int8, not_negative, positive_int, say, whole

HELP = "talk with a trained model"
COMMANDS = """\
/reset   forget what was said
/exit    end, as Ctrl-D does; Ctrl-C stops an answer"""
PROMPT = "> "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("folder", metavar="DIR", help="a model's folder, or its name on the hub")
    add("--system", metavar="TEXT", help="what the model is told before anything else")
    add(
        "--temp",
        dest="temperature",
        type=not_negative,
        default=0.8,
        metavar="X",
        help="0 for always the likeliest",
    )
    add(
        "-m",
        "--max-tokens",
        type=positive_int,
        default=512,
        metavar="N",
        help="the length of an answer, at most",
    )
    add(
        "--seed",
        type=whole,
        metavar="N",
        help="the same seed gives the same answers; without it, any",
    )
    add_int8(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command: read messages, a line each, and print answers as they are written."""
    from minilm.cli.conversation import Conversation
    from minilm.models import AutoModelForCausalLM
    from minilm.random import default_generator
    from minilm.tokenization import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.folder)
    if tokenizer.chat_template is None:
        raise ValueError(
            f"{args.folder} has no chat template, neither chat_template.jinja nor chat_template in "
            "tokenizer_config.json: its model was not made for conversations. `minilm generate "
            f"{args.folder} -i` writes with it"
        )
    conversation = Conversation(
        AutoModelForCausalLM.from_pretrained(args.folder, load_in_8bit=args.int8),
        tokenizer,
        args.system,
        max_tokens=args.max_tokens,
        seed=default_generator.seed() if args.seed is None else args.seed,
        do_sample=args.temperature > 0,
        **({"temperature": args.temperature} if args.temperature > 0 else {}),
    )
    if conversation.ignores_system():
        say("--system: this model's template leaves it out")
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        say(COMMANDS)
    elif hasattr(sys.stdin, "reconfigure"):  # UTF-8, whatever the platform's code page
        sys.stdin.reconfigure(encoding="utf-8")
    read = _typed if is_terminal else _piped
    answer = _as_json if args.json else _as_text
    refused = converse(conversation, read, answer, goes_on=is_terminal)
    return 1 if refused and not is_terminal else 0


def converse(
    conversation: Any,
    read: Callable[[], str | None],
    answer: Callable[[Any, str], None],
    goes_on: bool = False,
) -> int:
    """Read, answer, until there is no more to read.

    Parameters
    ----------
    conversation : Conversation
        What was said.
    read : callable
        Returns the next line, or None at the end.
    answer : callable
        Takes the conversation and a message, and prints an answer.
    goes_on : bool
        Whether Ctrl-C, wherever it comes, leads to the next line; else only in an answer.

    Returns
    -------
    int
        How many messages could not be answered; why is said on standard error.
    """
    refused = 0
    while True:
        try:
            line = read()
            if line is None or line.strip() == "/exit":
                return refused
            _follow(conversation, line.strip(), answer)
        except ValueError as error:
            say(str(error))
            refused += 1
        except KeyboardInterrupt:
            if not goes_on:
                raise
            say("")


def _follow(conversation: Any, text: str, answer: Callable[[Any, str], None]) -> None:
    if text == "/reset":
        conversation.reset()
        say("what was said is forgotten")
    elif text.startswith("/") and text[1:].isalpha():
        say(f"no such command: {text}\n{COMMANDS}")
    elif text:
        answer(conversation, text)


def _as_text(conversation: Any, text: str) -> None:
    written: list[str] = []  # since the last line end that we printed

    def write(piece: str) -> None:
        written.append(piece)
        _write(piece)

    def tell(message: str) -> None:
        if written:  # on a line of its own
            _write("\n")
            written.clear()
        say(f"({message})")

    if not conversation.ask(text, write, tell) or written:
        _write("\n")


def _as_json(conversation: Any, text: str) -> None:
    content = conversation.ask(text, lambda _: None, say)
    _write(json.dumps({"role": "assistant", "content": content}, ensure_ascii=False) + "\n")


def _write(piece: str) -> None:
    print(piece, end="", flush=True)


def _typed() -> str | None:
    """Ask for a line; Ctrl-D ends."""
    if not sys.stdout.isatty():
        print(PROMPT, end="", flush=True, file=sys.stderr)  # the answers go elsewhere
        return sys.stdin.readline() or None
    _edit_lines()
    try:
        return input(PROMPT)
    except EOFError:
        say("")
        return None


def _edit_lines() -> None:
    """Let arrow keys work in what is typed, where the system can do it."""
    try:
        import readline  # noqa: F401
    except ImportError:
        pass


def _piped() -> str | None:
    return sys.stdin.readline() or None
