"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minilm import _core
from minilm.optim.optimizer import (
    Group,
    Optimizer,
    arrays_of,
    check_range,
    count_step,
    grads_of,
    refuse,
    zeros_like,
)
from minilm.tensor import Tensor


class RMSprop(Optimizer):
    r"""RMSprop: each weight's step is divided by the root of its mean squared gradient [1]_.

    :math:`s = \alpha s + (1 - \alpha) g^2`, :math:`v = \mu v + g / (\sqrt s + \epsilon)` and
    :math:`w = w - \gamma v`.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
        Learning rate :math:`\gamma`.
    alpha : float
        How much of the mean is kept in each step.
    eps : float
        :math:`\epsilon`, outside the root.
    weight_decay : float
        This times the weight is added to its gradient.
    momentum : float
        :math:`\mu`.
    centered : bool
        Divide by the root of the gradient's variance instead of its mean square [2]_.
    maximize : bool
        Go up the gradient instead of down.
    foreach : bool, optional
        Chooses between PyTorch's implementations; here there is one, and it changes nothing.
    capturable, differentiable : bool
        Not supported.

    Raises
    ------
    ValueError
        If an option is out of its range, or not supported.

    References
    ----------
    .. [1] Tieleman & Hinton 2012, Neural Networks for Machine Learning, lecture 6e
    .. [2] Graves 2013, https://arxiv.org/abs/1308.0850
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        check_range(
            options,
            lr="learning rate",
            eps="epsilon value",
            momentum="momentum value",
            weight_decay="weight_decay value",
            alpha="alpha value",
        )

    def _update_parameters(self, group: Group, params: list[Tensor]) -> None:
        names = ["square_avg"]
        names += ["momentum_buffer"] if group["momentum"] > 0 else []
        names += ["grad_avg"] if group["centered"] else []
        for param in params:
            state = self.state[param]
            state.setdefault("step", Tensor(np.zeros((), np.float32)))
            for name in names:
                if name not in state:
                    state[name] = zeros_like(param)

        def kept(name: str) -> list[np.ndarray]:
            return arrays_of(self.state[p][name] for p in params)

        _core.rmsprop_step(
            arrays_of(params),
            grads_of(params),
            kept("square_avg"),
            kept("grad_avg") if "grad_avg" in names else None,
            kept("momentum_buffer") if "momentum_buffer" in names else None,
            lr=group["lr"],
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            maximize=group["maximize"],
        )
        count_step(self.state, params)
