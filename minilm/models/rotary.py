"""By which angles rotary positions turn queries and keys: the settings of a configuration.

`minilm.nn.rotary` turns them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minilm.models import values

DEFAULT_THETA = 10000.0
# Each type of scaling, and the numbers that it needs.
TYPES = {
    "default": (),
    "linear": ("factor",),
    "llama3": (
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    ),
}


def with_parameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Bring ``rope_theta`` and ``rope_scaling`` of older files into ``rope_parameters``.

    Parameters
    ----------
    settings : mapping
        Those of a configuration.

    Returns
    -------
    dict
        The same, without the two.
    """
    rest = {k: v for k, v in settings.items() if k not in ("rope_theta", "rope_scaling")}
    if rest == settings:
        return rest
    parameters = rest.get("rope_parameters") or settings.get("rope_scaling") or {}
    if isinstance(parameters, Mapping) and settings.get("rope_theta") is not None:
        parameters = {"rope_theta": settings["rope_theta"], **parameters}
    return rest | {"rope_parameters": parameters}


def checked_parameters(parameters: Any) -> dict[str, Any]:
    """Return rotary parameters, complete, or say what is wrong with them.

    Parameters
    ----------
    parameters : mapping or None
        ``rope_theta``, ``rope_type`` (``type`` in old files), and the numbers of that type; what
        is missing of the first two is the default.

    Raises
    ------
    ValueError
        If the type is not computed, or a number is missing or not above 0.
    """
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, Mapping):
        raise ValueError(f"rope_parameters must hold rope_theta, rope_type ...; got {parameters!r}")
    kind = parameters.get("rope_type", parameters.get("type", "default"))
    if kind not in TYPES:
        raise ValueError(
            f"rope_parameters: rope_type {kind!r} is not computed; those that are: "
            f"{', '.join(TYPES)}"
        )
    partial = parameters.get("partial_rotary_factor", 1.0)
    if partial != 1:
        raise ValueError(f"rope_parameters: partial_rotary_factor must be 1; got {partial!r}")
    theta = parameters.get("rope_theta", DEFAULT_THETA)
    numbers = {"rope_theta": values.positive("rope_theta", theta), "rope_type": kind}
    for name in TYPES[kind]:
        if name not in parameters:
            raise ValueError(f"rope_parameters: rope_type {kind!r} needs {name}")
        numbers[name] = values.positive(f"rope_parameters: {name}", parameters[name])
    return numbers


def inverse_frequencies(head_dim: int, parameters: Mapping[str, Any]) -> np.ndarray:
    """Return by which angle each point of a head's vector turns from one position to the next.

    Point i turns by ``rope_theta^(-2i / D)``. Type ``"linear"`` divides all by ``factor``. Type
    ``"llama3"`` divides those whose wavelength is long beside the texts of the first training,
    and leaves the short ones (Llama Team, 2024, https://arxiv.org/abs/2407.21783).

    Parameters
    ----------
    head_dim : int
        Length D of a head's vectors, even.
    parameters : mapping
        As from :func:`checked_parameters`.

    Returns
    -------
    ndarray
        ``(D / 2,)``, float32, radians.
    """
    exponents = np.arange(0, head_dim, 2) / head_dim
    frequencies: np.ndarray = parameters["rope_theta"] ** -exponents
    if parameters["rope_type"] == "linear":
        frequencies = frequencies / parameters["factor"]
    if parameters["rope_type"] == "llama3":
        frequencies = _stretched(frequencies, parameters)
    return frequencies.astype(np.float32)


def _stretched(frequencies: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """Divide low frequencies by the factor, leave high ones, and blend those between."""
    low, high = parameters["low_freq_factor"], parameters["high_freq_factor"]
    turns = parameters["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0, 1) if high != low else 1.0 * (turns >= low)
    return np.asarray(frequencies * (kept + (1 - kept) / parameters["factor"]))
