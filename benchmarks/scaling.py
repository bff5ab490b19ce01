"""How the time of a training step grows with batch, time and vocabulary, a decade of each."""

from __future__ import annotations

import argparse
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import libraries
import numpy as np
import plots
from configurations import GATES, Configuration
from measure import time_by_turns
from roofline import busy, cpu_name

POINTS = 5
WARM_UP = 5
AXES = ["batch", "time", "vocab"]


def measure_axis(base: Configuration, axis: str, steps: int) -> dict[str, Any]:
    """Time steps while one size grows tenfold, all others staying what they are in `base`."""
    start = getattr(base, axis)
    sizes = [round(start * factor) for factor in np.geomspace(1, 10, POINTS)]
    workloads = {
        str(size): libraries.build("minilm", replace(base, **{axis: size})) for size in sizes
    }
    timings = time_by_turns(workloads, steps, WARM_UP)
    seconds = [timings[str(size)].median for size in sizes]
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    return {"axis": axis, "sizes": sizes, "ms": [1e3 * s for s in seconds], "slope": float(slope)}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", choices=GATES, default="LSTM")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16, help="at the start of its decade")
    parser.add_argument("--time", type=int, default=20, help="at the start of its decade")
    parser.add_argument("--vocab", type=int, default=1000, help="at the start of its decade")
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs", "bench"), help="folder of results")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    args = parse_arguments()
    libraries.set_threads("minilm", args.threads)
    base = Configuration(
        "base", args.cell, args.vocab, args.hidden, args.hidden, 1, args.batch, args.time
    )
    print(f"{cpu_name()}, {args.threads} threads; {base.title}", busy(), sep="\n")
    results = []
    for axis in AXES:
        result = measure_axis(base, axis, args.steps)
        pairs = zip(result["sizes"], result["ms"], strict=True)
        times = ", ".join(f"{size}: {ms:.2f}" for size, ms in pairs)
        print(f"{axis:<5} slope {result['slope']:.2f}   ms {times}", flush=True)
        results.append(result)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scaling.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if importlib.util.find_spec("matplotlib"):
        plots.draw_scaling(results, base.title, args.out / "scaling.png")


if __name__ == "__main__":
    main()
