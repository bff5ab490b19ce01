"""What attends to what, drawn: the heads of a layer side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.atomic import atomic_write
from minilm.heatmap import HeatMap, heat_maps
from minilm.notebook import for_notebook
from minilm.tensor import Tensor

MOST_TOKENS = 100  # more could not be read


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Attention weights of a layer with the tokens they are of; a notebook shows them drawn.

    Attributes
    ----------
    weights : ndarray
        ``(heads, queries, keys)``: each row says how much a token took from which.
    tokens : list of str
        ``(keys,)``; the queries are the last of them.
    layer : int
        Which layer it is, counted from 0.
    heads : list of int
        Which heads they are.
    """

    weights: np.ndarray
    tokens: list[str]
    layer: int
    heads: list[int]

    def svg(self, background: str = "") -> str:
        """Return the drawing as an ``<svg>`` element.

        Parameters
        ----------
        background : str
            A colour; none by default.
        """
        maps = [
            HeatMap(f"layer {self.layer}, head {head}", values)
            for head, values in zip(self.heads, self.weights, strict=True)
        ]
        rows = self.tokens[len(self.tokens) - self.weights.shape[1] :]
        scale = "attention: rows look at columns"
        return heat_maps(maps, rows, self.tokens, scale, background)

    def save(self, path: str | Path) -> None:
        """Write an SVG file, which every browser opens.

        Raises
        ------
        ValueError
            If the name ends otherwise.
        """
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise ValueError(
                f"an attention map is saved as SVG: {path.name!r} should end in .svg. Browsers and "
                "word processors open it, and turn it into other formats"
            )
        data = self.svg("white").encode("utf-8")
        atomic_write(path, lambda file: file.write(data))

    def _repr_html_(self) -> str:
        return for_notebook(self.svg())

    def __repr__(self) -> str:
        heads, queries, keys = self.weights.shape
        return f"<AttentionMap: layer {self.layer}, {heads} heads, {queries} x {keys} tokens>"


def plot_attention(
    attentions: Any,
    tokens: Sequence[str],
    layer: int = -1,
    heads: Sequence[int] | None = None,
    batch_index: int | Sequence[int] | Tensor = 0,
) -> AttentionMap:
    """Draw the attention of a layer: a map for each head, tokens at both axes, one scale.

    Parameters
    ----------
    attentions : tuple
        ``output.attentions`` of a model: of each layer ``(batch, heads, queries, keys)``. Or that
        of ``generate``, whose steps are put together.
    tokens : sequence of str
        ``(keys,)``, as ``tokenizer.convert_ids_to_tokens(ids)`` gives them. Of a text that was
        written, the last token looked at nothing: it may be there or not.
    layer : int
        Which layer; from the last one, where it is negative.
    heads : sequence of int, optional
        Which heads; all by default.
    batch_index : int, sequence of int or Tensor
        Which text of the batch. Of beams, ``output.beam_indices[text]``: the row at each step.

    Returns
    -------
    AttentionMap
        The last line of a notebook's cell shows it; ``save("map.svg")`` keeps it.

    Raises
    ------
    TypeError
        If there are no attentions, or they are no arrays.
    ValueError
        If tokens and attentions are not as many, there are more tokens than can be read, or the
        steps of a text do not fit together.
    IndexError
        If there is no such layer, head or text.

    Examples
    --------
    >>> output = model(ids, output_attentions=True)
    >>> plot_attention(output.attentions, tokenizer.convert_ids_to_tokens(ids[0]), layer=0)
    <AttentionMap: layer 0, 4 heads, 12 x 12 tokens>
    """
    steps = _steps(attentions)
    layer = _place("layer", layer, len(steps[0]))
    rows = _rows(batch_index, len(steps))
    parts = []
    for step, row in zip(steps[: len(rows)], rows, strict=True):
        weights = _array(step[layer])
        parts.append(weights[_place("batch_index", row, len(weights))])
    weights = parts[0] if len(steps) == 1 else _joined(parts)
    names = _checked_tokens(tokens, weights.shape[2], was_written=len(steps) > 1)
    wanted = range(len(weights)) if heads is None else heads
    chosen = [_place("heads", head, len(weights)) for head in wanted]
    if not chosen:
        raise ValueError("heads is empty: say which heads to draw, or None for all")
    return AttentionMap(weights[chosen], names, layer, chosen)


def _steps(attentions: Any) -> Sequence[Sequence[Any]]:
    """Return steps of layers, whichever form they come in."""
    if attentions is None:
        raise TypeError(
            "attentions is None: call the model with output_attentions=True, or generate with "
            "output_attentions=True, return_dict_in_generate=True"
        )
    if isinstance(attentions, Tensor | np.ndarray):
        return [[attentions]]
    if not isinstance(attentions, tuple | list) or not attentions:
        raise TypeError(
            "attentions: expected output.attentions, a tuple with (batch, heads, queries, keys) of "
            f"each layer; got {type(attentions).__name__}"
        )
    return attentions if isinstance(attentions[0], tuple | list) else [attentions]


def _array(weights: Any) -> np.ndarray:
    array = weights.detach().numpy() if isinstance(weights, Tensor) else np.asarray(weights)
    if array.ndim != 4:
        raise ValueError(
            "attentions: expected (batch, heads, queries, keys) of each layer, got the shape "
            f"{array.shape}"
        )
    return array


def _rows(batch_index: int | Sequence[int] | Tensor, steps: int) -> list[int]:
    """Return which row to look at in each step; a text that ended early has fewer."""
    given = np.asarray(batch_index.numpy() if isinstance(batch_index, Tensor) else batch_index)
    if given.ndim == 0:
        return [int(given)] * steps
    rows = [int(row) for row in given if row >= 0]
    if not 0 < len(rows) <= steps:
        raise ValueError(
            f"batch_index has {len(rows)} rows, but attentions have {steps} steps: is it "
            "beam_indices of another text?"
        )
    return rows


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Put steps of one text together: ``(heads, all queries, all keys)``."""
    heads, queries, keys = parts[0].shape
    whole = np.zeros((heads, queries + len(parts) - 1, keys + len(parts) - 1), parts[0].dtype)
    whole[:, :queries, :keys] = parts[0]
    for more, part in enumerate(parts[1:], 1):
        if part.shape[2] != keys + more:
            raise ValueError(
                f"step {more} looks at {part.shape[2]} tokens, expected {keys + more}: the "
                "positions of the model were used up, so that the text moved. Draw one step, "
                f"attentions[{more}], with the tokens it read"
            )
        whole[:, queries + more - 1, : keys + more] = part[:, -1]
    return whole


def _place(name: str, index: int, count: int) -> int:
    if not -count <= index < count:
        raise IndexError(f"{name} {index} is not one of {count}, 0 to {count - 1}")
    return index % count


def _checked_tokens(tokens: Sequence[str], keys: int, was_written: bool) -> list[str]:
    names = [tokens] if isinstance(tokens, str) else list(tokens)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(
            "tokens: expected texts, as tokenizer.convert_ids_to_tokens(ids) gives them, got "
            f"{type(next(n for n in names if not isinstance(n, str))).__name__}"
        )
    if was_written and len(names) > keys:
        names = names[: keys + 1]
    if len(names) not in ((keys, keys + 1) if was_written else (keys,)):
        raise ValueError(
            f"there are {len(names)} tokens, but attention is on {keys}: pass those of one text, "
            "padding and special tokens included"
        )
    if keys > MOST_TOKENS:
        raise ValueError(
            f"a map of {keys} tokens could not be read, {MOST_TOKENS} at most can: cut the text, "
            "or the attentions, as attentions[layer][:, :, -50:, -50:]"
        )
    return names[:keys]
