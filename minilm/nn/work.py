"""How much a module multiplies: what its parts do is not counted, they are asked themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from minilm.nn.module import Module
from minilm.tensor import Tensor


def multiply_adds(module: Module, output: Any) -> int:
    """Return the multiply-adds of one forward call of a module, those of its parts left out.

    Each vector of the output met each matrix that the module itself has, once. A module of which
    that is not true says it with a method ``multiply_adds(output)``. Work on single numbers, such
    as activations and norms, does not count.

    Parameters
    ----------
    module : Module
        What was called.
    output : object
        What it returned: a tensor ``(..., width)``, or a tuple or output that begins with one.

    Returns
    -------
    int
    """
    if hasattr(module, "multiply_adds"):
        work: int = module.multiply_adds(output)
        return work
    return matrix_multiply_adds(module, output)


def matrix_multiply_adds(module: Module, output: Any) -> int:
    """Return the multiply-adds of each vector of the output with each matrix of the module."""
    matrices = sum(p.numel() for p in module.parameters(recurse=False) if p.dim() == 2)
    first = next(tensors_of(output), None)
    return 0 if first is None else matrices * math.prod(first.shape[:-1])


def attention_multiply_adds(output: Any, causal: bool = False, batch_first: bool = True) -> int:
    """Return the multiply-adds of attention to itself: scores, and the means of the values.

    Parameters
    ----------
    output : object
        Begins with a tensor ``(batch, time, width)``.
    causal : bool
        Whether a query sees only the keys up to its own.
    batch_first : bool
        Whether axes come in this order, and not with the time first.

    Returns
    -------
    int
    """
    *leading, width = next(tensors_of(output)).shape
    batch, time = ([1] * (2 - len(leading)) + leading)[
        :: 1 if batch_first or len(leading) < 2 else -1
    ]
    seen = time * (time + 1) // 2 if causal else time * time
    return 2 * batch * width * seen


def tensors_of(output: Any) -> Iterator[Tensor]:
    """Yield the tensors of an output, in order."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (tuple, list)) or hasattr(output, "to_tuple"):
        for part in output if isinstance(output, (tuple, list)) else output.to_tuple():
            yield from tensors_of(part)
