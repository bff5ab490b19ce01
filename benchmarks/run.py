"""Time training steps of minilm and torch side by side; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import sys
from pathlib import Path
from typing import Any

from configurations import CONFIGURATIONS, Configuration
from measure import peak_memory, set_threads, time_by_turns
from roofline import Machine, measure_machine
from workload import EQUAL, Workload

from minilm import _core

COLUMNS = [
    ("row", "{:<15}"),
    ("minilm ms", "{:>10.2f}"),
    ("torch ms", "{:>9.2f}"),
    ("fused ms", "{:>9.2f}"),
    ("roof ms", "{:>8.2f}"),
    ("faster", "{:>7.2f}"),
    ("of roof", "{:>8.2f}"),
    ("faults", "{:>7.1f}"),
    ("MiB", "{:>7.0f}"),
    ("torch MiB", "{:>10.0f}"),
    ("loss", "{:>8.4f}"),
    ("same", "{:>5}"),
]


def measure_row(row: Configuration, machine: Machine, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one configuration; None stands where there is no torch."""
    workloads = {"minilm": Workload("minilm", row)}
    if args.torch:
        workloads["torch"] = Workload("torch", row)
        workloads["fused"] = Workload("torch", row, fused=True)
    timings = time_by_turns(workloads, args.steps)
    ours, roof = timings["minilm"], machine.seconds(row)
    result: dict[str, Any] = {
        "row": row.name,
        "minilm ms": 1e3 * ours.median,
        "roof ms": 1e3 * roof,
        "of roof": roof / ours.median,
        "faults": sum(ours.faults) / len(ours.faults),
        "loss": ours.loss,
        "tokens/s": row.tokens / ours.median,
    }
    if args.memory:
        result["MiB"] = peak_memory("minilm", row, args.threads)
    if args.torch:
        eager, fused = timings["torch"], timings["fused"]
        result |= {
            "torch ms": 1e3 * eager.median,
            "fused ms": 1e3 * fused.median,
            "faster": min(eager.median, fused.median) / ours.median,
            "torch loss": eager.loss,
            "same": "yes" if abs(ours.loss - eager.loss) <= EQUAL * abs(eager.loss) else "VOID",
        }
        if args.memory:
            result["torch MiB"] = peak_memory("torch", row, args.threads)
    return result


def format_row(result: dict[str, Any]) -> str:
    """Return a line of the table."""
    cells = []
    for name, form in COLUMNS:
        value = result.get(name)
        cells.append(form.format(value) if value is not None else " " * len(form.format(0)))
    return " ".join(cells)


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Draw how many times faster than torch, and the share of the roofline."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 0.45 * len(results) + 1.5), sharey=True)
    names = [result["row"] for result in results][::-1]
    for axis, column, title in zip(
        axes,
        ("faster", "of roof"),
        ("times faster than torch", "share of the roofline"),
        strict=True,
    ):
        values = [result.get(column) or 0 for result in results][::-1]
        bars = axis.barh(names, values, color="#4477aa")
        axis.bar_label(bars, fmt="%.2f", padding=3)
        axis.axvline(1, color="#888888", linewidth=1)
        axis.set_title(title)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.15)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS))
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plot", type=Path, help="draw them here (PNG, SVG)")
    args = parser.parse_args()
    args.torch = importlib.util.find_spec("torch") is not None
    return args


def main() -> int:
    """Measure, print, write; 1 where a row is void."""
    args = parse_arguments()
    for library in ["minilm", "torch"] if args.torch else ["minilm"]:
        set_threads(library, args.threads)
    machine = measure_machine()
    config = _core.config()
    print(
        f"{platform.machine()}, {config['isa']}, {args.threads} threads, "
        f"matrix product {machine.flops / 1e9:.0f} GFLOP/s, copy {machine.bandwidth / 1e9:.1f} GB/s"
        + ("" if args.torch else "; torch is not installed")
    )
    print(
        " ".join(
            f"{name:{'<' if i == 0 else '>'}{len(form.format(0))}}"
            for i, (name, form) in enumerate(COLUMNS)
        )
    )
    results = []
    for name in args.rows:
        results.append(measure_row(CONFIGURATIONS[name], machine, args))
        print(format_row(results[-1]), flush=True)
    if args.json:
        figures = {"machine": vars(machine), "config": config, "rows": results}
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if args.plot:
        draw(results, args.plot)
    return int(any(result.get("same") == "VOID" for result in results))


if __name__ == "__main__":
    sys.exit(main())
