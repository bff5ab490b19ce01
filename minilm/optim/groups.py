"""Which parameters decay, and which do not."""

from __future__ import annotations

from minilm.nn.embedding import Embedding
from minilm.nn.layernorm import LayerNorm
from minilm.nn.module import Module
from minilm.nn.parameter import Parameter
from minilm.optim.optimizer import Group


def decay_groups(
    model: Module, weight_decay: float, *, decay_embeddings: bool = True
) -> list[Group]:
    """Split a model's parameters into matrices, which decay, and the rest, which does not.

    Biases and the weights of normalisation layers have nothing to gain from being drawn to zero.

    Parameters
    ----------
    model : Module
        Parameters that are not trained are left out; a shared one is there once.
    weight_decay : float
        Of the matrices; the rest has 0.
    decay_embeddings : bool
        Whether tables of embeddings count as matrices. A table that is the weight of another
        layer, too (weight tying), is still a table.

    Returns
    -------
    list of dict
        The groups for an optimizer, with pairs of name and parameter: the matrices and the rest,
        without one that is empty.

    Raises
    ------
    ValueError
        If `weight_decay` is negative, or the model has nothing to train.

    Examples
    --------
    >>> optimizer = AdamW(decay_groups(model, 0.1), lr=1e-3)  # doctest: +SKIP
    """
    if not weight_decay >= 0:
        raise ValueError(f"weight_decay must not be negative, got {weight_decay}")
    spared = _spared(model, decay_embeddings)
    trained = [(name, param) for name, param in model.named_parameters() if param.requires_grad]
    if not trained:
        raise ValueError(
            f"{type(model).__name__} has no parameter to train: is requires_grad off for all?"
        )
    groups: list[Group] = [
        {"params": [(n, p) for n, p in trained if p not in spared], "weight_decay": weight_decay},
        {"params": [(n, p) for n, p in trained if p in spared], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _spared(model: Module, decay_embeddings: bool) -> set[Parameter]:
    """Return the parameters that do not decay, in any of the places that a shared one has."""
    kinds: tuple[type[Module], ...] = (LayerNorm,) if decay_embeddings else (LayerNorm, Embedding)
    return {
        param
        for module in model.modules()
        for name, param in module.named_parameters(recurse=False)
        if isinstance(module, kinds) or name.startswith("bias") or param.dim() < 2
    }
