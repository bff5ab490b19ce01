"""Gradient clipping, against exploding gradients (Pascanu et al., 2013)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from minilm import _core
from minilm.rules.rule import Array
from minilm.tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients down together, so that their common norm is at most `max_norm`.

    Parameters
    ----------
    parameters : iterable of Tensor, or Tensor
        Those without a gradient are passed over.
    max_norm : float
        The largest norm that is allowed.
    norm_type : float
        Which norm: 2 is the Euclidean one, ``math.inf`` the largest size of an element.
    error_if_nonfinite : bool
        Refuse a norm that is infinite or not a number.

    Returns
    -------
    Tensor
        The norm before clipping.

    Raises
    ------
    RuntimeError
        If `error_if_nonfinite` and the norm is not finite.
    """
    grads = _grads_of(parameters)
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    _scale_to_norm(grads, max_norm, total)
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor
) -> None:
    """Scale all gradients down together, by a norm that is known.

    Parameters
    ----------
    parameters, max_norm
        As for `clip_grad_norm_`.
    total_norm : Tensor
        From `get_total_norm`.
    """
    _scale_to_norm(_grads_of(parameters), max_norm, total_norm)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every gradient to ``-clip_value`` to ``clip_value``."""
    _core.clip_grads(_writable(_grads_of(parameters)), float(clip_value))


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Return the norm of tensors as if they were one vector.

    Parameters
    ----------
    tensors : iterable of Tensor, or Tensor
        Usually gradients.
    norm_type, error_if_nonfinite
        As for `clip_grad_norm_`.
    """
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm = _core.grad_norm([tensor._array for tensor in tensors], float(norm_type))
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients is {norm}, so it cannot be "
            "clipped. Pass error_if_nonfinite=False to scale by it anyway"
        )
    return Tensor(np.float32(norm))


def _scale_to_norm(grads: list[Tensor], max_norm: float, total_norm: Tensor) -> None:
    factor = max_norm / (total_norm.item() + 1e-6)
    if not factor >= 1:  # also if the norm is no number: then no gradient is one, as in PyTorch
        _core.scale_grads(_writable(grads), factor)


def _grads_of(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _writable(grads: list[Tensor]) -> list[Array]:
    for grad in grads:
        grad._before_write()
    return [grad._array for grad in grads]
