"""Examine a training run: what is wrong with it, how that shows, and what to try."""

from __future__ import annotations

import argparse
from typing import Any

from minilm.cli.arguments import print_json, say

HELP = "find out what is wrong with a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "folder", metavar="DIR", help="a folder that minilm train made, or an output_dir"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command: print the findings, the worst first."""
    from minilm.doctor import CHECKS, diagnose, evidence_of_folder

    evidence = evidence_of_folder(args.folder)
    findings = diagnose(evidence)
    if evidence.unread:
        say(f"the training text could not be looked at: {evidence.unread}")
    if not evidence.samples:
        say(
            f"{args.folder} has no diagnostics.jsonl: nothing is known of what went on inside. In "
            "fit and Trainer, callbacks=[minilm.training.Diagnostics()] writes it"
        )
    if args.json:
        result: dict[str, Any] = {
            "folder": args.folder,
            "healthy": not findings,
            "findings": [finding.to_dict() for finding in findings],
        }
        print_json(result)
    elif findings:
        print("\n\n".join(f"{rank}. {one}" for rank, one in enumerate(findings, start=1)))
    else:
        print(f"healthy: {len(CHECKS)} checks found nothing")
    return 0
