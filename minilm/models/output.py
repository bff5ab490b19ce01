"""What models return: named parts, that can also be taken by number, as in Hugging Face."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import minilm.nn.functional as F
from minilm.data.stream import IGNORED
from minilm.nn import checks
from minilm.tensor import Tensor

if TYPE_CHECKING:
    from minilm.models.cache import DynamicCache


class ModelOutput:
    """Parts of an output; those that are None do not count.

    ``output.loss``, ``output["loss"]``, and ``output[0]``, the first part that there is, are the
    same. ``loss, logits = output.to_tuple()`` and ``"loss" in output`` work as well.
    """

    def keys(self) -> list[str]:
        """Return the names of the parts that there are."""
        return [f.name for f in dataclasses.fields(self) if getattr(self, f.name) is not None]  # type: ignore[arg-type]

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the parts that there are."""
        return tuple(getattr(self, name) for name in self.keys())

    def __getitem__(self, key: Any) -> Any:
        """Return a part by its name or number, or several by a slice.

        Raises
        ------
        KeyError, IndexError
            If there is no such part; the message names those that there are.
        """
        if not isinstance(key, str):
            parts = self.to_tuple()
            if not isinstance(key, slice) and not -len(parts) <= key < len(parts):
                raise IndexError(f"the output has {len(parts)} parts: {', '.join(self.keys())}")
            return parts[key]
        if key not in self.keys():
            raise KeyError(f"the output has no {key!r}; it has {', '.join(self.keys())}")
        return getattr(self, key)

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())


@dataclass(eq=False)
class BaseModelOutput(ModelOutput):
    """What a model without a head returns.

    Attributes
    ----------
    last_hidden_state : Tensor
        ``(batch, time, width)``.
    past_key_values : DynamicCache or None
        Keys and values to go on from.
    hidden_states : tuple of Tensor or None
        Before the first block and after each, the last one normalized: ``(batch, time, width)``.
    attentions : tuple of Tensor or None
        Attention weights of each block ``(batch, heads, time, past and time)``, after dropout.
    """

    last_hidden_state: Tensor
    past_key_values: DynamicCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class CausalLMOutput(ModelOutput):
    """What a language model returns.

    Attributes
    ----------
    loss : Tensor or None
        Mean cross-entropy, nats a token; there if labels were given.
    logits : Tensor
        ``(batch, time, vocab)``; those at position t are for the token at t + 1.
    past_key_values, hidden_states, attentions
        As in :class:`BaseModelOutput`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: DynamicCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class SequenceClassifierOutput(ModelOutput):
    """What a classifier of texts returns.

    Attributes
    ----------
    loss : Tensor or None
        There if labels were given.
    logits : Tensor
        ``(batch, classes)``.
    hidden_states, attentions
        As in :class:`BaseModelOutput`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


def asked(argument: bool | None, default: bool) -> bool:
    """Return what a caller asks for, or else what a configuration says."""
    return default if argument is None else argument


def causal_lm_loss(logits: Tensor, labels: Any, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean loss of predicting each label from the positions before it.

    Parameters
    ----------
    logits : Tensor
        ``(batch, time, vocab)``. Where they are still to be computed, head and loss are computed
        in one: see `minilm.nn.deferred`.
    labels : Tensor or ndarray of int
        ``(batch, time)``, usually the input ids themselves: they are shifted here, so that the
        logits at t meet the label at t + 1. -100 does not count.
    label_smoothing : float
        Share of each target that is spread over all classes.

    Returns
    -------
    Tensor
        Nats a token.

    Raises
    ------
    ValueError
        If labels have another shape than the ids.
    TypeError, IndexError
        If they are not integers, or no tokens of the vocabulary.
    """
    given = checks.ids("labels", "labels", labels).numpy()
    if given.shape != logits.shape[:2]:
        raise ValueError(
            f"labels have shape {given.shape}, expected {logits.shape[:2]} (batch, time), that of "
            "input_ids: the model shifts them itself"
        )
    # It is the labels that move, not the logits: cutting these would compute them.
    shifted = np.full(given.shape, IGNORED, np.int64)
    shifted[:, :-1] = given[:, 1:]
    return F.cross_entropy(
        logits.transpose(1, 2), shifted, ignore_index=IGNORED, label_smoothing=label_smoothing
    )


def with_loss(logits: Tensor, labels: Any) -> Tensor | CausalLMOutput:
    """Return bare logits, as the tutorial's model gives them, or with labels an output with both.

    Parameters and errors are those of :func:`causal_lm_loss`; `labels` may be None.
    """
    return logits if labels is None else CausalLMOutput(causal_lm_loss(logits, labels), logits)
