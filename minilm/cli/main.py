"""The command line's entry: parse, run, and turn what went wrong into a line and a code."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
from collections.abc import Sequence

from minilm.cli import chat, doctor, env, eval, generate, info, memorisation, repro, train, tune

OK, ERROR, INTERRUPTED = 0, 1, 130  # 2, wrong usage, is argparse's own

COMMANDS = (train, tune, generate, chat, eval, memorisation, doctor, info, repro, env)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        0 done, 1 an error, said in one line on standard error, 130 ended by Ctrl-C. Wrong usage
        exits with 2.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # UTF-8, whatever the platform's code page
            stream.reconfigure(encoding="utf-8")
    args, unknown = _parser().parse_known_args(argv)
    if unknown:
        args.parser.error(f"unrecognized arguments: {_with_hints(unknown, args.parser)}")
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        print("minilm: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; keep Python from flushing into the void.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except Exception as error:
        if args.traceback:
            raise
        print(f"minilm {args.command}: {_one_line(error)}", file=sys.stderr)
        return ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="minilm", description="Train small language models on a CPU, and write with them."
    )
    parser.add_argument("--version", action=_Version, help="show the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.__name__.rpartition(".")[2],
            help=command.HELP,
            description=command.__doc__,
            allow_abbrev=False,
            formatter_class=_Help,
        )
        command.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
        sub.add_argument(
            "--traceback", action="store_true", help="show where in the code an error came from"
        )
        sub.set_defaults(run=command.run, parser=sub)
    return parser


def _with_hints(unknown: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Return arguments that a command does not know, and the options that may have been meant."""
    known = [option for action in parser._actions for option in action.option_strings]
    hints = []
    for argument in unknown:
        option = argument.partition("=")[0]
        near = difflib.get_close_matches(option, known, 1) if option.startswith("--") else []
        hints += [f"did you mean {near[0]}?"] if near else []
    return "; ".join([" ".join(unknown), *hints])


class _Version(argparse.Action):
    """Show the version; it is looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from minilm import __version__

        print(f"minilm {__version__}")
        parser.exit()


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Show the defaults of those arguments that have one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, "") or action.default is False:
            return action.help
        return super()._get_help_string(action)


def _one_line(error: Exception) -> str:
    """Describe an error in a line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError) and not type(error).__module__.startswith("minilm"):
        return f"there is not enough memory: choose smaller sizes. {error}".rstrip(". ")
    return " ".join(str(error).split()) or type(error).__name__
