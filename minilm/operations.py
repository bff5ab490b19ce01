"""Operations as functions: ``minilm.exp(x)`` for ``x.exp()``, and those that join tensors.

Arithmetic and gradients are in `minilm.rules`, descriptions of arguments in `minilm.methods`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from minilm.rules import elementwise, shapes
from minilm.tensor import Tensor, TensorLike, apply, as_tensor

P = ParamSpec("P")
R = TypeVar("R")


def _function(
    method: Callable[Concatenate[Tensor, P], R],
) -> Callable[Concatenate[TensorLike, P], R]:
    """Make a function of a method; its first argument may be an array or a number as well."""

    @functools.wraps(method)
    def function(input: TensorLike, /, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: A002
        return method(as_tensor(input), *args, **kwargs)

    return function


add = _function(Tensor.add)
sub = _function(Tensor.sub)
mul = _function(Tensor.mul)
div = _function(Tensor.div)
pow = _function(Tensor.pow)  # noqa: A001
neg = _function(Tensor.neg)
matmul = _function(Tensor.matmul)
mm = _function(Tensor.mm)
bmm = _function(Tensor.bmm)
exp = _function(Tensor.exp)
log = _function(Tensor.log)
sqrt = _function(Tensor.sqrt)
sin = _function(Tensor.sin)
cos = _function(Tensor.cos)
tanh = _function(Tensor.tanh)
sigmoid = _function(Tensor.sigmoid)
relu = _function(Tensor.relu)
abs = _function(Tensor.abs)  # noqa: A001
clamp = _function(Tensor.clamp)
maximum = _function(Tensor.maximum)
minimum = _function(Tensor.minimum)
masked_fill = _function(Tensor.masked_fill)
isnan = _function(Tensor.isnan)
isfinite = _function(Tensor.isfinite)
equal = _function(Tensor.equal)
allclose = _function(Tensor.allclose)

sum = _function(Tensor.sum)  # noqa: A001
mean = _function(Tensor.mean)
var = _function(Tensor.var)
std = _function(Tensor.std)
norm = _function(Tensor.norm)
max = _function(Tensor.max)  # noqa: A001
min = _function(Tensor.min)  # noqa: A001
amax = _function(Tensor.amax)
amin = _function(Tensor.amin)
argmax = _function(Tensor.argmax)
argmin = _function(Tensor.argmin)
argsort = _function(Tensor.argsort)
sort = _function(Tensor.sort)
topk = _function(Tensor.topk)
any = _function(Tensor.any)  # noqa: A001
all = _function(Tensor.all)  # noqa: A001
cumsum = _function(Tensor.cumsum)
softmax = _function(Tensor.softmax)
log_softmax = _function(Tensor.log_softmax)

permute = _function(Tensor.permute)
transpose = _function(Tensor.transpose)
reshape = _function(Tensor.reshape)
flatten = _function(Tensor.flatten)
squeeze = _function(Tensor.squeeze)
unsqueeze = _function(Tensor.unsqueeze)
split = _function(Tensor.split)
chunk = _function(Tensor.chunk)
unbind = _function(Tensor.unbind)
gather = _function(Tensor.gather)
index_select = _function(Tensor.index_select)
scatter = _function(Tensor.scatter)
flip = _function(Tensor.flip)
tril = _function(Tensor.tril)
triu = _function(Tensor.triu)
clone = _function(Tensor.clone)
detach = _function(Tensor.detach)
numel = _function(Tensor.numel)


def cat(tensors: Sequence[TensorLike], dim: int = 0) -> Tensor:
    """Join tensors along an axis that they have.

    Parameters
    ----------
    tensors : sequence of Tensor
        Equal in shape except along `dim`.
    dim : int
        The axis along which they are laid end to end.

    Raises
    ------
    ValueError
        If the sequence is empty, or shapes differ along another axis.
    """
    if not len(tensors):
        raise ValueError("cat: expected at least one tensor")
    joined: Tensor = apply(shapes.cat, *map(as_tensor, tensors), dim=dim)
    return joined


def stack(tensors: Sequence[TensorLike], dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis at position `dim`.

    Raises
    ------
    ValueError
        If the sequence is empty, or the shapes differ.
    """
    together = [as_tensor(tensor) for tensor in tensors]
    if not together:
        raise ValueError("stack: expected at least one tensor")
    different = next((t.shape for t in together if t.shape != together[0].shape), None)
    if different is not None:
        raise ValueError(
            f"stack: all tensors must have one shape, got {together[0].shape} and {different}; "
            "sequences of different lengths must be cut or padded first"
        )
    return cat([tensor.unsqueeze(dim) for tensor in together], dim)


def where(condition: TensorLike, input: TensorLike, other: TensorLike) -> Tensor:  # noqa: A002
    """Take elements of `input` where `condition` is true, of `other` elsewhere."""
    chosen: Tensor = apply(elementwise.where, condition, input, other)
    return chosen


def outer(input: TensorLike, vec2: TensorLike) -> Tensor:  # noqa: A002
    """Multiply each element of a vector ``(n,)`` with each of another ``(m,)``: ``(n, m)``."""
    return as_tensor(input).unsqueeze(-1) * as_tensor(vec2).unsqueeze(0)
