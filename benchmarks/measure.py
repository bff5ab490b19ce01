"""Timing by turns in one process, and the memory of a process of its own."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from configurations import CONFIGURATIONS, Configuration
from workload import Workload

WARM_UP = 10
MEMORY_STEPS = 4


@dataclass
class Timing:
    """What one library did.

    Attributes
    ----------
    seconds : list of float
        Of each step.
    faults : list of int
        Page faults of each step.
    loss : float
        Before the last step.
    """

    seconds: list[float] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    loss: float = float("nan")

    @property
    def median(self) -> float:
        """Median time of a step in seconds."""
        return statistics.median(self.seconds)


def time_by_turns(workloads: Mapping[str, Workload], steps: int) -> dict[str, Timing]:
    """Run all workloads step by step, one after the other, so that all meet the same machine."""
    timings = {name: Timing() for name in workloads}
    for number in range(WARM_UP + steps):
        for name, workload in workloads.items():
            faults = _page_faults()
            start = time.perf_counter()
            loss = workload.step()
            seconds = time.perf_counter() - start
            timings[name].loss = loss
            if number >= WARM_UP:
                timings[name].seconds.append(seconds)
                timings[name].faults.append(_page_faults() - faults)
    return timings


def peak_memory(library: str, row: Configuration, threads: int) -> float:
    """Return the peak memory in MiB of a process that does nothing but train this row."""
    command = [sys.executable, str(Path(__file__)), library, row.name, str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["peak_mib"])


def set_threads(library: str, threads: int) -> None:
    """Let a library use this many threads."""
    __import__(library).set_num_threads(threads)


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _peak_mib() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # Linux: ru_maxrss would count what the parent had before exec
        lines = status.read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts bytes


def _main(library: str, row: str, threads: str) -> None:
    set_threads(library, int(threads))
    workload = Workload(library, CONFIGURATIONS[row])
    for _ in range(MEMORY_STEPS):
        workload.step()
    print(json.dumps({"peak_mib": _peak_mib()}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
