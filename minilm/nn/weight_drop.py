"""DropConnect: random zeros among weights, instead of among what flows between layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from minilm.nn import checks, functional
from minilm.nn.module import Module
from minilm.tensor import Tensor


class WeightDrop(Module):
    """Run a module with random zeros in some of its weights while training.

    On the recurrent weights of an LSTM it regularises the step from state to state without
    disturbing the state itself: the same weights are missing at every time step of a call
    (Merity et al. 2017, https://arxiv.org/abs/1708.02182; DropConnect: Wan et al. 2013).

    The module's parameters stay as they are: in a call the module computes with
    ``dropout(weight, p)`` in their place, and gradients flow through the mask to the weight. In
    evaluation mode the module is called as it is.

    Parameters
    ----------
    module : Module
        What to run; its inputs and outputs are those of this one.
    weights : str or sequence of str
        Names of its own parameters, such as ``"weight_hh_l0"``.
    p : float
        The probability that an element of these is 0; the others are multiplied by
        ``1 / (1 - p)``.

    Raises
    ------
    ValueError
        If the module has no parameter of a name, or `p` is not a probability.

    Examples
    --------
    >>> lstm = nn.WeightDrop(nn.LSTM(32, 64), ["weight_hh_l0"], p=0.5)
    >>> output, (h_n, c_n) = lstm(minilm.randn(7, 2, 32))
    """

    def __init__(self, module: Module, weights: str | Sequence[str], p: float = 0.5) -> None:
        super().__init__()
        self.module = module
        self.weights = (weights,) if isinstance(weights, str) else tuple(weights)
        self.p = checks.probability("WeightDrop", p)
        own = [name for name, weight in module._parameters.items() if weight is not None]
        for name in self.weights:
            if name not in own:
                raise ValueError(
                    f"WeightDrop: {type(module).__name__} has no parameter {name!r}; it has "
                    f"{', '.join(own) or 'none'}"
                )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module; in training mode with random zeros in its weights."""
        if not self.training or self.p == 0:
            return self.module(*args, **kwargs)
        dropped = {
            name: functional.dropout(getattr(self.module, name), self.p) for name in self.weights
        }
        with _in_place_of_parameters(self.module, dropped):
            return self.module(*args, **kwargs)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return f"weights={list(self.weights)}, p={self.p}"


@contextmanager
def _in_place_of_parameters(module: Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Have a module compute with other tensors than its parameters, which stay registered."""
    vars(module).update(tensors)  # an attribute of the instance hides the registered one
    try:
        yield
    finally:
        for name in tensors:
            del vars(module)[name]
