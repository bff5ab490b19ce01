"""Layers as functions: they are given their parameters instead of keeping them.

Whole layers run in the C core, in float32; losses are in `minilm.nn.losses`, attention in
`minilm.nn.dot_product`, rotary positions in `minilm.nn.rotary`, linear recurrences in
`minilm.nn.scan`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minilm import _core
from minilm.nn import checks
from minilm.nn.deferred import (
    MIN_DEFERRED_BYTES,
    MIN_DEFERRED_CLASSES,
    defer_embedding,
    defer_linear,
)
from minilm.nn.dot_product import attention as attention
from minilm.nn.dot_product import packed_attention as packed_attention
from minilm.nn.dot_product import scaled_dot_product_attention as scaled_dot_product_attention
from minilm.nn.layer_call import LayerCall, Operands
from minilm.nn.losses import cross_entropy as cross_entropy
from minilm.nn.losses import mse_loss as mse_loss
from minilm.nn.losses import nll_loss as nll_loss
from minilm.nn.penalties import activation_regularization as activation_regularization
from minilm.nn.penalties import (
    temporal_activation_regularization as temporal_activation_regularization,
)
from minilm.nn.rotary import apply_rotary as apply_rotary
from minilm.nn.rotary import rotary_angles as rotary_angles
from minilm.nn.scan import parallel_scan as parallel_scan
from minilm.tensor import Tensor, TensorLike, as_tensor

# --- layers with parameters -----------------------------------------------------------------------


def linear(input: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:  # noqa: A002
    """Apply ``y = x W^T + b`` to the last axis.

    Parameters
    ----------
    input : Tensor
        ``(..., in_features)``.
    weight : Tensor
        ``(out_features, in_features)``.
    bias : Tensor, optional
        ``(out_features,)``.

    Returns
    -------
    Tensor
        ``(..., out_features)``. A large one is computed when it is first read: see
        `minilm.nn.deferred`.

    Raises
    ------
    ValueError
        If the last axis of `input` is not `in_features` long, or a parameter has another shape.
    TypeError
        If something is not float32.
    """
    params = [checks.matrix("linear", "weight", weight, "(out_features, in_features)")]
    out_features, in_features = params[0].shape
    if bias is not None:
        params.append(checks.floats("linear", "bias", bias))
        if params[1].shape != (out_features,):
            raise ValueError(
                f"linear: expected bias (out_features={out_features},), got shape {params[1].shape}"
            )
    x = checks.floats("linear", "input", input)
    checks.last_axis("linear", "input", x, "(..., in_features", in_features)
    call = LayerCall(
        "linear", in_features=in_features, out_features=out_features, bias=bias is not None
    )
    operands = Operands.now([x, *params])
    size = 4 * math.prod(x.shape[:-1]) * out_features
    large = size > MIN_DEFERRED_BYTES and out_features >= MIN_DEFERRED_CLASSES
    # The core refuses parameters that are not contiguous, and should do so at once.
    if large and all(parameter.is_contiguous() for parameter in params):
        return defer_linear(call, operands)
    return call.run(operands)[0]


def embedding(
    input: TensorLike,  # noqa: A002
    weight: TensorLike,
    padding_idx: int | None = None,
) -> Tensor:
    """Look up a vector for each id.

    Parameters
    ----------
    input : Tensor
        Ids ``(...)``, integers.
    weight : Tensor
        The table ``(num_embeddings, embedding_dim)``.
    padding_idx : int, optional
        The id whose vector gets no gradient.

    Returns
    -------
    Tensor
        ``(..., embedding_dim)``. Of more ids than there are rows in the table, it is computed when
        it is first read: see `minilm.nn.deferred`.

    Raises
    ------
    TypeError
        If the ids are not integers.
    IndexError
        If an id is outside the table: the message gives the id, its position and the range.
    """
    ids = checks.ids("embedding", "input", input)
    table = checks.matrix("embedding", "weight", weight, "(num_embeddings, embedding_dim)")
    rows, columns = table.shape
    if padding_idx is not None and padding_idx < 0:
        padding_idx += rows
    call = LayerCall(
        "embedding",
        num_embeddings=rows,
        embedding_dim=columns,
        padding_idx=-1 if padding_idx is None else padding_idx,
    )
    operands = Operands.now([ids, table])
    values = ids._array
    # An id outside the table is to be refused at once, and so are weights that are not contiguous.
    if (
        values.size >= rows
        and padding_idx is None
        and 0 <= values.min()
        and values.max() < rows
        and table.is_contiguous()
    ):
        return defer_embedding(call, operands)
    return call.run(operands)[0]


def layer_norm(
    input: TensorLike,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Bring the last axes to mean 0 and variance 1, then scale by `weight` and shift by `bias`.

    Parameters
    ----------
    input : Tensor
        ``(..., *normalized_shape)``.
    normalized_shape : sequence of int
        The lengths of the axes that are normalized together.
    weight, bias : Tensor, optional
        ``normalized_shape``.
    eps : float
        Added to the variance.

    Raises
    ------
    ValueError
        If the last axes of `input` have other lengths.
    """
    x, shape = _flattened("layer_norm", input, normalized_shape)
    if weight is None and bias is not None:
        raise ValueError("layer_norm: a bias needs a weight")
    size = (x.shape[-1],)
    params = [_shaped(as_tensor(part), size) for part in (weight, bias) if part is not None]
    call = LayerCall(
        "layernorm",
        normalized_size=x.shape[-1],
        eps=eps,
        affine=weight is not None,
        bias=bias is not None,
    )
    return _shaped(call([x], params)[0], shape)


def rms_norm(
    input: TensorLike,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: TensorLike | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root mean square of the last axes, then scale by `weight`.

    Parameters
    ----------
    input : Tensor
        ``(..., *normalized_shape)``.
    normalized_shape : sequence of int
        The lengths of the axes that are normalized together.
    weight : Tensor, optional
        ``normalized_shape``.
    eps : float, optional
        Added to the mean square; by default ``2**-23``, the spacing of float32 at 1.

    Raises
    ------
    ValueError
        If the last axes of `input` have other lengths.
    """
    x, shape = _flattened("rms_norm", input, normalized_shape)
    params = [] if weight is None else [_shaped(as_tensor(weight), (x.shape[-1],))]
    settings = {} if eps is None else {"eps": eps}
    call = LayerCall("rmsnorm", normalized_size=x.shape[-1], affine=weight is not None, **settings)
    return _shaped(call([x], params)[0], shape)


def _flattened(
    name: str, value: TensorLike, normalized_shape: Sequence[int]
) -> tuple[Tensor, tuple[int, ...]]:
    """Bring the axes that are normalized together into one; return the old shape, too."""
    x = checks.floats(name, "input", value)
    shape = tuple(normalized_shape)
    kept = len(x.shape) - len(shape)
    if kept < 0 or x.shape[kept:] != shape:
        raise ValueError(f"{name}: expected input whose last axes are {shape}, got shape {x.shape}")
    return _shaped(x, (*x.shape[:kept], math.prod(shape))), x.shape


def _shaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reshape, without a place on the tape where that changes nothing."""
    return x if x.shape == shape else x.reshape(shape)


# --- functions of each element --------------------------------------------------------------------


def _activate(function: str, input: TensorLike) -> Tensor:  # noqa: A002
    call = LayerCall("activation", function=_core.ACTIVATIONS[function])
    return call([checks.floats(function, "input", input)])[0]


def tanh(input: TensorLike) -> Tensor:  # noqa: A002
    """Return the hyperbolic tangent of each element."""
    return _activate("tanh", input)


def sigmoid(input: TensorLike) -> Tensor:  # noqa: A002
    """Return ``1 / (1 + exp(-x))`` of each element."""
    return _activate("sigmoid", input)


def relu(input: TensorLike) -> Tensor:  # noqa: A002
    """Return ``max(x, 0)`` of each element."""
    return _activate("relu", input)


def silu(input: TensorLike) -> Tensor:  # noqa: A002
    """Return ``x sigmoid(x)`` of each element."""
    return _activate("silu", input)


def gelu(input: TensorLike, approximate: str = "none") -> Tensor:  # noqa: A002
    """Return ``x P(X <= x)``, X normally distributed, of each element.

    Parameters
    ----------
    input : Tensor
        Any shape.
    approximate : {"none", "tanh"}
        The exact function, or the formula with tanh that GPT-2 uses.

    Raises
    ------
    ValueError
        If `approximate` is neither.
    """
    functions = {"none": "gelu", "tanh": "gelu_tanh"}
    if approximate not in functions:
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return _activate(functions[approximate], input)


def dropout(input: TensorLike, p: float = 0.5, training: bool = True) -> Tensor:  # noqa: A002
    """Set each element to 0 with probability `p`, and multiply the others by ``1 / (1 - p)``.

    Parameters
    ----------
    input : Tensor
        Any shape.
    p : float
        The probability.
    training : bool
        If False, return the input.

    Raises
    ------
    ValueError
        If `p` is not between 0 and 1.
    """
    checks.probability("dropout", p)
    x = checks.floats("dropout", "input", input)
    if not training or p == 0:
        return x
    return LayerCall("dropout", p=p)([x], training=True)[0]


def softmax(input: TensorLike, dim: int) -> Tensor:  # noqa: A002
    """Turn scores into probabilities along `dim`: ``exp(x) / sum(exp(x))``."""
    return as_tensor(input).softmax(dim)


def log_softmax(input: TensorLike, dim: int) -> Tensor:  # noqa: A002
    """Return the logarithm of `softmax` along `dim`, without loss of precision."""
    return as_tensor(input).log_softmax(dim)


def one_hot(tensor: TensorLike, num_classes: int = -1) -> Tensor:
    """Return for each id a vector that is 1 at that place and 0 elsewhere.

    Parameters
    ----------
    tensor : Tensor
        Ids ``(...)``, integers from 0.
    num_classes : int
        The length of the vectors; by default the largest id and 1.

    Returns
    -------
    Tensor
        ``(..., num_classes)``, int64.

    Raises
    ------
    IndexError
        If an id is negative or not below `num_classes`.
    """
    ids = checks.ids("one_hot", "tensor", tensor)._array
    if num_classes == -1:
        num_classes = int(ids.max(initial=-1)) + 1
    if ids.size and not (ids.min() >= 0 and ids.max() < num_classes):
        raise IndexError(
            f"one_hot: ids from {ids.min()} to {ids.max()} are not all in 0 to {num_classes - 1}"
        )
    return Tensor((ids[..., None] == np.arange(num_classes)).astype(np.int64))
