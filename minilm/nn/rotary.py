"""Rotary positions: what a query and a key have in common depends on how far apart they are.

Su et al. 2021, https://arxiv.org/abs/2104.09864. Pairs of numbers are points of a plane, each
turned by an angle that grows with the position. As in Hugging Face's Llama, number i is paired with
number ``i + pairs``.
"""

from __future__ import annotations

import numpy as np

from minilm.nn import checks
from minilm.nn.layer_call import LayerCall
from minilm.tensor import Tensor, TensorLike, as_tensor


def rotary_angles(
    positions: TensorLike, inv_freq: TensorLike, scaling: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the angles by which each position is turned.

    Parameters
    ----------
    positions : Tensor
        ``(time,)``, or ``(batch, time)`` where sequences differ: integers.
    inv_freq : Tensor
        ``(pairs,)``: radians a position; Llama's are ``base ** (-2 i / size)``.
    scaling : float
        What both are multiplied by; some ways of stretching the context want it.

    Returns
    -------
    cos, sin : Tensor
        ``(1, time, pairs)`` or ``(batch, time, pairs)``.

    Raises
    ------
    TypeError
        If the positions are not integers.
    ValueError
        If they have another number of axes.
    """
    ids = checks.ids("rotary_angles", "positions", positions)._array
    if ids.ndim not in (1, 2):
        raise ValueError(
            f"rotary_angles: expected positions (time,) or (batch, time), got shape {ids.shape}"
        )
    frequencies = np.asarray(as_tensor(inv_freq)._array, np.float64)
    if frequencies.ndim != 1:
        raise ValueError(
            f"rotary_angles: expected inv_freq (pairs,), got shape {frequencies.shape}"
        )
    # in float64: at position 10000 a float32 would be a thousandth of a radian off
    angles = np.atleast_2d(ids)[..., None] * frequencies
    cos, sin = scaling * np.cos(angles), scaling * np.sin(angles)
    return Tensor(cos.astype(np.float32)), Tensor(sin.astype(np.float32))


def apply_rotary(input: TensorLike, cos: TensorLike, sin: TensorLike) -> Tensor:  # noqa: A002
    """Turn the queries or keys of each position by its angles.

    Parameters
    ----------
    input : Tensor
        ``(batch, heads, time, size)``.
    cos, sin : Tensor
        From `rotary_angles`; ``2 * pairs`` is at most `size`, and what is beyond stays as it is.

    Returns
    -------
    Tensor
        ``(batch, heads, time, size)``.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If something is not float32.
    """
    x = checks.floats("apply_rotary", "input", input)
    if x.dim() != 4:
        raise ValueError(
            f"apply_rotary: expected input (batch, heads, time, size), got shape {x.shape}"
        )
    angles = [checks.floats("apply_rotary", "cos", cos), checks.floats("apply_rotary", "sin", sin)]
    # A projection (batch, time, heads * size) that was cut into heads is read as it lies.
    time_first = x._array.strides[1] < x._array.strides[2]
    call = LayerCall("rotary", heads_first=not time_first)
    output = call([x.transpose(1, 2) if time_first else x, *angles])[0]
    return output.transpose(1, 2) if time_first else output
