"""Units and gates that no longer work."""

from __future__ import annotations

from functools import partial
from typing import Any

from minilm.doctor.evidence import Evidence, median_of
from minilm.doctor.finding import Finding, Severity

# Gates of a good LSTM are open or shut half of the time and more (Karpathy et al. 2016,
# https://arxiv.org/abs/1506.02078, figure 3); when all of them always are, it is a machine of
# switches that gradients no longer move.
SATURATED = 0.9
DEAD = 0.25  # of a layer's units; a few idle ones do no harm


def saturated(evidence: Evidence) -> Finding | None:
    """Find gates or units of a layer that are nearly always at an end of their range."""
    layer, gate, share = _worst(evidence, "saturated")
    if share <= SATURATED:
        return None
    what = f"gates {gate} of {layer}" if gate != "h" else f"units of {layer}"
    return Finding(
        "saturated gates",
        Severity.HARM,
        f"the {what} are nearly always fully open or shut, where no gradient passes",
        {"share saturated": share, "layer": layer, "gate": gate},
        "smaller weights at the start, a lower learning rate, weight decay, clipping",
    )


def dead(evidence: Evidence) -> Finding | None:
    """Find units that are the same whatever is read."""
    layer, _, share = _worst(evidence, "dead")
    if share <= DEAD:
        return None
    return Finding(
        "dead units",
        Severity.HARM,
        f"units of {layer} are the same whatever the model reads: they take time and tell nothing",
        {"share dead": share, "layer": layer},
        "a lower learning rate, tanh in place of relu, smaller weights at the start, fewer units",
    )


def _worst(evidence: Evidence, kind: str) -> tuple[str, str, float]:
    """Return layer, gate and share of the largest share, in the last part of the run."""
    shares: dict[tuple[str, str], float] = {}
    for layer, gates in (evidence.late[-1].get(kind, {}) if evidence.lines else {}).items():
        for gate in gates if isinstance(gates, dict) else ("",):
            found = median_of(evidence.late, partial(_at, kind, layer, gate))
            shares[layer, gate] = found or 0.0
    (layer, gate), share = max(shares.items(), key=lambda item: item[1], default=(("", ""), 0.0))
    return layer, gate, share


def _at(kind: str, layer: str, gate: str, line: dict[str, Any]) -> float | None:
    value = line.get(kind, {}).get(layer)
    found: float | None = value.get(gate) if isinstance(value, dict) else value
    return found
