"""What the machine could do: the rates of a large matrix product and of a copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from configurations import Configuration

from minilm import _core

ADAM_BYTES = 28  # read weight, gradient and two means, write three of them
SIDE = 1536
COPIED = 1 << 25


@dataclass(frozen=True)
class Machine:
    """Rates of one run.

    Attributes
    ----------
    flops : float
        Of a float32 matrix product, operations a second.
    bandwidth : float
        Of a copy, bytes a second, read and written.
    """

    flops: float
    bandwidth: float

    def seconds(self, row: Configuration) -> float:
        """Return the time that a step cannot go below without doing less arithmetic."""
        return row.work / self.flops + ADAM_BYTES * row.parameters / self.bandwidth


def measure_machine() -> Machine:
    """Measure both rates with the threads that minilm is set to."""
    square = np.full((SIDE, SIDE), 0.5, np.float32)
    product = _core.Layer("linear", in_features=SIDE, out_features=SIDE, bias=False)
    source, target = np.ones(COPIED, np.float32), np.ones(COPIED, np.float32)
    return Machine(
        flops=2 * SIDE**3 / _best(lambda: product.forward((square,), (square,))),
        bandwidth=2 * source.nbytes / _best(lambda: np.copyto(target, source)),
    )


def _best(work: Callable[[], object], times: int = 7) -> float:
    """Return the shortest of some runs: the rate that the machine can reach, not its average."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
