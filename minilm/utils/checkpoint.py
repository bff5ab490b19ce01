"""Activation recomputation: what backward needs is computed again, instead of kept.

A stretch of a model that is run through `checkpoint` leaves one node on the tape, which keeps the
arguments and nothing of what was computed inside. When gradients arrive, the stretch runs again,
with the same random numbers, and they flow back through that. It costs one more forward pass and
saves the memory of all activations but those between stretches (Chen et al. 2016, *Training Deep
Nets with Sublinear Memory Cost*, https://arxiv.org/abs/1604.06174).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from minilm.grad_mode import enable_grad, is_grad_enabled
from minilm.random import get_rng_state, set_rng_state
from minilm.rules.rule import Array
from minilm.tape import Edge, GradSums, Memory, Node, can_be_added_to, flow_back, record
from minilm.tensor import Tensor


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Call a function without keeping what its backward needs; that calls it again.

    The gradients are those of the plain call, bit for bit: of the arguments, of parameters, and of
    whatever else the function reads.

    Parameters
    ----------
    function : callable
        A module, say. Called twice with the same arguments, it must do the same; what it writes
        elsewhere, it writes twice.
    *args, **kwargs
        What to call it with.
    use_reentrant : bool
        Accepted for code written for PyTorch; without effect.
    preserve_rng_state : bool
        Whether the second call draws the random numbers of the first, as dropout must.

    Returns
    -------
    object
        What `function` returned: a tensor, or tuples, lists and dictionaries of tensors.

    Raises
    ------
    RuntimeError
        In backward, if the second call did not return what the first did, or a tensor that it reads
        was written to in between.

    Examples
    --------
    >>> for block in blocks:
    ...     x = checkpoint(block, x)
    """
    if not is_grad_enabled():
        return function(*args, **kwargs)
    for given in (*_tensors_in(args), *_tensors_in(kwargs)):
        _ = given._array  # what is computed only when read belongs to what came before
    state = get_rng_state() if preserve_rng_state else None
    first = Node.next_number()
    outputs = function(*args, **kwargs)
    made = [tensor for tensor in _tensors_in(outputs) if _made_since(tensor, first)]
    if not made:
        return outputs
    shapes = [tensor.shape for tensor in made]
    parents, saved = _what_is_read([tensor._edge() for tensor in made], first)

    def backward(*grads: Array | None, totals: Sequence[Array | None]) -> tuple[Array | None, ...]:
        start = Node.next_number()
        with _random_numbers_of(state), enable_grad():
            again = function(*args, **kwargs)
        remade = [tensor for tensor in _tensors_in(again) if _made_since(tensor, start)]
        if [tensor.shape for tensor in remade] != shapes:
            raise RuntimeError(
                f"checkpoint: called again in backward, {_name_of(function)} returned tensors of "
                f"the shapes {[tensor.shape for tensor in remade]}, before {shapes}: it must do "
                "the same each time, whatever changed since (a mode, a cache, a counter)"
            )
        sums = {edge: GradSums(1) for edge in parents}
        for edge, given in zip(parents, totals, strict=True):
            if given is not None:  # what is added to it here, in the order that it would have been
                sums[edge].add(0, given, owned=True)

        def deliver(edge: Edge, grad: Array, owned: bool) -> None:
            if edge in sums:
                is_leaf = not isinstance(edge, tuple)  # whose grad would be a copy, too
                sums[edge].add(0, grad.copy() if is_leaf and not owned else grad, owned or is_leaf)

        def total(edge: Edge) -> Array | None:
            if edge not in sums or isinstance(edge, tuple):
                return None
            array = sums[edge].arrays[0]
            return array if array is not None and can_be_added_to(array) else None

        edges = [tensor._edge() for tensor in remade]
        arrived = [(e, g) for e, g in zip(edges, grads, strict=True) if g is not None]
        del again, remade, edges
        flow_back(arrived, deliver, total=total, stop=sums)
        return tuple(
            each.taken(0) if given is None else None
            for each, given in zip(sums.values(), totals, strict=True)
        )

    fresh = {id(tensor): Tensor(tensor._array) for tensor in made}
    about = {"saved": saved, "name": "checkpoint", "owned": True, "adds": True}
    record(parents, list(fresh.values()), backward, **about)
    return _replaced(outputs, fresh)


def _made_since(tensor: Tensor, number: int) -> bool:
    edge = tensor._edge()
    return isinstance(edge, tuple) and edge[0].number >= number


def _what_is_read(edges: Sequence[Edge], first: int) -> tuple[list[Edge], list[tuple[Memory, int]]]:
    """Follow the tape from `edges` back to where it was before the node of number `first`.

    Returns
    -------
    outside : list of Edge
        Where gradients leave the stretch, each once.
    saved : list of (Memory, int)
        What its nodes read, and at which version.
    """
    outside: dict[Edge, None] = {}
    inside: dict[Node, None] = {}
    ahead = list(edges)
    while ahead:
        edge = ahead.pop()
        if edge is None or edge in outside:
            continue
        if not isinstance(edge, tuple) or edge[0].number < first:
            outside[edge] = None
        elif edge[0] not in inside:
            inside[edge[0]] = None
            ahead += edge[0].edges
    return list(outside), [version for node in inside for version in node.saved]


@contextmanager
def _random_numbers_of(state: Tensor | None) -> Iterator[None]:
    """Draw from where `state` stands inside the block, and afterwards from where it was."""
    if state is None:
        yield
        return
    now = get_rng_state()
    set_rng_state(state)
    try:
        yield
    finally:
        set_rng_state(now)


def _tensors_in(value: Any) -> list[Tensor]:
    """List the tensors of tuples, lists and dictionaries, each once."""
    found: dict[int, Tensor] = {}

    def visit(part: Any) -> Any:
        if isinstance(part, Tensor):
            found[id(part)] = part
        return part

    _mapped(visit, value)
    return list(found.values())


def _replaced(value: Any, tensors: dict[int, Tensor]) -> Any:
    return _mapped(lambda part: tensors.get(id(part), part), value)


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to all that is not a tuple, a list or a dictionary."""
    if isinstance(value, dict):
        return type(value)((key, _mapped(function, part)) for key, part in value.items())
    if isinstance(value, (tuple, list)):
        parts = [_mapped(function, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return function(value)


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
