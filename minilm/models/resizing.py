"""More tokens, or fewer: rows of the embedding and the head, resized as Hugging Face does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minilm import nn
from minilm.models import values
from minilm.random import default_generator
from minilm.tensor import Tensor

if TYPE_CHECKING:
    from minilm.models.pretrained import PretrainedModel

# New rows lie so near to the mean of the old ones (transformers' number; see `_near_mean`).
NEAR = 1e-9


def resize_token_embeddings(
    model: PretrainedModel,
    new_num_tokens: int | None = None,
    pad_to_multiple_of: int | None = None,
    mean_resizing: bool = True,
) -> nn.Embedding:
    """Resize a model; see :meth:`PretrainedModel.resize_token_embeddings`."""
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    _check_parts(model, table, head)
    count = _new_count(table.num_embeddings, new_num_tokens, pad_to_multiple_of)
    if count == table.num_embeddings:
        return table
    std = None if mean_resizing else _starting_std(model, table)
    is_tied = head is not None and head.weight is table.weight
    _resize(table.weight, count, std)
    table.num_embeddings = count
    if head is not None:
        if not is_tied:
            _resize(head.weight, count, std)
        if head.bias is not None:
            _resize(head.bias, count, None if std is None else 0.0)
        head.out_features = count
    if table.padding_idx is not None and table.padding_idx >= count:
        table.padding_idx = None
    _tell_config(model.config, count)
    return table


def _check_parts(model: Any, table: Any, head: Any) -> None:
    for part, expected in ((table, nn.Embedding), (head, nn.Linear)):
        if part is not None and not isinstance(part, expected):
            raise TypeError(
                f"resize_token_embeddings knows an nn.Embedding and an nn.Linear; this "
                f"{type(model).__name__} has a {type(part).__name__} in the place of an "
                f"nn.{expected.__name__}: give it the rows it needs yourself"
            )


def _new_count(old: int, wanted: int | None, multiple: int | None) -> int:
    count = old if wanted is None else values.size("new_num_tokens", wanted)
    if multiple is not None:
        multiple = values.size("pad_to_multiple_of", multiple)
        count = -(-count // multiple) * multiple
    return values.size("new_num_tokens, rounded up to a multiple of pad_to_multiple_of,", count)


def _starting_std(model: Any, table: nn.Embedding) -> float:
    std = getattr(model.config, "initializer_range", None)
    return float(table.weight.detach().numpy().std() if std is None else std)


def _resize(parameter: nn.Parameter, count: int, std: float | None) -> None:
    """Give a parameter another number of rows; it stays the one that others share."""
    old = parameter.detach().numpy()
    if count <= len(old):
        rows = old[:count].copy()
    else:
        shape = (count - len(old), *old.shape[1:])
        new = _near_mean(old, shape) if std is None else default_generator.normal(0, std, shape)
        rows = np.concatenate([old, new.astype(np.float32)])
    parameter.data = Tensor(rows)
    parameter.grad = None


def _near_mean(old: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Draw rows from N(mean, 1e-9 covariance) of the old ones, as transformers does.

    A token with the mean vector gets about the mean probability, so the others keep theirs (Hewitt,
    2021, https://nlp.stanford.edu/~johnhew/vocab-expansion.html). Where the covariance has no root,
    as with fewer tokens than dimensions, all are the mean; so are biases (there the noise that
    transformers adds is lost in rounding).
    """
    mean = old.mean(axis=0, dtype=np.float64)
    rows = np.broadcast_to(mean, shape)
    if old.ndim == 1:
        return rows
    centered = old - mean
    try:
        root = np.linalg.cholesky(NEAR * (centered.T @ centered) / len(old))
    except np.linalg.LinAlgError:
        return rows
    draws: np.ndarray = default_generator.normal(0, 1, shape) @ root.T
    near: np.ndarray = rows + draws
    return near


def _tell_config(config: Any, count: int) -> None:
    if isinstance(config, dict):
        config["vocab_size"] = count
        return
    config.vocab_size = count
    if config.pad_token_id is not None and config.pad_token_id >= count:
        config.pad_token_id = None  # its row is gone, and no folder would load that names it
