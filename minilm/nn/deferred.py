"""Outputs of layers that are computed when they are read, if they are read at all.

The last layer of a language model maps every position to one score for each word: for 1120
positions and 12000 words, 54 MB of logits, which the loss reads once, and whose gradient is as
large again. But head and loss can be computed together, some rows at a time, in a buffer that
stays in the cache (layer ``linear_cross_entropy`` of the core). So that the usual two lines,

    outputs = model(inputs)
    loss = criterion(outputs.transpose(1, 2), targets)

can do that, `linear` does not compute a large result. It returns a tensor that knows how it would
be computed. Whoever reads the values gets them computed, with a place on the tape, as if it had
been done at once. `transpose`, `view` and their like only note what they would do, as long as
the rows keep their order. `cross_entropy` asks `head_of` whether its logits are still such a
promise, and then takes the inputs of the head in their place.

An embedding's output is such a promise, too: a recurrent layer that takes it asks `lookup_of` for
the ids and the table, and where there are fewer rows in the table than ids, as with characters, it
projects each row once instead of each position. The layer then reads the table again in its
backward, so a write into the table between the two is refused, as one into any of its weights is.

A promise must be kept even if the weights change first: ``optimizer.step()`` overwrites them while
``outputs`` of this step may still be around. So a deferred output is registered, weakly, with the
memory that it depends on. Whoever overwrites that memory announces it (`Tensor._before_write`),
and the deferred output, if it is still alive, copies the old values and is computed from these, or
is computed there and then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm import _core
from minilm.grad_mode import is_grad_enabled, set_grad_enabled
from minilm.nn.layer_call import LayerCall, Operands
from minilm.nn.layout import Layout
from minilm.rules import shapes
from minilm.rules.rule import Rule
from minilm.tensor import Memory, Tensor, apply

# Below this size the logits and their gradient stay in a core's L2 cache, so that computing them
# at once costs nothing; copying the weights when they change would cost more.
MIN_DEFERRED_BYTES = 1 << 20
# Head and loss in one share the classes among the threads: there must be some for each.
MIN_DEFERRED_CLASSES = 512


class _Deferred:
    """What a deferred tensor knows of itself."""

    dtype = np.dtype(np.float32)

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.shape = layout.shape

    def rearranged(self, tensor: Tensor, rule: Rule, settings: dict[str, Any]) -> Tensor | None:
        """Apply a change of shape without computing; None where that is not possible."""
        if rule is shapes.permute:
            layout = self.layout.permuted(settings["dims"])
        elif rule is shapes.reshape or rule is shapes.view:
            layout = self.layout.reshaped(settings["shape"])
        else:
            return None
        if layout is None:
            return None
        view = DeferredView(tensor, rule, settings, layout)
        return Tensor._defer(view, tensor.requires_grad and is_grad_enabled())

    def freeze(self, memory: Memory) -> None:
        """Copy what is in this memory: it is about to be overwritten."""


class DeferredLinear(_Deferred):
    """``y = x W^T + b``, not computed so far."""

    def __init__(self, call: LayerCall, operands: Operands) -> None:
        lead = operands.shapes[0][:-1]
        super().__init__(Layout(lead, int(call.config["out_features"]), len(lead)))
        self._call = call
        self.operands = operands
        self._unchanged = {memory for memory, _ in operands.versions}
        for memory in self._unchanged:
            memory.add_dependent(self)

    def freeze(self, memory: Memory) -> None:
        """Copy what is in this memory: it is about to be overwritten."""
        if memory not in self._unchanged:
            return
        self._unchanged.remove(memory)
        for i, (owner, _) in enumerate(self.operands.versions):
            if owner is memory:
                copy = _core.empty(self.operands.shapes[i])  # from memory that is used again
                np.copyto(copy, self.operands.arrays[i])  # type: ignore[arg-type]
                self.operands.arrays[i] = copy

    def evaluate(self) -> Tensor:
        """Compute the tensor, with its place on the tape."""
        return self._call.run(self.operands)[0]


class DeferredView(_Deferred):
    """A deferred tensor with its axes in another order, or its rows grouped otherwise."""

    def __init__(self, base: Tensor, rule: Rule, settings: dict[str, Any], layout: Layout) -> None:
        super().__init__(layout)
        self.base = base
        self._rule = rule
        self._settings = settings
        self._recorded = is_grad_enabled()

    def evaluate(self) -> Tensor:
        """Compute the tensor, with its place on the tape."""
        _ = self.base._array  # from here on `apply` finds nothing deferred
        with set_grad_enabled(self._recorded):
            view: Tensor = apply(self._rule, self.base, **self._settings)
        return view


def defer_linear(call: LayerCall, operands: Operands) -> Tensor:
    """Return the output of a linear layer, to be computed when it is read."""
    return Tensor._defer(DeferredLinear(call, operands), operands.require_grad)


class DeferredEmbedding:
    """``y[n] = W[id[n]]``, not computed so far."""

    dtype = np.dtype(np.float32)

    def __init__(self, call: LayerCall, operands: Operands) -> None:
        self._call = call
        self.operands: Operands | None = operands  # ids, table; None once the rows were looked up
        self._rows: Tensor | None = None
        ids, table = operands.shapes
        self.shape = (*ids, table[1])
        for memory, _ in operands.versions:
            memory.add_dependent(self)

    def rearranged(self, tensor: Tensor, rule: Rule, settings: dict[str, Any]) -> Tensor | None:
        """Return None: whoever wants another shape gets the rows computed."""
        return None

    def freeze(self, memory: Memory) -> None:
        """Look the rows up: the table is about to be overwritten, or the tensor of ids."""
        self.evaluate()

    def evaluate(self) -> Tensor:
        """Compute the tensor, with its place on the tape."""
        if self._rows is None:
            assert self.operands is not None
            self._rows = self._call.run(self.operands)[0]
            self.operands = None
        return self._rows


def defer_embedding(call: LayerCall, operands: Operands) -> Tensor:
    """Return the output of an embedding, to be computed when it is read.

    The ids are copied: an array of NumPy's may be written to without notice, and what is written
    then was not checked against the table.
    """
    operands.arrays[0] = np.array(operands.arrays[0])
    return Tensor._defer(DeferredEmbedding(call, operands), operands.require_grad)


def lookup_of(vectors: Tensor) -> Operands | None:
    """Return the ids and the table that vectors would be looked up from.

    None if they were looked up already, or if they do not stand on the tape as those do.
    """
    deferred = vectors._deferred
    if not isinstance(deferred, DeferredEmbedding) or deferred.operands is None:
        return None
    return deferred.operands if _stands_with(vectors, deferred.operands) else None


def head_of(logits: Tensor) -> Operands | None:
    """Return what logits (rows, classes) would be computed from.

    None if they were computed already, or if they do not stand on the tape as that does.
    """
    deferred = logits._deferred
    while isinstance(deferred, DeferredView):
        deferred = deferred.base._deferred
    if not isinstance(deferred, DeferredLinear):
        return None
    return deferred.operands if _stands_with(logits, deferred.operands) else None


def _stands_with(tensor: Tensor, operands: Operands) -> bool:
    """Tell whether gradients of a deferred tensor are those of its operands, and nothing else.

    They are not where the tensor was cut from the tape, and where it was made a leaf: then its own
    gradient is asked for.
    """
    return not is_grad_enabled() or operands.require_grad == tensor.requires_grad
