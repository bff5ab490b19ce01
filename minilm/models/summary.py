"""What a model is made of: parts, shapes, parameters, work and memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from minilm import _core, nn
from minilm.nn.work import multiply_adds, tensors_of
from minilm.notebook import for_notebook
from minilm.random import get_rng_state, set_rng_state

MIB = 1 << 20
HEAD = ("part", "kind", "output", "parameters", "multiply-adds")
USUAL_TIME = 64


@dataclass(frozen=True)
class Part:
    """One part of a model.

    Attributes
    ----------
    name, kind : str
        Its path, such as ``transformer.h.0``, and its class.
    output : tuple of int or None
        The shape of what it returned; None for a part that was not called.
    parameters : int
        Its own; those of its parts too, if they are not listed. Shared ones count where they
        stand first; where they stand again, `kind` says that they are tied.
    multiply_adds : int
        Of one forward pass over the whole batch, counted as the parameters are.
    """

    name: str
    kind: str
    output: tuple[int, ...] | None
    parameters: int
    multiply_adds: int

    @property
    def cells(self) -> tuple[str, ...]:
        """What stands in the table."""
        shape = "" if self.output is None else str(self.output)
        return self.name, self.kind, shape, f"{self.parameters:,}", f"{self.multiply_adds:,}"


@dataclass(frozen=True)
class Summary:
    """What :func:`summary` found; it prints as a table, and shows as one in a notebook.

    Attributes
    ----------
    batch_size, time : int
        What the model was given.
    parts : tuple of Part
        In the order in which they are registered. Their numbers add up to the totals.
    parameters, trainable : int
        All parameters, shared ones once, and those that learn.
    activations : int
        Bytes that a forward pass in training keeps for the backward pass, as measured.
    """

    batch_size: int
    time: int
    parts: tuple[Part, ...]
    parameters: int
    trainable: int
    activations: int

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass; each is two floating-point operations."""
        return sum(part.multiply_adds for part in self.parts)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the parameters; gradients take as many, and Adam's moments twice as many."""
        return 4 * self.parameters

    def lines(self) -> list[str]:
        """Return what stands below the table."""
        tokens = self.batch_size * self.time
        frozen = self.parameters - self.trainable
        learning = 4 * self.trainable / MIB
        return [
            f"parameters  {self.parameters:,}" + (f", {frozen:,} of them frozen" if frozen else ""),
            f"work        {_short(self.multiply_adds)} multiply-adds forward, "
            f"{_short(self.multiply_adds / tokens)} a token; a training step takes three times as "
            "many",
            f"memory      weights {self.weight_bytes / MIB:.3g} MiB, gradients {learning:.3g}, "
            f"Adam {2 * learning:.3g}, activations of {self.batch_size} x {self.time} tokens "
            f"{self.activations / MIB:.3g}",
        ]

    def __str__(self) -> str:
        rows = [HEAD, *(part.cells for part in self.parts)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:], rule, *self.lines()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in HEAD)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in part.cells) + "</tr>"
            for part in self.parts
        )
        below = "".join(f"<code>{escape(line)}</code><br>" for line in self.lines())
        return for_notebook(f'<table class="epochs"><tr>{head}</tr>{body}</table>{below}')


def _aligned(cells: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    """Put words to the left and numbers to the right."""
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        yield cell.ljust(width) if place < 3 else cell.rjust(width)


def _short(count: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return f"{count:.3g}"


def summary(
    model: nn.Module, batch_size: int = 1, time: int | None = None, depth: int | None = None
) -> Summary:
    """Run a model once, and say what it is made of.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits, or to an output that has them. It is left as it was.
    batch_size : int
        Sequences of the batch.
    time : int, optional
        Tokens of each; by default 64, or as many as the model can read if that is less.
    depth : int, optional
        Parts that are nested deeper are told with those that hold them. By default that is so for
        the blocks of a list, as transformers have them: a line each.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        If a size is not positive.

    Examples
    --------
    >>> print(summary(RNNModel(vocab_size=65, embed_size=32, hidden_size=64)))
    """
    longest = getattr(model, "max_length", None) or USUAL_TIME
    time = min(USUAL_TIME, longest) if time is None else time
    for what, size in (("batch_size", batch_size), ("time", time), ("depth", depth)):
        if size is not None and size < 1:
            raise ValueError(f"summary: expected {what} of at least 1, got {size}")
    calls = _Calls(model)
    with _as_it_was(model), calls.watched():
        before = _core.buffer_stats()["used"]
        output = model(np.zeros((batch_size, time), np.int64))
        for tensor in tensors_of(output):
            tensor.detach()  # logits are not computed before somebody asks for them
        activations = max(_core.buffer_stats()["used"] - before, 0)
        del output
    parameters = list(model.parameters())
    return Summary(
        batch_size,
        time,
        tuple(calls.parts(depth)),
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        activations,
    )


class _Calls:
    """What the parts of a model returned when it ran."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._shapes: dict[nn.Module, tuple[int, ...] | None] = {}
        self._work: dict[nn.Module, int] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note the calls within the block."""
        with ExitStack() as stack:
            for module in self._model.modules():
                stack.enter_context(module.register_forward_hook(self._note))
            yield

    def _note(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        first = next(tensors_of(output), None)
        self._shapes[module] = None if first is None else first.shape
        self._work[module] = self._work.get(module, 0) + multiply_adds(module, output)

    def parts(self, depth: int | None) -> Iterator[Part]:
        """Yield the parts that have something of their own to say."""
        closed: set[nn.Module] = set()  # told with those that hold them
        counted: set[nn.Parameter] = set()
        for name, module in self._model.named_modules():
            if module in closed:
                continue
            level = name.count(".") + 1 if name else 0
            is_whole = level == depth
            if depth is None and isinstance(module, nn.ModuleList):
                blocks = [block for block in module.children() if block not in closed]
                for number, block in enumerate(blocks):
                    yield self._part(f"{name}.{number}", block, list(block.modules()), counted)
                    closed.update(block.modules())
                continue
            inside = list(module.modules()) if is_whole else [module]
            closed.update(inside)
            part = self._part(name or "(itself)", module, inside, counted)
            is_leaf = next(module.children(), None) is None
            if part.parameters or part.multiply_adds or (is_leaf and part.output):
                yield part

    def _part(
        self, name: str, module: nn.Module, inside: list[nn.Module], counted: set[nn.Parameter]
    ) -> Part:
        own = {p: None for one in inside for p in one.parameters(recurse=False)}
        shared = any(p in counted for p in own)
        sizes = sum(p.numel() for p in own if p not in counted)
        counted.update(own)
        work = sum(self._work.get(one, 0) for one in inside)
        kind = type(module).__name__ + (" (tied)" if shared else "")
        return Part(name, kind, self._shapes.get(module), sizes, work)


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Train within the block; afterwards, modes and random numbers are those of before."""
    modes = [(module, module.training) for module in model.modules()]
    state = get_rng_state()
    try:
        model.train()
        yield
    finally:
        set_rng_state(state)
        for module, mode in modes:
            module.training = mode
        if hasattr(model, "penalty"):
            model.penalty()  # which the forward pass prepared
