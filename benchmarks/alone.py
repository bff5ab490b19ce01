"""A training run in a process of its own, under conditions that must stand before it starts."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

WARM_UP = 3
STEPS = 20  # at most


def run_alone(library: str, row: str, *options: str, **environment: str) -> dict[str, Any]:
    """Train a row in a new process; return its `ms`, the median of a step, and its `peak MiB`.

    Parameters
    ----------
    library, row : str
        A column of `libraries.LIBRARIES`, and the name of a configuration.
    *options : str
        Of this file's command line.
    **environment : str
        Variables to set.
    """
    command = [sys.executable, __file__, library, row, *options]
    done = subprocess.run(
        command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library")
    parser.add_argument("row")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="go on for so long")
    parser.add_argument("--one-core", action="store_true", help="have one core only")
    parser.add_argument("--frozen-weights", type=float, help="so large, and not trained: lr=0")
    return parser.parse_args()


def main() -> None:
    """Train; print the figures."""
    args = parse_arguments()
    if args.one_core:  # before anything counts the cores
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    import libraries
    from configurations import CONFIGURATIONS
    from measure import peak_mib

    libraries.set_threads(args.library, args.threads)
    frozen = args.frozen_weights
    options = {} if frozen is None else {"largest_weight": frozen, "lr": 0.0}
    workload = libraries.build(args.library, CONFIGURATIONS[args.row], **options)
    for _ in range(WARM_UP):
        workload.step()
    seconds: list[float] = []
    while not seconds or (len(seconds) < STEPS and sum(seconds) < args.seconds):
        start = time.perf_counter()
        workload.step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"ms": 1e3 * statistics.median(seconds), "peak MiB": peak_mib()}))


if __name__ == "__main__":
    main()
