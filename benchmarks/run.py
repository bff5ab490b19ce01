"""Time training steps of minilm, torch and JAX side by side; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import libraries
import plots
import table
from alone import run_alone
from configurations import CONFIGURATIONS, Row
from measure import Timing, time_by_turns
from roofline import Machine, busy, measure_machine

from minilm import _core

LOSS_STEPS = 50  # whose losses are compared, before the clock runs
EQUAL = 1e-3  # nats a token: losses that differ by less are those of the same training


def measure_row(row: Row, machine: Machine, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one configuration in all libraries that there are."""
    columns = libraries.compared(row, args.columns)
    workloads = {name: libraries.build(name, row) for name in columns}
    timings = time_by_turns(workloads, args.steps, LOSS_STEPS)
    ours, roof = timings["minilm"], machine.seconds(row)
    result: dict[str, Any] = {
        "row": row.name,
        "title": row.title,
        "tokens/s": row.tokens / ours.median,
        "roof ms": 1e3 * roof,
        "of roof": roof / ours.median,
    }
    for name, timing in timings.items():
        result[f"{name} ms"] = 1e3 * timing.median
        result[f"{name} faults"] = sum(timing.faults) / len(timing.faults)
        result[f"{name} loss"] = timing.losses[-1]
        if args.memory and name != "fused":
            alone = run_alone(name, row.name, "--threads", str(args.threads))
            result[f"{name} MiB"] = alone["peak MiB"]
    return result | compare(timings)


def compare(timings: dict[str, Timing]) -> dict[str, Any]:
    """Return how many times faster we are, and whether all trained the same."""
    ours, rivals = timings["minilm"], timings.keys() - {"minilm"}
    result: dict[str, Any] = {}
    if torches := rivals & {"torch", "fused"}:
        result["over torch"] = min(timings[name].median for name in torches) / ours.median
    if "jax" in rivals:
        result["over jax"] = timings["jax"].median / ours.median
    if rivals:
        result["difference"] = max(ours.differs_from(timings[name]) for name in rivals)
        result["same"] = "yes" if result["difference"] <= EQUAL else "VOID"
    return result


def write_json(path: Path, machine: Machine, args: argparse.Namespace, rows: list[Any]) -> None:
    """Write all figures, and what they were measured on."""
    results = {
        "machine": asdict(machine),
        "versions": libraries.versions(args.columns),
        "config": _core.config(),
        "steps before the losses": LOSS_STEPS,
        "measured steps": args.steps,
        "rows": [
            {name: None if value != value else value for name, value in row.items()}  # NaN
            for row in rows
        ],
    }
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS))
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each, at least")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-torch", dest="left_out", action="append_const", const="torch")
    parser.add_argument("--no-jax", dest="left_out", action="append_const", const="jax")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--out", type=Path, default=Path("runs", "bench"), help="folder of results")
    parser.add_argument(
        "--markdown", action="store_true", help="print the results in --out, measure nothing"
    )
    args = parser.parse_args()
    args.columns = libraries.installed(args.left_out)
    return args


def main() -> int:
    """Measure, print, write; 1 where a row is void."""
    args = parse_arguments()
    results = args.out / "results.json"
    if args.markdown:
        print(table.markdown(json.loads(results.read_text(encoding="utf-8"))))
        return 0
    for name in args.columns:
        libraries.set_threads(name, args.threads)
    machine = measure_machine(args.threads, "torch" in args.columns)
    print(machine, busy(), sep="\n")
    print(table.header())
    rows = []
    for name in args.rows:
        rows.append(measure_row(CONFIGURATIONS[name], machine, args))
        print(table.line(rows[-1]), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(results, machine, args, rows)
    if importlib.util.find_spec("matplotlib"):
        plots.draw_results(rows, args.out / "results.png")
    return int(any(row.get("same") == "VOID" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
