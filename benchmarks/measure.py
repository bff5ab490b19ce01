"""Timing by turns in one process, and the memory of a process of its own."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from configurations import CONFIGURATIONS, Configuration
from workload import Workload

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

WARM_UP = 10  # steps before the clock runs; what they lose is compared
TURN = 4  # measured steps in a row, as a training run has them
PAUSE = 0.03  # seconds: threads of one library spin for a while, and must not meet the other's turn
MEMORY_STEPS = 4


@dataclass
class Timing:
    """What one library did.

    Attributes
    ----------
    losses : list of float
        Of each step of the warm-up, in nats a token.
    seconds : list of float
        Of each measured step.
    faults : list of int
        Page faults of each measured step.
    """

    losses: list[float]
    seconds: list[float] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median time of a step in seconds."""
        return statistics.median(self.seconds)

    def differs_from(self, other: Timing) -> float:
        """Return by how much a loss differs at most from the other's at the same step."""
        pairs = zip(self.losses, other.losses, strict=True)
        return max(abs(ours - theirs) for ours, theirs in pairs)


def time_by_turns(workloads: Mapping[str, Workload], steps: int) -> dict[str, Timing]:
    """Run all workloads a few steps at a time, by turns, so that all meet the same machine.

    Parameters
    ----------
    workloads : dict of str to Workload
        What to run.
    steps : int
        Measured steps of each, rounded up to whole turns.
    """
    timings = {
        name: Timing([workload.step() for _ in range(WARM_UP)])
        for name, workload in workloads.items()
    }
    for _ in range(math.ceil(steps / TURN)):
        for name, workload in workloads.items():
            time.sleep(PAUSE)
            workload.step()  # brings its weights back into the caches
            for _ in range(TURN):
                _time_step(workload, timings[name])
    return timings


def _time_step(workload: Workload, timing: Timing) -> None:
    faults = page_faults()
    start = time.perf_counter()
    workload.step()
    timing.seconds.append(time.perf_counter() - start)
    timing.faults.append(page_faults() - faults)


def page_faults() -> int:
    """Return how many pages this process had to ask the system for; 0 where it does not say."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt if resource else 0


def peak_memory(library: str, row: Configuration, threads: int) -> float:
    """Return the peak memory in MiB of a process that does nothing but train this row."""
    command = [sys.executable, str(Path(__file__)), library, row.name, str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["peak_mib"])


def set_threads(library: str, threads: int) -> None:
    """Let a library use this many threads."""
    __import__(library).set_num_threads(threads)


def peak_mib() -> float:
    """Return the peak memory of this process so far; NaN where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: ru_maxrss would count what the parent had before exec
        lines = status.read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    if resource is None:
        return math.nan
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts bytes


def _main(library: str, row: str, threads: str) -> None:
    set_threads(library, int(threads))
    workload = Workload(library, CONFIGURATIONS[row])
    for _ in range(MEMORY_STEPS):
        workload.step()
    print(json.dumps({"peak_mib": peak_mib()}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
