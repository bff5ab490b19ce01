"""Gradients that grow or fade on their way back through time."""

from __future__ import annotations

from functools import partial
from typing import Any

from minilm.doctor.evidence import Evidence, median_of
from minilm.doctor.finding import Finding, Severity

# Through a window they may fall by orders of magnitude and be of use; if they grow, then they grow
# exponentially (Pascanu et al. 2013, https://arxiv.org/abs/1211.5063, section 2.1).
GROWTH = 100.0
SPIKE = 50.0  # norms of healthy runs stay within a few times their median, the start included
CLIPPED = 0.5  # share of steps: the limit is then no longer the exception
FAR = 10.0  # times the limit; just above it, clipping scales a little and does no harm
VANISHED = 1e-4  # of the gradient at the last step: below float32's rounding of the sum with others
NEAR = 5  # tokens of context that any text rewards, where n-grams do not say how many


def exploding(evidence: Evidence) -> Finding | None:
    """Find growth on the way back through time, rare huge norms, or a limit that is always hit."""
    lines = evidence.lines
    norm = median_of(lines, lambda line: line.get("max_grad_norm"))
    if norm is None:
        return None
    growth = median_of(lines, _growth) or 0.0
    highest = max(line["max_grad_norm"] for line in lines)
    clipped = median_of(lines, lambda line: line["clipped"]) or 0.0
    limit = lines[-1].get("clip") or 0.0
    beyond = clipped > CLIPPED and norm > FAR * limit
    if growth <= GROWTH and highest <= SPIKE * norm and not beyond:
        return None
    return Finding(
        "exploding gradients",
        Severity.HARM,
        "gradients grow on their way back through time, so that single steps decide all",
        {
            "growth over the window": growth,
            "median gradient norm": norm,
            "highest": highest,
            "limit": limit,
            "share of steps clipped": clipped,
        },
        "clipping at 1 if there is none, a lower learning rate, a shorter window, an LSTM or GRU "
        "in place of an RNN, recurrent weights that start smaller",
    )


def vanishing(evidence: Evidence) -> Finding | None:
    """Find gradients that do not reach back as far as the text rewards looking back."""
    reach = _reach(evidence)
    if reach is None:
        return None
    counted = evidence.counted
    context = NEAR if counted is None else counted.order - 1
    whose = "any text rewards" if counted is None else "n-grams gain from"
    distance, share = reach
    if distance > context:
        return None
    return Finding(
        "vanishing gradients",
        Severity.HARM,
        f"what happened {distance} tokens ago no longer has a say in what is learnt",
        {
            "share of the gradient left": share,
            "tokens back": distance,
            f"context that {whose}": context,
        },
        "an LSTM or GRU in place of an RNN, larger recurrent weights at the start (orthogonal "
        "ones), a forget gate that starts open (a bias of 1), fewer saturated units",
    )


def _growth(line: dict[str, Any]) -> float | None:
    """Return by how much the gradient one step back has grown at the far end, of any layer."""
    grown = [
        list(norms.values())[-1] / norms["1"]
        for norms in line.get("state_grads", {}).values()
        if len(norms) > 2 and norms["1"]
    ]
    return max(grown, default=None)


def _reach(evidence: Evidence) -> tuple[int, float] | None:
    """Return the distance at which the gradient has vanished in every layer, and what is left."""
    lines = evidence.late
    layers = (one for line in lines for one in line.get("state_grads", {}).values())
    distances: dict[str, float] = next(layers, {})
    for name in sorted(distances, key=int):
        left = median_of(lines, partial(_left, name))
        if left is not None and left < VANISHED:
            return int(name), left
    return None


def _left(distance: str, line: dict[str, Any]) -> float | None:
    shares = [
        norms[distance] / norms["0"]
        for norms in line.get("state_grads", {}).values()
        if norms.get("0") and distance in norms
    ]
    return max(shares, default=None)
