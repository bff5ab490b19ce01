"""Adam, and AdamW."""

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
    zeros_like,
)
from minilm.tensor import Tensor


class Adam(Optimizer):
    r"""Adam: each weight's step is its mean gradient over the root of its mean squared one [1]_.

    :math:`m = \beta_1 m + (1 - \beta_1) g`, :math:`s = \beta_2 s + (1 - \beta_2) g^2`, and
    :math:`w = w - \gamma \hat m / (\sqrt{\hat s} + \epsilon)` with
    :math:`\hat m = m / (1 - \beta_1^t)`, :math:`\hat s = s / (1 - \beta_2^t)` in step t.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
        Learning rate :math:`\gamma`.
    betas : (float, float)
        How much of the means is kept in each step.
    eps : float
        :math:`\epsilon`, outside the root.
    weight_decay : float
        This times the weight is added to its gradient.
    amsgrad : bool
        Not supported.
    maximize : bool
        Go up the gradient instead of down.
    decoupled_weight_decay : bool
        Decay as `AdamW` does.
    foreach, fused : bool, optional
        Choose between PyTorch's implementations; here there is one, and they change nothing.
    capturable, differentiable : bool
        Not supported.

    Raises
    ------
    ValueError
        If an option is out of its range, or not supported.

    References
    ----------
    .. [1] Kingma & Ba 2014, https://arxiv.org/abs/1412.6980

    Examples
    --------
    >>> optimizer = Adam(model.parameters(), lr=0.001)  # doctest: +SKIP
    >>> optimizer.zero_grad()  # doctest: +SKIP
    >>> loss.backward()  # doctest: +SKIP
    >>> optimizer.step()  # doctest: +SKIP
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        refuse(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        check_range(
            options, lr="learning rate", eps="epsilon value", weight_decay="weight_decay value"
        )
        for index, beta in enumerate(options["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(
                    f"Invalid beta parameter at index {index}: {beta}; expected [0, 1)"
                )
        refuse(amsgrad=options["amsgrad"])

    def _update_parameters(self, group: Group, params: list[Tensor]) -> None:
        for param in params:
            if not self.state[param]:
                self.state[param] = {
                    "step": Tensor(np.zeros((), np.float32)),
                    "exp_avg": zeros_like(param),
                    "exp_avg_sq": zeros_like(param),
                }
        for step, members in by_next_step(self.state, params):
            _core.adam_step(
                arrays_of(members),
                grads_of(members),
                arrays_of(self.state[p]["exp_avg"] for p in members),
                arrays_of(self.state[p]["exp_avg_sq"] for p in members),
                step=step,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                decoupled=group["decoupled_weight_decay"],
                maximize=group["maximize"],
            )
            count_step(self.state, members)


class AdamW(Adam):
    r"""Adam whose decay shrinks the weights and leaves the gradient alone [1]_.

    :math:`w = (1 - \gamma \lambda) w` comes before Adam's own step, with the weight decay
    :math:`\lambda`.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr, betas, eps, amsgrad, maximize, foreach, capturable, differentiable, fused
        See `Adam`.
    weight_decay : float
        :math:`\lambda`.

    Raises
    ------
    ValueError
        If an option is out of its range, or not supported.

    References
    ----------
    .. [1] Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            decoupled_weight_decay=True,
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copy a state into this optimizer; the decay stays decoupled whatever the state says."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
