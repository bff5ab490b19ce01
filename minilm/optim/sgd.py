"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minilm import _core
from minilm.optim.optimizer import (
    Group,
    Optimizer,
    arrays_of,
    check_range,
    grads_of,
    refuse,
    zeros_like,
)
from minilm.tensor import Tensor


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum if wanted [1]_.

    :math:`v = \mu v + (1 - \tau) g` and :math:`w = w - \gamma v`; the first step takes
    :math:`v = g`. Nesterov's variant looks ahead: :math:`w = w - \gamma (g + \mu v)`.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
        Learning rate :math:`\gamma`.
    momentum : float
        :math:`\mu`.
    dampening : float
        :math:`\tau`.
    weight_decay : float
        This times the weight is added to its gradient.
    nesterov : bool
        Look ahead; needs momentum, and no dampening.
    maximize : bool
        Go up the gradient instead of down.
    foreach, fused : bool, optional
        Choose between PyTorch's implementations; here there is one, and they change nothing.
    differentiable : bool
        Not supported.

    Raises
    ------
    ValueError
        If an option is out of its range.

    References
    ----------
    .. [1] Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html

    Examples
    --------
    >>> optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)  # doctest: +SKIP
    >>> optimizer.zero_grad()  # doctest: +SKIP
    >>> loss.backward()  # doctest: +SKIP
    >>> optimizer.step()  # doctest: +SKIP
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse(differentiable=differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, options: Mapping[str, Any]) -> None:
        check_range(
            options,
            lr="learning rate",
            momentum="momentum value",
            weight_decay="weight_decay value",
        )
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def _update_parameters(self, group: Group, params: list[Tensor]) -> None:
        if group["momentum"] == 0:
            self._update(group, params, None, first=False)
            return
        old = [p for p in params if self.state[p].get("momentum_buffer") is not None]
        if old:
            self._update(group, old, [self.state[p]["momentum_buffer"] for p in old], first=False)
        new = [p for p in params if self.state[p].get("momentum_buffer") is None]
        if new:
            buffers = [zeros_like(p) for p in new]
            self._update(group, new, buffers, first=True)
            for param, buffer in zip(new, buffers, strict=True):
                self.state[param]["momentum_buffer"] = buffer

    @staticmethod
    def _update(
        group: Group, params: list[Tensor], buffers: list[Tensor] | None, first: bool
    ) -> None:
        _core.sgd_step(
            arrays_of(params),
            grads_of(params),
            None if buffers is None else arrays_of(buffers),
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            first=first,
        )
