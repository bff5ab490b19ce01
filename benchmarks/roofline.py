"""What the machine could do: the rates of a large matrix product and of a copy."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from configurations import Row

from minilm import _core

ADAM_BYTES = 28  # read weight, gradient and two means, write three of them
SIDE = 1536
COPIED = 1 << 25


@dataclass(frozen=True)
class Machine:
    """What a run was measured on.

    Attributes
    ----------
    cpu, isa : str
        The processor's name, and minilm's instruction set.
    threads : int
        How many each library may use.
    products : dict of str to float
        Of a float32 matrix product in each library, operations a second.
    bandwidth : float
        Of a copy, bytes a second, read and written.
    """

    cpu: str
    isa: str
    threads: int
    products: dict[str, float]
    bandwidth: float

    def seconds(self, row: Row) -> float:
        """Return the time that a step cannot go below without doing less arithmetic.

        The faster product counts: a slow one of ours must not make us look good.
        """
        adam = ADAM_BYTES * row.parameters / self.bandwidth
        return row.work / max(self.products.values()) + adam

    def __str__(self) -> str:
        products = [f"{library} {rate / 1e9:.0f}" for library, rate in self.products.items()]
        return (
            f"{self.cpu}, {self.isa}, {self.threads} threads, matrix product "
            f"{', '.join(products)} GFLOP/s, copy {self.bandwidth / 1e9:.1f} GB/s"
        )


def measure_machine(threads: int, torch: bool) -> Machine:
    """Measure the rates with so many threads; `torch`: its product as well."""
    square = np.full((SIDE, SIDE), 0.5, np.float32)
    layer = _core.Layer("linear", in_features=SIDE, out_features=SIDE, bias=False)
    products = {"minilm": _product_rate(lambda: layer.forward((square,), (square,)))}
    if torch:
        from torch import from_numpy

        matrix = from_numpy(square)
        products["torch"] = _product_rate(lambda: matrix @ matrix)
    isa = str(_core.config()["isa"])
    return Machine(cpu_name(), isa, threads, products, _copy_rate(threads))


def cpu_name() -> str:
    """Return what the processor calls itself, or else its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def busy() -> str:
    """Return a warning if other programs want to run, else nothing."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load <= 1:
        return ""
    return f"{load:.1f} programs wanted to run in the last minute: these figures are worth little"


def _product_rate(product: Callable[[], object]) -> float:
    return 2 * SIDE**3 / _best(product)


def _copy_rate(threads: int) -> float:
    source, target = np.ones((threads, COPIED), np.float32), np.ones((threads, COPIED), np.float32)
    with ThreadPoolExecutor(threads) as pool:  # NumPy copies without the GIL
        seconds = _best(lambda: list(pool.map(np.copyto, target, source)))
    return 2 * source.nbytes / seconds


def _best(work: Callable[[], object], times: int = 7) -> float:
    """Return the shortest of some runs: the rate that the machine can reach, not its average."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
