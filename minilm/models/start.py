"""How the weights of transformers start."""

from __future__ import annotations

from collections.abc import Mapping

from minilm import nn
from minilm.grad_mode import no_grad
from minilm.nn import init


def start_normally(
    model: nn.Module,
    std: float,
    names: list[str] | None = None,
    special: Mapping[str, float] | None = None,
) -> None:
    """Draw a model's weights: matrices from N(0, std^2); biases are 0, scales of norms 1.

    Parameters
    ----------
    model : nn.Module
        Its parameters are overwritten; a vector called ``bias`` is one, any other is a scale.
    std : float
        The standard deviation.
    names : list of str, optional
        Only these parameters.
    special : mapping, optional
        Standard deviations of matrices whose names end so.
    """
    for name, parameter in model.named_parameters():
        if names is not None and name not in names:
            continue
        if name.endswith("bias"):
            init.zeros_(parameter)
        elif parameter.dim() == 1:
            init.ones_(parameter)
        else:
            ends = [s for ending, s in (special or {}).items() if name.endswith(ending)]
            init.normal_(parameter, std=ends[0] if ends else std)
    for path, module in model.named_modules():
        padding = module.padding_idx if isinstance(module, nn.Embedding) else None
        if padding is not None and (names is None or f"{path}.weight" in names):
            _clear(module.weight, padding)


@no_grad
def _clear(table: nn.Parameter, row: int) -> None:
    table[row] = 0
