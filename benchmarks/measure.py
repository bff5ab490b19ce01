"""Timing by turns in one process."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

TURN = 4  # measured steps in a row, as a training run has them
PAUSE = 0.15  # seconds: threads of one library spin for a while, and must not meet the other's turn


class Steps(Protocol):
    """What can be timed."""

    def step(self) -> Any:
        """Do the work once; return the loss, if there is one."""


@dataclass
class Timing:
    """What one library did.

    Attributes
    ----------
    losses : list
        What each step of the warm-up returned, in nats a token.
    seconds : list of float
        Of each measured step.
    faults : list of int
        Page faults of each measured step.
    """

    losses: list[Any]
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


def time_by_turns(
    workloads: Mapping[str, Steps], steps: int, warm_up: int, turn: int = TURN
) -> dict[str, Timing]:
    """Run all workloads a few steps at a time, by turns, so that all meet the same machine.

    Parameters
    ----------
    workloads : dict of str to Steps
        What to run.
    steps : int
        Measured steps of each, rounded up to whole turns.
    warm_up : int
        Steps of each before the clock runs, whose losses are kept.
    turn : int
        Measured steps in a row.
    """
    timings = {
        name: Timing([workload.step() for _ in range(warm_up)])
        for name, workload in workloads.items()
    }
    for _ in range(math.ceil(steps / turn)):
        for name, workload in workloads.items():
            time.sleep(PAUSE)
            workload.step()  # brings its weights back into the caches
            for _ in range(turn):
                _time_step(workload, timings[name])
    return timings


def _time_step(workload: Steps, timing: Timing) -> None:
    faults = page_faults()
    start = time.perf_counter()
    workload.step()
    timing.seconds.append(time.perf_counter() - start)
    timing.faults.append(page_faults() - faults)


def page_faults() -> int:
    """Return how many pages this process had to ask the system for; 0 where it does not say."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt if resource else 0


def forget_peak() -> None:
    """Let `peak_mib` count from now on, where the system can do that (Linux)."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text("5", encoding="ascii")


def peak_mib() -> float:
    """Return the peak memory of this process so far; NaN where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: ru_maxrss would count what the parent had before exec
        lines = status.read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    if resource is None:
        return math.nan
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts bytes
