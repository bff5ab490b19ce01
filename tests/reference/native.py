"""A case run through ``minilm._core.Layer``: float32 in, float32 out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .case import OFFSET, SEED, Case

Array = np.ndarray


def as_float32(array: Array | None) -> Array | None:
    """Narrow float64; leave integers and what is absent."""
    if array is None or array.dtype.kind != "f":
        return array
    return array.astype(np.float32)


def make_layer(core, case: Case):
    """Return the C layer of a case; names of functions and reductions become C's numbers."""
    config = dict(case.config)
    if "function" in config:
        config["function"] = core.ACTIVATIONS[config["function"]]
    if "reduction" in config:
        config["reduction"] = core.REDUCTIONS[config["reduction"]]
    return core.Layer(case.kind, **config)


def forward(layer, case: Case, need_grad: bool = True, convert: Callable = as_float32):
    """Return the outputs of the C layer and what it saved; ``convert`` changes its inputs."""
    return layer.forward(
        tuple(convert(array) for array in case.make_inputs()),
        tuple(as_float32(array) for array in case.make_params().values()),
        training=case.training,
        need_grad=need_grad,
        seed=SEED,
        offset=OFFSET,
    )


def run_native(core, case: Case) -> dict[str, Array]:
    """Forward and backward of the C layer; results by name."""
    outputs, saved = forward(make_layer(core, case), case)
    grad_outputs = tuple(as_float32(grad) for grad in case.make_grads(outputs))
    grads, grad_params = saved.backward(grad_outputs, case.needs_grad(), (None,) * len(case.params))
    return case.named(outputs, grads, dict(zip(case.params, grad_params, strict=True)))
