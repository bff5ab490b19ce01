"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minilm import _core
from minilm.optim.optimizer import (
    Group,
    Optimizer,
    arrays_of,
    by_next_step,
    check_range,
    count_step,
    grads_of,
    refuse,
)
from minilm.tensor import Tensor


class Adagrad(Optimizer):
    r"""Adagrad: each weight's step is divided by the root of all its squared gradients so far [1]_.

    :math:`s = s + g^2`, :math:`w = w - \gamma_t g / (\sqrt s + \epsilon)` with
    :math:`\gamma_t = \gamma / (1 + (t - 1) \eta)` in step t.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
        Learning rate :math:`\gamma`.
    lr_decay : float
        :math:`\eta`.
    weight_decay : float
        This times the weight is added to its gradient.
    initial_accumulator_value : float
        What :math:`s` starts from.
    eps : float
        :math:`\epsilon`.
    maximize : bool
        Go up the gradient instead of down.
    foreach, fused : bool, optional
        Choose between PyTorch's implementations; here there is one, and they change nothing.
    differentiable : bool
        Not supported.

    Raises
    ------
    ValueError
        If an option is out of its range, or not supported.

    References
    ----------
    .. [1] Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse(differentiable=differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        check_range(
            options,
            lr="learning rate",
            lr_decay="lr_decay value",
            weight_decay="weight_decay value",
            initial_accumulator_value="initial_accumulator_value value",
            eps="epsilon value",
        )

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters; see `Optimizer.add_param_group`."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for param in group["params"]:
            start = np.full(param.shape, group["initial_accumulator_value"], param.dtype)
            self.state[param] = {"step": Tensor(np.zeros((), np.float32)), "sum": Tensor(start)}

    def _update_parameters(self, group: Group, params: list[Tensor]) -> None:
        for step, members in by_next_step(self.state, params):
            _core.adagrad_step(
                arrays_of(members),
                grads_of(members),
                arrays_of(self.state[p]["sum"] for p in members),
                step=step,
                lr=group["lr"],
                lr_decay=group["lr_decay"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                maximize=group["maximize"],
            )
            count_step(self.state, members)
