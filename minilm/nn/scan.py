"""Linear recurrences, all steps at once."""

from __future__ import annotations

from minilm.nn import checks
from minilm.operations import cat
from minilm.tensor import Tensor, TensorLike


def parallel_scan(decay: TensorLike, update: TensorLike) -> Tensor:
    """Return every ``h[t] = decay[t] * h[t - 1] + update[t]``, from ``h[-1] = 0``.

    Two steps one behind the other are a step of the same form, ``h -> a2 a1 h + (a2 b1 + b2)``, so
    steps may be put together in any grouping. After pass k each position holds what the 2^k steps
    up to it do to the state; after ``log2(time)`` passes that is all of them. No step waits for the
    one before, at the price of ``log2(time)`` times the work: on a processor with few cores a loop
    is faster.

    Parameters
    ----------
    decay : Tensor
        ``(time, ...)``. To start from a state h0, add ``decay[0] * h0`` to ``update[0]``.
    update : Tensor
        ``(time, ...)``, the shape of `decay`.

    Returns
    -------
    Tensor
        h after each step, ``(time, ...)``. Gradients flow to both arguments.

    Raises
    ------
    ValueError
        If the shapes differ, or have no axis.
    TypeError
        If one of them is not float32.

    References
    ----------
    Hillis & Steele 1986, https://doi.org/10.1145/7902.7903; Blelloch 1990, *Prefix sums and their
    applications*.

    Examples
    --------
    >>> parallel_scan(minilm.tensor([0.5, 0.5, 0.0]), minilm.tensor([2.0, 1.0, 3.0])).tolist()
    [2.0, 2.0, 3.0]
    """
    a = checks.floats("parallel_scan", "decay", decay)
    h = checks.floats("parallel_scan", "update", update)
    if a.dim() == 0 or a.shape != h.shape:
        raise ValueError(
            "parallel_scan: expected decay and update of one shape (time, ...), got "
            f"{a.shape} and {h.shape}"
        )
    reach = 1  # steps that a and h of each position stand for
    while reach < len(h):
        h = cat([h[:reach], h[reach:] + a[reach:] * h[:-reach]])
        a = cat([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return h
