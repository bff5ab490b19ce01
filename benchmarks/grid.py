"""Time recurrent layers alone, minilm against torch, over hidden sizes and batches.

The exit status is 1 if torch is faster anywhere.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import libraries
import numpy as np
import plots
from configurations import GATES
from measure import time_by_turns
from roofline import busy, cpu_name

HIDDEN = [32, 64, 128, 256, 512, 1024]
BATCH = [1, 2, 4, 8, 16, 32, 64, 128]
TIME = [35, 100]
QUICK = {"hidden": [32, 128, 512], "batch": [1, 8, 64], "time": [35]}
MOST, FEWEST = 40, 3  # measured steps of a cell
LONG = 0.2  # seconds: who takes so long loses nothing by a turn of one step
WARM_UP = 1


@dataclass(frozen=True)
class Cell:
    """A place in the grid: a layer, whose input is as wide as its state, and a batch."""

    kind: str
    hidden: int
    batch: int
    time: int


class Layer:
    """One layer in one library, forward and backward, with the gradient of its input."""

    def __init__(self, library: str, cell: Cell) -> None:
        tensors = importlib.import_module(library)
        nn = importlib.import_module(f"{library}.nn")
        self.layer = getattr(nn, cell.kind)(cell.hidden, cell.hidden, batch_first=True)
        draw = np.random.default_rng(0)
        shape = (cell.batch, cell.time, cell.hidden)
        self.x, self.dy = (
            tensors.tensor(draw.uniform(-1, 1, shape).astype(np.float32)) for _ in range(2)
        )
        self.x.requires_grad_()

    def step(self) -> None:
        """Run it once; gradients are made anew, not added to."""
        self.x.grad = None
        self.layer.zero_grad()
        output, _ = self.layer(self.x)
        output.backward(self.dy)


def measure_cell(cell: Cell, names: list[str], budget: float) -> dict[str, Any]:
    """Return the times of a step in milliseconds, and how many times faster than torch we are."""
    layers = {name: Layer(name, cell) for name in names}
    first = time_by_turns(layers, 1, WARM_UP, turn=1)
    longest = max(timing.median for timing in first.values())
    steps = min(MOST, max(FEWEST, round(budget / longest / len(layers))))
    options = {"turn": 1} if longest > LONG else {}
    timings = time_by_turns(layers, steps, 0, **options)
    result = asdict(cell) | {f"{name} ms": 1e3 * timings[name].median for name in names}
    if "torch" in timings:
        result["ratio"] = timings["torch"].median / timings["minilm"].median
    return result


def print_grid(cells: list[dict[str, Any]], sizes: dict[str, list[int]]) -> None:
    """Print the ratios of one kind and one time, hidden sizes down, batches across."""
    print("  H \\ B" + "".join(f"{batch:>8}" for batch in sizes["batch"]))
    found = {(cell["hidden"], cell["batch"]): cell for cell in cells}
    for hidden in sizes["hidden"]:
        print(f"{hidden:>7}" + "".join(_text(found[hidden, batch]) for batch in sizes["batch"]))


def _text(cell: dict[str, Any]) -> str:
    """Return a ratio, with a mark where torch is faster; without torch, the time."""
    if "ratio" not in cell:
        return f"{cell['minilm ms']:>6.2f}ms"
    return f"{cell['ratio']:>7.2f}{'!' if cell['ratio'] < 1 else ' '}"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK}")
    parser.add_argument("--kinds", nargs="+", choices=GATES, default=list(GATES))
    parser.add_argument("--hidden", nargs="+", type=int, help=f"by default {HIDDEN}")
    parser.add_argument("--batch", nargs="+", type=int, help=f"by default {BATCH}")
    parser.add_argument("--time", nargs="+", type=int, help=f"by default {TIME}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="measured time of a cell, about")
    parser.add_argument("--no-torch", dest="left_out", action="append_const", const="torch")
    parser.add_argument("--out", type=Path, default=Path("runs", "bench"), help="folder of results")
    return parser.parse_args()


def main() -> int:
    """Measure, print, write; 1 where torch is faster."""
    args = parse_arguments()
    standard = QUICK if args.quick else {"hidden": HIDDEN, "batch": BATCH, "time": TIME}
    sizes = {name: getattr(args, name) or standard[name] for name in standard}
    names = [name for name in ("minilm", "torch") if name in libraries.installed(args.left_out)]
    for name in names:
        libraries.set_threads(name, args.threads)
    print(f"{cpu_name()}, {args.threads} threads", busy(), sep="\n")
    cells: list[dict[str, Any]] = []
    for kind, time in product(args.kinds, sizes["time"]):
        print(f"{kind}, {time} steps", flush=True)
        places = product(sizes["hidden"], sizes["batch"])
        measured = [
            measure_cell(Cell(kind, hidden, batch, time), names, args.seconds)
            for hidden, batch in places
        ]
        print_grid(measured, sizes)
        cells += measured
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "grid.json").write_text(json.dumps(cells, indent=2) + "\n", encoding="utf-8")
    behind = [cell for cell in cells if cell.get("ratio", 1) < 1]
    if "torch" in names:
        print(f"torch is faster in {len(behind)} of {len(cells)} cells")
        if importlib.util.find_spec("matplotlib"):
            plots.draw_grid(cells, sizes, args.out / "grid.png")
    return int(bool(behind))


if __name__ == "__main__":
    sys.exit(main())
