"""Find where a loss that is no number came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minilm.grad_mode import no_grad
from minilm.tensor import Tensor


class NonFiniteError(ArithmeticError):
    """The loss or a gradient is NaN or infinite; the message says which step and tensor."""


class Culprit(NamedTuple):
    """Where numbers went wrong.

    Attributes
    ----------
    bad : str or None
        The first tensor, in the order of computation, that is NaN or infinite.
    clean : str or None
        The last one before it.
    """

    bad: str | None
    clean: str | None

    def __str__(self) -> str:
        clean = f"; the last clean one: {self.clean}" if self.clean else ""
        return f"first bad tensor: {self.bad or 'the loss itself'}{clean}"


def find_culprit(model: Any, forward: Callable[[], object]) -> Culprit:
    """Find the first tensor, in the order of computation, that is NaN or infinite.

    Parameters
    ----------
    model : nn.Module
        As it was when the loss went wrong, gradients included.
    forward : callable
        Runs the model as it was run then.

    Returns
    -------
    Culprit
        A parameter, the output of a module, or a gradient; ``bad`` is None if all are finite.
    """
    clean = None
    for name, is_finite in _in_order(model, forward):
        if not is_finite:
            return Culprit(name, clean)
        clean = name
    return Culprit(None, clean)


def refuse_non_finite(
    model: Any, forward: Callable[[], object], loss: float, norm: float, where: str, advice: str
) -> None:
    """Raise NonFiniteError unless loss and gradient norm are finite.

    Parameters
    ----------
    model, forward
        As for `find_culprit`.
    loss, norm : float
        To check.
    where : str
        Which step it was.
    advice : str
        What is likely the cause.
    """
    if math.isfinite(loss) and math.isfinite(norm):
        return
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient norm is {norm}"
    culprit = find_culprit(model, forward)
    raise NonFiniteError(f"{what} at {where}; {culprit}. Likely {advice}")


def _in_order(model: Any, forward: Callable[[], object]) -> Iterator[tuple[str, bool]]:
    """Name tensors in the order of computation, and tell whether each is finite."""
    for name, parameter in model.named_parameters():
        yield f"the parameter {name}", _finite(parameter)
    outputs: list[tuple[str, bool]] = []
    with _watched(model, outputs), no_grad():
        result = forward()
    for name, is_finite in outputs:
        yield f"the output of {name}", is_finite
    yield "the logits", _finite(result)
    # Gradients arrive from the loss backwards, the last layer's first.
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None:
            yield f"the gradient of {name}", _finite(parameter.grad)


@contextmanager
def _watched(model: Any, outputs: list[tuple[str, bool]]) -> Iterator[None]:
    """Note in `outputs` whether what modules return is finite, parts before their wholes."""
    modules = dict(model.named_modules())

    def watch(name: str, module: Any) -> None:
        forward = module.forward

        def watching(*args: Any, **kwargs: Any) -> Any:
            output = forward(*args, **kwargs)
            outputs.append((name or type(module).__name__, _finite(output)))
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
    value = getattr(value, "logits", value)
    return not isinstance(value, Tensor) or bool(np.isfinite(value.detach().numpy()).all())
