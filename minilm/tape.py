"""The tape: what was computed from what, and how gradients flow back through it.

An operation on tensors that require gradients leaves a `Node` behind. It knows where its operands
came from, and how the gradient of its result becomes the gradients of its operands.
`run_backward` walks the nodes from the loss to the leaves, each after all the nodes that used its
result, and adds up what arrives. That is the whole of automatic differentiation.

What a node computes is not its business: rules of single operations are in `minilm.rules`, and a
layer (`minilm.nn`) is one node, whatever it does inside.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from minilm.rules.rule import Array, Backward, Rule
from minilm.rules.sums import add_to

if TYPE_CHECKING:
    from minilm.tensor import Tensor

# --- memory ---------------------------------------------------------------------------------------


class Memory:
    """What all tensors that share one block of memory know in common.

    Attributes
    ----------
    version : int
        How often the values were overwritten through our interface.
    history : int
        How many of these writes were recorded on the tape.
    dependents : weakref.WeakSet or None
        Deferred outputs that still need the present values; see `minilm.nn.deferred`.
    """

    __slots__ = ("dependents", "history", "version")

    def __init__(self) -> None:
        self.version = 0
        self.history = 0
        self.dependents: weakref.WeakSet[Deferred] | None = None

    def add_dependent(self, dependent: Deferred) -> None:
        """Have `dependent` told, while it lives, before the values are overwritten."""
        if self.dependents is None:
            self.dependents = weakref.WeakSet()
        self.dependents.add(dependent)

    def before_write(self) -> None:
        """Let those that need the present values take a copy, and count the write."""
        if self.dependents:
            for dependent in tuple(self.dependents):
                dependent.freeze(self)
        self.version += 1


class Deferred(Protocol):
    """The computation of a tensor whose values nobody has read so far."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def evaluate(self) -> Tensor:
        """Compute the tensor, with its place on the tape."""

    def rearranged(self, tensor: Tensor, rule: Rule, settings: dict[str, Any]) -> Tensor | None:
        """Apply a change of shape to the tensor without computing it; None if that cannot be."""

    def freeze(self, memory: Memory) -> None:
        """Copy what is in this memory: it is about to be overwritten."""


# --- nodes ----------------------------------------------------------------------------------------

Edge: TypeAlias = "tuple[Node, int] | Tensor | None"
"""Where a gradient goes: to an output of a node, to a leaf's ``grad``, or nowhere."""


class Node:
    """One operation on the tape.

    Parameters
    ----------
    parents : sequence of Tensor or Edge
        The operands. Gradients go where a tensor stands on the tape at this moment.
    backward : callable
        ``backward(*grad_outputs)``: takes one array (or None) for each output, and returns one
        array (or None) for each parent.
    n_outputs : int
        How many tensors the operation made.
    saved : sequence of (Memory, int)
        What `backward` reads, and at which version: it must not run after that was overwritten.
    name : str
        What ``grad_fn`` shows.
    owned : bool
        `backward` returns arrays that nobody else holds, so that they may become a leaf's
        ``grad`` without a copy.
    frees : bool
        After one backward pass, `backward` is dropped together with what it keeps alive.
    adds : bool
        `backward` takes ``totals=``, an array or None for each parent: where it adds a gradient to
        such a total itself, it returns None for that parent.
    """

    __slots__ = (
        *("adds", "backward", "edges", "frees", "n_outputs", "name", "number", "owned"),
        *("retained", "saved"),
    )
    _count = 0

    def __init__(
        self,
        parents: Sequence[Edge],
        backward: Backward,
        n_outputs: int = 1,
        *,
        saved: Sequence[tuple[Memory, int]] = (),
        name: str = "",
        owned: bool = False,
        frees: bool = True,
        adds: bool = False,
    ) -> None:
        self.edges: tuple[Edge, ...] = tuple(
            parent if parent is None or isinstance(parent, tuple) else parent._edge()
            for parent in parents
        )
        Node._count += 1
        self.number = Node._count
        self.backward: Backward | None = backward
        self.n_outputs = n_outputs
        self.name = name
        self.owned = owned
        self.frees = frees
        self.adds = adds
        self.saved = saved
        self.retained: list[tuple[int, weakref.ref[Tensor]]] = []

    @classmethod
    def next_number(cls) -> int:
        """Return the number of the node that is made next: they count up."""
        return cls._count + 1

    def run(
        self, grad_outputs: list[Array | None], total: Callable[[Edge], Array | None]
    ) -> tuple[Array | None, ...]:
        """Return the gradients of the parents, but for those that were added to a `total`."""
        if self.backward is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: the values that "
                f"{self.name or 'this operation'} had saved are freed after one backward(). "
                "Call backward(retain_graph=True) the first time, or detach() the tensor that "
                "was carried over from an earlier step (a hidden state, perhaps)."
            )
        for memory, version in self.saved:
            if memory.version != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: {self.name or 'an operation'} saved it at version "
                    f"{version}, and it is at version {memory.version}. Call backward() before "
                    "optimizer.step() and before writing into tensors, or write into a clone()."
                )
        if self.adds:
            return self.backward(*grad_outputs, totals=[total(edge) for edge in self.edges])
        return self.backward(*grad_outputs)

    def free(self) -> None:
        """Drop what was saved for backward."""
        if self.frees:
            self.backward = None

    def __repr__(self) -> str:
        return f"<{self.name or 'Node'}>"


def record(
    parents: Sequence[Edge], outputs: Sequence[Tensor], backward: Backward, **about: Any
) -> None:
    """Put one operation on the tape: `outputs` were made from `parents`.

    Parameters
    ----------
    parents, backward
        As for `Node`.
    outputs : sequence of Tensor
        New tensors, which require gradients from now on.
    **about
        Further arguments of `Node`.
    """
    node = Node(parents, backward, len(outputs), **about)
    for index, output in enumerate(outputs):
        output._node, output._index = node, index
        output._requires_grad = True


# --- backward -------------------------------------------------------------------------------------


def _topological_order(roots: Iterable[Node], stop: Container[Edge]) -> list[Node]:
    """List the nodes that lead to `roots`, each before those that it was made from."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack = [(root, False) for root in roots]
    while stack:  # not a recursion: a tape may be longer than Python's stack
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [
                (edge[0], False)
                for edge in node.edges
                if isinstance(edge, tuple) and edge not in stop
            ]
    return order[::-1]


class GradSums:
    """The gradients of one node's outputs, summed over those who used them.

    Parameters
    ----------
    n_outputs : int
        How many outputs.
    """

    def __init__(self, n_outputs: int) -> None:
        self.arrays: list[Array | None] = [None] * n_outputs
        self._ours = [False] * n_outputs

    def add(self, index: int, grad: Array, owned: bool) -> None:
        """Add to an output's gradient an array, which may be kept and changed if it is `owned`."""
        present = self.arrays[index]
        if present is None:
            self.arrays[index], self._ours[index] = grad, owned
        elif self._ours[index]:
            add_to(present, grad)
        elif owned and grad.dtype == present.dtype:
            add_to(grad, present)
            self.arrays[index], self._ours[index] = grad, True
        else:
            self.arrays[index], self._ours[index] = present + grad, True

    def taken(self, index: int) -> Array | None:
        """Return an output's gradient as an array that nobody else holds."""
        array = self.arrays[index]
        return array if array is None or self._ours[index] else array.copy()


def can_be_added_to(array: Array) -> bool:
    """Tell whether the core can add a gradient to an array as it lies."""
    return array.dtype == np.float32 and array.flags.carray


def run_backward(root: Tensor, gradient: Array, retain_graph: bool) -> None:
    """Send the gradient of `root` back to all leaves.

    Parameters
    ----------
    root : Tensor
        The tensor to differentiate; it requires gradients.
    gradient : ndarray
        The gradient of a loss with respect to it, of its shape.
    retain_graph : bool
        Keep what nodes saved, for another time.
    """

    def deliver(leaf: Edge, grad: Array, owned: bool) -> None:
        assert leaf is not None and not isinstance(leaf, tuple)  # nothing else stops the flow
        if leaf._requires_grad:  # it may have been frozen since
            leaf._accumulate_grad(grad, owned)

    def total(leaf: Edge) -> Array | None:
        return None if leaf is None or isinstance(leaf, tuple) else leaf._grad_total()

    flow_back([(root._edge(), gradient)], deliver, total=total, retain_graph=retain_graph)


def flow_back(
    starts: Iterable[tuple[Edge, Array]],
    deliver: Callable[[Edge, Array, bool], None],
    *,
    total: Callable[[Edge], Array | None] = lambda edge: None,
    stop: Container[Edge] = (),
    retain_graph: bool = False,
) -> None:
    """Send gradients back through the tape.

    Parameters
    ----------
    starts : iterable of (Edge, ndarray)
        Where gradients begin, and which.
    deliver : callable
        ``deliver(edge, grad, owned)`` takes what arrives at a leaf, or where the flow stops; at the
        same place perhaps several times. `owned` arrays are its to keep.
    total : callable
        ``total(edge)`` is an array that a node may add the gradient to itself, or None.
    stop : container of Edge
        Where not to go on, besides leaves.
    retain_graph : bool
        Keep what nodes saved, for another time.
    """
    sums: dict[Node, GradSums] = {}

    def send(edge: Edge, grad: Array, owned: bool) -> None:
        if isinstance(edge, tuple) and edge not in stop:
            node, index = edge
            if node not in sums:
                sums[node] = GradSums(node.n_outputs)
            sums[node].add(index, grad, owned)
        else:
            deliver(edge, grad, owned)

    for start, gradient in starts:
        send(start, gradient, False)
    for node in _topological_order(list(sums), stop):
        if node not in sums:
            continue
        grad_outputs = sums.pop(node).arrays
        for index, reference in node.retained:
            tensor, grad = reference(), grad_outputs[index]
            if tensor is not None and grad is not None:
                tensor._accumulate_grad(grad, owned=False)
        for edge, grad in zip(node.edges, node.run(grad_outputs, total), strict=True):
            if edge is None or grad is None:
                continue
            # Not a NumPy scalar: those cannot be added to in place.
            send(edge, np.asarray(grad), node.owned)
        if not retain_graph:
            node.free()
