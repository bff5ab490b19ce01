"""Time the matrix products of training, our own beside NumPy's BLAS, by turns.

``MINILM_ISA=avx2`` and ``OPENBLAS_CORETYPE=Haswell`` compare the two without AVX-512.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace

SHAPES = [  # rows, features in, features out
    (1600, 64, 128),
    (2500, 128, 512),
    (4096, 256, 768),
    (2500, 512, 2048),
    (700, 650, 2600),
    (1120, 128, 12000),
    (1536, 1536, 1536),
]


def products(rows: int, inside: int, outside: int) -> dict[str, tuple[Callable, Callable]]:
    """Return for each product of a linear layer ours and NumPy's."""
    import numpy as np

    from minilm import _core

    x = np.full((rows, inside), 0.5, np.float32)
    weight = np.full((outside, inside), 0.5, np.float32)
    layer = _core.Layer("linear", in_features=inside, out_features=outside, bias=False)
    (y,), saved = layer.forward((x,), (weight,), need_grad=True)
    return {
        "x W^T": (lambda: layer.forward((x,), (weight,)), lambda: x @ weight.T),
        "dy W": (lambda: saved.backward((y,), (True,), (False,)), lambda: y @ weight),
        "dy^T x": (lambda: saved.backward((y,), (False,), (None,)), lambda: y.T @ x),
    }


def rates(pair: tuple[Callable, Callable], operations: float, steps: int) -> list[float]:
    """Return both rates in GFLOP/s."""
    from measure import time_by_turns

    ours, theirs = (SimpleNamespace(step=product) for product in pair)
    timings = time_by_turns({"ours": ours, "theirs": theirs}, steps, warm_up=1)
    return [operations / timing.median / 1e9 for timing in timings.values()]


def limit_threads(threads: int) -> None:
    """Let both have so many; read when they are loaded."""
    for name in ["OPENBLAS_NUM_THREADS", "MINILM_NUM_THREADS"]:
        os.environ[name] = str(threads)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20, help="measured products of each, at least")
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="the first so many only")
    args = parser.parse_args()
    limit_threads(args.threads)
    from minilm import _core

    isa = _core.config()["isa"]
    print(f"{isa}, threads: {args.threads}, GFLOP/s: minilm / NumPy's BLAS")
    print("| rows, in, out | x W^T | dy W | dy^T x |\n|---|---|---|---|")
    for shape in SHAPES[: args.shapes]:
        operations = 2.0 * shape[0] * shape[1] * shape[2]
        cells = [rates(pair, operations, args.steps) for pair in products(*shape).values()]
        figures = [f"{ours:.0f} / {theirs:.0f}" for ours, theirs in cells]
        print(f"| {', '.join(map(str, shape))} | {' | '.join(figures)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
