"""Penalties on what a recurrent layer puts out, to be added to the loss.

Merity, McCann & Socher 2017, *Revisiting activation regularization for language RNNs*,
https://arxiv.org/abs/1708.01009.
"""

from __future__ import annotations

import numpy as np

from minilm.nn import checks
from minilm.tensor import Tensor, TensorLike


def activation_regularization(output: TensorLike, alpha: float = 2.0) -> Tensor:
    """Return ``alpha mean(h^2)``: activations shall be small (AR).

    Parameters
    ----------
    output : Tensor
        h, the last recurrent layer's output of any shape, after its dropout.
    alpha : float
        Weight of the penalty.

    Returns
    -------
    Tensor
        ``()``, in the loss's unit, nats.
    """
    h = checks.floats("activation_regularization", "output", output)
    return alpha * (h * h).mean()


def temporal_activation_regularization(
    output: TensorLike, beta: float = 1.0, batch_first: bool = False
) -> Tensor:
    """Return ``beta mean((h_t - h_{t-1})^2)``: activations shall change slowly (TAR).

    Parameters
    ----------
    output : Tensor
        h, the last recurrent layer's output before its dropout: ``(batch, time, features)`` if
        `batch_first`, else ``(time, batch, features)``.
    beta : float
        Weight of the penalty.
    batch_first : bool
        Which of the first two axes is time.

    Returns
    -------
    Tensor
        ``()``, in the loss's unit, nats; 0 where there are not two steps to compare.

    Raises
    ------
    ValueError
        If `output` has not three axes.
    """
    h = checks.floats("temporal_activation_regularization", "output", output)
    if h.dim() != 3:
        axes = "(batch, time, features)" if batch_first else "(time, batch, features)"
        raise ValueError(
            f"temporal_activation_regularization: expected output {axes}, got shape {h.shape}"
        )
    if h.shape[1 if batch_first else 0] < 2:
        return Tensor(np.zeros((), np.float32))
    change = h[:, 1:] - h[:, :-1] if batch_first else h[1:] - h[:-1]
    return beta * (change * change).mean()
