"""Time training steps of minilm and torch side by side; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import table
from configurations import CONFIGURATIONS, Configuration
from measure import WARM_UP, peak_memory, set_threads, time_by_turns
from roofline import Machine, measure_machine
from workload import Workload

from minilm import _core

EQUAL = 1e-3  # nats a token: losses that differ by less are those of the same training


def measure_row(row: Configuration, machine: Machine, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one configuration; what needs torch is left out where there is none."""
    workloads = {"minilm": Workload("minilm", row)}
    if args.torch:
        workloads["torch"] = Workload("torch", row)
        workloads["fused"] = Workload("torch", row, fused=True)
    timings = time_by_turns(workloads, args.steps)
    ours, roof = timings["minilm"], machine.seconds(row)
    result: dict[str, Any] = {"row": row.name, "tokens/s": row.tokens / ours.median}
    for name, timing in timings.items():
        result[f"{name} ms"] = 1e3 * timing.median
        result[f"{name} faults"] = sum(timing.faults) / len(timing.faults)
        result[f"{name} loss"] = timing.losses[-1]
    result |= {"roof ms": 1e3 * roof, "of roof": roof / ours.median}
    if args.memory:
        for library in workloads.keys() - {"fused"}:
            result[f"{library} MiB"] = peak_memory(library, row, args.threads)
    if args.torch:
        rivals = [timings["torch"], timings["fused"]]
        difference = max(ours.differs_from(rival) for rival in rivals)
        result |= {
            "faster": min(rival.median for rival in rivals) / ours.median,
            "difference": difference,
            "same": "yes" if difference <= EQUAL else "VOID",
        }
    return result


def describe(machine: Machine, args: argparse.Namespace) -> str:
    """Return a line on the machine and the conditions of the run."""
    products = [f"{library} {rate / 1e9:.0f}" for library, rate in machine.products.items()]
    line = (
        f"{platform.machine()}, {_core.config()['isa']}, {args.threads} threads, "
        f"matrix product {', '.join(products)} GFLOP/s, copy {machine.bandwidth / 1e9:.1f} GB/s"
    )
    if not args.torch:
        line += "; without torch"
    busy = load()
    if busy > 1:
        line += f"\n{busy:.1f} other programs want to run: these figures are worth little"
    return line


def load() -> float:
    """Return how many programs wanted to run in the last minute; 0 where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def write_json(path: Path, machine: Machine, results: list[dict[str, Any]]) -> None:
    """Write all figures, and what they were measured on."""
    figures = {
        "machine": vars(machine),
        "config": _core.config(),
        "steps before the losses": WARM_UP,
        "rows": [
            {name: None if value != value else value for name, value in result.items()}  # NaN
            for result in results
        ],
    }
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS))
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each, at least")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-torch", dest="torch", action="store_false")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--out", type=Path, default=Path("runs", "bench"), help="folder of results")
    args = parser.parse_args()
    args.torch = args.torch and importlib.util.find_spec("torch") is not None
    return args


def main() -> int:
    """Measure, print, write; 1 where a row is void."""
    args = parse_arguments()
    for library in ["minilm", "torch"] if args.torch else ["minilm"]:
        set_threads(library, args.threads)
    machine = measure_machine(args.threads, args.torch)
    print(describe(machine, args))
    print(table.header())
    results = []
    for name in args.rows:
        results.append(measure_row(CONFIGURATIONS[name], machine, args))
        print(table.line(results[-1]), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "results.json", machine, results)
    if importlib.util.find_spec("matplotlib"):
        table.draw(results, args.out / "results.png")
    return int(any(result.get("same") == "VOID" for result in results))


if __name__ == "__main__":
    sys.exit(main())
