"""Steps that are too long or too short."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from minilm.doctor.evidence import Evidence, median_of
from minilm.doctor.finding import Finding, Severity

# The norm of a step's change is to be about 1e-3 of the weights' (A. Karpathy's rule of thumb,
# https://cs231n.github.io/neural-networks-3/#ratio). Adam with a schedule starts at some 1e-2, and
# with 1e-1 at its peak still trains well.
HIGH_RATIO = 1e-2
HIGH_PEAK = 0.2
LOW_RATIO = 1e-4
# A loss that jumps up by so much of all that it falls in the whole run is no noise of batches.
JUMP = 0.25
JUMPS = 3  # one may be a strange batch
DIVERGED = 1.5  # times the loss at the start, which is about that of guessing
FEW = 4  # lines from which nothing is told
STEADY = 0.2  # of the whole fall in the last quarter of the steps; a straight line has 0.25
HARDLY = 0.05  # of the loss at the start; with less of a fall, nothing was learnt


def too_high(evidence: Evidence) -> Finding | None:
    """Find long steps and a loss that jumps or ends well above its best, or one that diverged."""
    lines = evidence.lines
    ratios = [ratio for line in lines if (ratio := _typical_ratio(line)) is not None]
    if not ratios or len(lines) < FEW:
        return None
    ratio, peak = statistics.median(ratios), max(ratios)
    losses = [line["loss"] for line in lines]
    first, lowest, end = losses[0], min(losses), statistics.median(_losses(evidence.late))
    jumps = _jumps(lines)
    restless = jumps >= JUMPS or (first > lowest and end - lowest > JUMP * (first - lowest))
    if max(losses) <= DIVERGED * first and not (
        restless and (ratio > HIGH_RATIO or peak > HIGH_PEAK)
    ):
        return None
    return Finding(
        "learning rate too high",
        Severity.HARM,
        "each step changes the weights by so much that it jumps over what it was to reach",
        {
            "update-to-weight ratio": ratio,
            "at its highest": peak,
            "about right": 1e-3,
            "jumps of the loss": jumps,
            "loss at the start": first,
            "highest": max(losses),
            "lowest": lowest,
            "at the end": end,
            "highest learning rate": max(line["lr"] for line in lines),
        },
        "a learning rate of a third or a tenth, a longer warm-up, clipping at 1; lr_find shows "
        "where it breaks down",
    )


def _losses(lines: Sequence[dict[str, Any]]) -> list[float]:
    return [line["loss"] for line in lines]


def _jumps(lines: Sequence[dict[str, Any]]) -> int:
    """Count the lines with a step whose loss was far above the lowest before."""
    first, lowest = lines[0]["loss"], min(_losses(lines))
    if first - lowest < HARDLY * first:
        return 0
    jumps, before = 0, first
    for line in lines[1:]:
        jumps += line["max_loss"] - before > JUMP * (first - lowest)
        before = min(before, line["loss"])
    return jumps


def too_low(evidence: Evidence) -> Finding | None:
    """Find short steps, and a loss that is still on its way down, or never left."""
    lines = evidence.lines
    ratio = median_of(lines, _typical_ratio)
    if ratio is None or ratio >= LOW_RATIO or len(lines) < FEW:
        return None
    # Powers of two crowd at the start: where a quarter of the steps is left is asked for.
    last = lines[-1]
    before = next(line for line in lines if line["step"] >= 0.75 * last["step"])
    fall, late = lines[0]["loss"] - last["loss"], before["loss"] - last["loss"]
    if max(_losses(lines)) > DIVERGED * lines[0]["loss"] or (
        late < STEADY * fall and fall > HARDLY * lines[0]["loss"]
    ):
        return None
    return Finding(
        "learning rate too low",
        Severity.HARM,
        "the weights hardly move: the loss hardly falls, or falls at the end as slowly as at the "
        "start",
        {
            "update-to-weight ratio": ratio,
            "about right": 1e-3,
            "loss at the start": lines[0]["loss"],
            "loss at the end": last["loss"],
            "fall in the last quarter": late,
            "highest learning rate": max(line["lr"] for line in lines),
        },
        "a learning rate ten times as high; lr_find shows how high it can be",
    )


def _typical_ratio(line: dict[str, Any]) -> float | None:
    """Return the median over parameters; None where no step was taken, as at a rate of 0."""
    ratios = list(line.get("update_ratios", {}).values())
    return statistics.median(ratios) if ratios and line.get("lr", 1.0) > 0 else None
