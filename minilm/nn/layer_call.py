"""Run a layer of the C core, and put it on the tape as one node.

This is the only place where Python's tensors meet the core's layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minilm import _core
from minilm.grad_mode import is_grad_enabled
from minilm.random import next_dropout_key
from minilm.rules.rule import Array
from minilm.tensor import Edge, Memory, Tensor, record


class Operands:
    """What a layer is called with: inputs, then parameters, as they were at some moment.

    Parameters
    ----------
    arrays : list of ndarray or None
        The values; None for an optional input that is not given.
    shapes : list of tuple
        The shapes that gradients are given.
    edges : list of Edge
        Where gradients go; None where none is wanted.
    versions : list of (Memory, int)
        By which it is noticed that values were overwritten since.
    """

    def __init__(
        self,
        arrays: list[Array | None],
        shapes: list[tuple[int, ...]],
        edges: list[Edge],
        versions: list[tuple[Memory, int]],
    ) -> None:
        self.arrays = arrays
        self.shapes = shapes
        self.edges: list[Edge] = edges if is_grad_enabled() else [None] * len(edges)
        self.versions = versions

    @classmethod
    def now(cls, tensors: Sequence[Tensor | None]) -> Operands:
        """Take tensors as they are at this moment; None for one that is not given."""
        arrays = [None if tensor is None else tensor._array for tensor in tensors]
        return cls(
            arrays,
            [() if array is None else array.shape for array in arrays],
            [None if tensor is None else tensor._edge() for tensor in tensors],
            [_version(tensor) for tensor in tensors],
        )

    def __getitem__(self, part: slice) -> Operands:
        """Take some of the operands."""
        return Operands(self.arrays[part], self.shapes[part], self.edges[part], self.versions[part])

    def __add__(self, more: Operands) -> Operands:
        """Put operands behind one another."""
        return Operands(
            self.arrays + more.arrays,
            self.shapes + more.shapes,
            self.edges + more.edges,
            self.versions + more.versions,
        )

    @property
    def require_grad(self) -> bool:
        """Whether any gradient is wanted."""
        return any(edge is not None for edge in self.edges)


def _version(tensor: Tensor | None) -> tuple[Memory, int]:
    memory = Memory() if tensor is None else tensor._memory
    return memory, memory.version


@lru_cache(maxsize=512)
def _layer(kind: str, config: tuple[tuple[str, float], ...]) -> tuple[_core.Layer, int]:
    """Return a layer of the core, which keeps nothing of its calls, and its parameter count."""
    layer = _core.Layer(kind, **dict(config))
    return layer, len(layer.params)


class LayerCall:
    """One layer of the core with its settings; calling it runs the layer.

    Parameters
    ----------
    kind : str
        The core's name of the layer: ``"linear"``, ``"lstm"`` ...
    **config : number
        Its settings, under the core's names.
    """

    def __init__(self, kind: str, **config: float) -> None:
        self.kind = kind
        self.config = config
        self.layer, self.n_params = _layer(kind, tuple(config.items()))
        # The layers that draw a random mask: only they use up a key.
        self._draws = config.get("p" if kind == "dropout" else "dropout", 0) > 0

    def __call__(
        self,
        inputs: Sequence[Tensor | None],
        params: Sequence[Tensor] = (),
        *,
        training: bool = False,
    ) -> tuple[Tensor, ...]:
        """Run the layer forward.

        Parameters
        ----------
        inputs : sequence of Tensor or None
            None stands for an optional input that is not given.
        params : sequence of Tensor
            The parameters, in the core's order, which is PyTorch's.
        training : bool
            Whether dropout acts.

        Returns
        -------
        tuple of Tensor
            The layer's outputs, recorded on the tape if they depend on something that requires
            gradients.
        """
        return self.run(Operands.now([*inputs, *params]), training)

    def run(self, operands: Operands, training: bool = False) -> tuple[Tensor, ...]:
        """Run the layer forward on inputs and parameters that were taken at some moment."""
        split = len(operands.arrays) - self.n_params
        seed, offset = next_dropout_key() if training and self._draws else (0, 0)
        arrays, saved = self.layer.forward(
            tuple(operands.arrays[:split]),
            tuple(operands.arrays[split:]),
            training=training,
            need_grad=operands.require_grad,
            seed=seed,
            offset=offset,
        )
        outputs = tuple(Tensor(array) for array in arrays)
        if saved is not None:
            self._record(operands, split, saved, outputs)
        return outputs

    def _record(
        self, operands: Operands, split: int, saved: _core.Saved, outputs: Sequence[Tensor]
    ) -> None:
        wanted = [edge is not None for edge in operands.edges]
        shapes = operands.shapes
        no_totals = (None,) * len(wanted)

        def backward(
            *grad_outputs: Array | None, totals: Sequence[Array | None] = no_totals
        ) -> tuple[Array | None, ...]:
            grads = tuple(None if g is None else np.asarray(g, order="C") for g in grad_outputs)
            grad_params = tuple(
                total if want else False
                for want, total in zip(wanted[split:], totals[split:], strict=True)
            )
            of_inputs, of_params = saved.backward(grads, tuple(wanted[:split]), grad_params)
            return tuple(
                None if grad is None or grad is total else grad.reshape(shape)
                for grad, total, shape in zip(
                    (*of_inputs[:split], *of_params), totals, shapes, strict=True
                )
            )

        # The gradient of a table of embeddings needs the ids, and not the table.
        is_table = self.kind == "embedding"
        read = operands.versions[: 1 if is_table else None]
        # A large table of which few rows were read. The sums of other layers would depend on what
        # was there before: their bits, on the order in which gradients arrive.
        about = {"saved": read, "name": self.kind, "owned": True, "adds": is_table}
        record(operands.edges, outputs, backward, **about)

    def __reduce__(self) -> Any:  # for copy.deepcopy of a module
        return _remake, (self.kind, self.config)


def _remake(kind: str, config: dict[str, float]) -> LayerCall:
    return LayerCall(kind, **config)
