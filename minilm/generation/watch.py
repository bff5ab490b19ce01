"""What a model returns beside its logits, kept for each step of writing."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm.generation.config import GenerationConfig
from minilm.models.output import ModelOutput
from minilm.models.quantized import QuantizedModel
from minilm.tensor import Tensor

NAMES = ("attentions", "hidden_states")  # without the "output_" of the options
TIME_AXES = {"attentions": (2, 3), "hidden_states": (1,)}

Layers = tuple[np.ndarray, ...]


class Watch:
    """Asks a model for attentions and hidden states, and keeps them.

    Parameters
    ----------
    names : sequence of str
        Of `NAMES` those that are asked for.

    Attributes
    ----------
    options : dict
        What the model's ``forward`` is called with.
    steps : dict of str to list of tuple of ndarray
        For each name, for each step, an array of every layer.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.options = {f"output_{name}": True for name in names}
        self.steps: dict[str, list[Layers]] = {name: [] for name in names}
        self._held: list[ModelOutput] = []

    @classmethod
    def of(cls, config: GenerationConfig) -> Watch:
        """Return a watch for what is asked for; for nothing, where no object is returned."""
        if not config.return_dict_in_generate:
            return cls()
        return cls([name for name in NAMES if getattr(config, f"output_{name}")])

    def check(self, model: Any) -> None:
        """Refuse a model that has none of what is asked for.

        Raises
        ------
        ValueError
            The message says which models have it.
        """
        takes = inspect.signature(model.forward).parameters if hasattr(model, "forward") else ()
        for option in self.options:
            if option not in takes:
                raise ValueError(f"{option}=True: {type(model).__name__} {_why_not(model, option)}")

    def hold(self, output: Any) -> None:
        """Take what one call of the model returned."""
        if self.steps:
            self._held.append(output)

    def keep(self, places: Sequence[Sequence[int]]) -> None:
        """Make a step of the calls that were held.

        Parameters
        ----------
        places : sequence of sequence of int
            For each call, which rows it read. Shorter texts are filled up with 0 on the left.
        """
        for name, steps in self.steps.items():
            calls = [[layer.numpy() for layer in output[name]] for output in self._held]
            layers = zip(*calls, strict=True)
            steps.append(tuple(_joined(parts, places, TIME_AXES[name]) for parts in layers))
        self._held = []

    def pick(self, rows: np.ndarray) -> None:
        """Let the last step have these rows of what it has: one may come again."""
        for steps in self.steps.values():
            steps[-1] = tuple(layer[rows] for layer in steps[-1])

    def tensors(self) -> dict[str, tuple[tuple[Tensor, ...], ...]]:
        """Return what was kept, as an output has it."""
        return {
            name: tuple(tuple(map(Tensor, layers)) for layers in steps)
            for name, steps in self.steps.items()
        }


def _joined(
    parts: Sequence[np.ndarray], places: Sequence[Sequence[int]], axes: Sequence[int]
) -> np.ndarray:
    """Put the rows of several calls where they belong, their ends side by side."""
    if len(parts) == 1:
        return parts[0]
    shape = list(parts[0].shape)
    shape[0] = sum(map(len, places))
    for axis in axes:
        shape[axis] = max(part.shape[axis] for part in parts)
    whole = np.zeros(shape, parts[0].dtype)
    for part, rows in zip(parts, places, strict=True):
        where = [slice(None)] * part.ndim
        for axis in axes:
            where[axis] = slice(shape[axis] - part.shape[axis], None)
        ours = whole[tuple(where)]
        ours[list(rows)] = part
    return whole


def _why_not(model: Any, option: str) -> str:
    if isinstance(model, QuantizedModel):
        return (
            "has packed weights, which give logits alone; ask the model that quantize() was "
            "called on"
        )
    if option == "output_attentions":
        return (
            "has no attention: a recurrent model reads its past from a state, an n-gram model "
            "from counts. GPT2LMHeadModel and LlamaForCausalLM have some; a model of your own "
            "must take output_attentions in forward, and return an output with .attentions"
        )
    return (
        "does not return hidden states. Those of a recurrent model are what forward_with_state "
        "returns beside the logits; GPT2LMHeadModel and LlamaForCausalLM have some; a model of "
        "your own must take output_hidden_states in forward, and return an output with "
        ".hidden_states"
    )
