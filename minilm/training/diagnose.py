"""Find where a loss that is no number came from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minilm.grad_mode import no_grad
from minilm.models.base import read_on
from minilm.tensor import Tensor


class NonFiniteError(ArithmeticError):
    """The loss or a gradient is NaN or infinite; the message says which step and tensor."""


def first_bad_tensor(model: Any, inputs: Any, state: Any) -> str | None:
    """Name the first tensor, in the order of computation, that is NaN or infinite.

    Parameters
    ----------
    model : nn.Module
        As it was when the loss went wrong, gradients included.
    inputs : Tensor or ndarray of int
        The ids it had read, ``(batch, time)``.
    state : object
        The state it had read them from.

    Returns
    -------
    str or None
        A parameter, the output of a module, or a gradient; None if all are finite.
    """
    for name, parameter in model.named_parameters():
        if not _finite(parameter):
            return f"the parameter {name}"
    found: list[str] = []
    with _watched(model, found), no_grad():
        logits, _ = read_on(model, inputs, state)
    if found:
        return f"the output of {found[0]}"
    if not _finite(logits):
        return "the logits"
    # Gradients arrive from the loss backwards, the last layer's first.
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not _finite(parameter.grad):
            return f"the gradient of {name}"
    return None


@contextmanager
def _watched(model: Any, found: list[str]) -> Iterator[None]:
    """Note in `found` the modules whose outputs are not finite, parts before their wholes."""
    modules = dict(model.named_modules())

    def watch(name: str, module: Any) -> None:
        forward = module.forward

        def watching(*args: Any, **kwargs: Any) -> Any:
            output = forward(*args, **kwargs)
            if not _finite(output):
                found.append(name or type(module).__name__)
            return output

        module.forward = watching

    for name, module in modules.items():
        watch(name, module)
    try:
        yield
    finally:
        for module in modules.values():
            del module.forward


def _finite(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_finite(part) for part in value)
    return not isinstance(value, Tensor) or bool(np.isfinite(value.detach().numpy()).all())
