"""What a training step costs under other conditions: threads, cores, instruction set, tiny weights.

Each condition is a process of its own, and the processes go by turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from alone import run_alone
from configurations import RECURRENT
from roofline import busy, cpu_name

from minilm import _core


@dataclass(frozen=True)
class Condition:
    """Options of `alone.py`, and variables of the environment."""

    options: list[str]
    environment: dict[str, str] = field(default_factory=dict)


ORDINARY, TINY = "0.1", "1e-38"  # weights; the second are below the normal numbers of float32

CONDITIONS = {
    "1 thread": Condition(["--threads", "1"]),
    "2 threads": Condition(["--threads", "2"]),
    "4 threads": Condition(["--threads", "4"]),
    "avx2": Condition(["--threads", "2"], {"MINILM_ISA": "avx2"}),
    "avx512": Condition(["--threads", "2"], {"MINILM_ISA": "avx512"}),
    "one core": Condition(["--threads", "2", "--one-core"]),
    "ordinary": Condition(["--threads", "2", "--frozen-weights", ORDINARY]),
    "tiny": Condition(["--threads", "2", "--frozen-weights", TINY]),
}

# Title: the time of the first condition over that of the second.
RATIOS = {
    "1 thread / 2 threads": ("1 thread", "2 threads"),
    "avx2 / avx512": ("avx2", "avx512"),
    "2 threads on one core / 1 thread": ("one core", "1 thread"),
    "4 threads / 1 thread": ("4 threads", "1 thread"),
    "weights of 1e-38 / of 0.1": ("tiny", "ordinary"),
}


def possible() -> dict[str, Condition]:
    """Return the conditions that this machine knows."""
    unknown = {"avx2", "avx512"} - set(_core.config()["isa_available"])
    if not hasattr(os, "sched_setaffinity"):
        unknown.add("one core")
    return {name: condition for name, condition in CONDITIONS.items() if name not in unknown}


def measure_row(row: str, rounds: int, seconds: float) -> dict[str, float]:
    """Return the median time of a step under each condition, in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in possible()}
    for _ in range(rounds):
        for name in times:
            condition = CONDITIONS[name]
            options = [*condition.options, "--seconds", str(seconds)]
            times[name].append(run_alone("minilm", row, *options, **condition.environment)["ms"])
    return {name: statistics.median(ms) for name, ms in times.items()}


def ratios(ms: dict[str, float]) -> dict[str, float]:
    """Return the ratios of which both times were measured."""
    return {
        title: ms[first] / ms[second]
        for title, (first, second) in RATIOS.items()
        if first in ms and second in ms
    }


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=RECURRENT, default=list(RECURRENT))
    parser.add_argument("--rounds", type=int, default=3, help="processes of each condition")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured time of a process")
    parser.add_argument("--out", type=Path, default=Path("runs", "bench"), help="folder of results")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    args = parse_arguments()
    print(cpu_name(), busy(), sep="\n")
    results = {}
    for row in args.rows:
        ms = measure_row(row, args.rounds, args.seconds)
        results[row] = {"ms": ms, "ratios": ratios(ms)}
        if len(results) == 1:
            print(f"{'row':<15}", *results[row]["ratios"], sep="  ")
        cells = [f"{value:>{len(title)}.2f}" for title, value in results[row]["ratios"].items()]
        print(f"{row:<15}", *cells, sep="  ", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "robust.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
