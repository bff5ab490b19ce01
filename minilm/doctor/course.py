"""Runs that did not come to their end."""

from __future__ import annotations

import math

from minilm.doctor.evidence import Evidence
from minilm.doctor.finding import Finding, Severity


def not_finite(evidence: Evidence) -> Finding | None:
    """Find a loss or gradient that is NaN or infinite."""
    errors = [sample for sample in evidence.samples if "error" in sample]
    losses = [value for row in evidence.records for value in row.values()]
    if not errors and all(math.isfinite(value) for value in losses):
        return None
    numbers = {"step": errors[-1]["step"], "error": errors[-1]["error"]} if errors else {}
    bad = next((row["epoch"] for row in evidence.records if not _finite(row)), None)
    if bad is not None:
        numbers |= {"first in epoch": bad}
    return Finding(
        "not a number",
        Severity.BROKEN,
        "a loss or a gradient became NaN or infinite, and what is computed from it is, too",
        numbers,
        "a learning rate of a tenth, clipping at 1, a look at the tensor that is named",
    )


def _finite(row: dict[str, float]) -> bool:
    return all(math.isfinite(value) for name, value in row.items() if "loss" in name)


def not_finished(evidence: Evidence) -> Finding | None:
    """Find a run that was interrupted, or whose end was never reached."""
    if evidence.folder is None or any("error" in sample for sample in evidence.samples):
        return None
    if not evidence.samples:
        step, steps = 0, 0
    else:
        step, steps = evidence.samples[-1]["step"], evidence.samples[-1]["max_steps"]
    if (steps and step >= steps) or _stopped_early(evidence):
        return None
    return Finding(
        "not finished",
        Severity.HINT,
        "the run was interrupted, or is still going on: a schedule brings most of its gain at the "
        "end",
        {"steps seen": step, "of": steps or "unknown"},
        f"minilm train --resume {evidence.folder}",
    )


def _stopped_early(evidence: Evidence) -> bool:
    """Tell whether patience ended the run: that many rows since the best."""
    rows, best = evidence.validated, evidence.best
    if not evidence.patience or best is None:
        return False
    return len(rows) - 1 - rows.index(best) >= evidence.patience
