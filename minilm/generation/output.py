"""What ``generate`` returns with ``return_dict_in_generate=True``; names are Hugging Face's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilm.generation.config import GenerationConfig
from minilm.generation.watch import Watch
from minilm.models.output import ModelOutput
from minilm.tensor import Tensor


@dataclass(eq=False)
class GenerateDecoderOnlyOutput(ModelOutput):
    """Texts, and how they came about.

    Attributes
    ----------
    sequences : Tensor
        Prompt and new tokens ``(texts, time)``, int64.
    scores : tuple of Tensor or None
        For each new token the scores ``(texts, vocab)`` that it was chosen by: the logits, changed
        by all processors. There with ``output_scores=True``.
    logits : tuple of Tensor or None
        The same as the model gave them. There with ``output_logits=True``.
    attentions : tuple of tuple of Tensor or None
        For each step, for each layer the weights ``(texts, heads, new, so far)``: those of the
        prompt's tokens at the first step, of the last token at all others (of all tokens at every
        step, with ``use_cache=False`` and where the positions of the model are used up). There with
        ``output_attentions=True``. Rows of padding say nothing.
    hidden_states : tuple of tuple of Tensor or None
        For each step, what goes into the first layer and what comes from each, ``(texts, new,
        width)``. There with ``output_hidden_states=True``.
    """

    sequences: Tensor
    scores: tuple[Tensor, ...] | None = None
    logits: tuple[Tensor, ...] | None = None
    attentions: tuple[tuple[Tensor, ...], ...] | None = None
    hidden_states: tuple[tuple[Tensor, ...], ...] | None = None


@dataclass(eq=False)
class GenerateBeamDecoderOnlyOutput(ModelOutput):
    """Texts that beam search found, the best of each prompt first.

    Attributes
    ----------
    sequences : Tensor
        Prompt and new tokens ``(texts, time)``, int64.
    sequences_scores : Tensor
        ``(texts,)``: sums of the tokens' scores, divided by the length to the power
        ``length_penalty``.
    scores : tuple of Tensor or None
        For each step the log probabilities ``(prompts * beams, vocab)``, changed by all
        processors. There with ``output_scores=True``.
    logits : tuple of Tensor or None
        The same as the model gave them. There with ``output_logits=True``.
    beam_indices : Tensor
        ``(texts, new)``, int64: for each new token the row, of prompts * beams, that it was
        written on from, so that scores, attentions and hidden states of a text can be told from
        the others'. -1 behind the end of a text.
    attentions : tuple of tuple of Tensor or None
        For each step, for each layer the weights ``(rows, heads, new, so far)``: those of the
        prompt's tokens at the first step, of the last token at all others (of all tokens at every
        step, with ``use_cache=False`` and where the positions of the model are used up). There with
        ``output_attentions=True``. Rows of padding say nothing.
    hidden_states : tuple of tuple of Tensor or None
        For each step, what goes into the first layer and what comes from each, ``(rows, new,
        width)``. There with ``output_hidden_states=True``.
    """

    sequences: Tensor
    sequences_scores: Tensor
    scores: tuple[Tensor, ...] | None = None
    logits: tuple[Tensor, ...] | None = None
    beam_indices: Tensor | None = None
    attentions: tuple[tuple[Tensor, ...], ...] | None = None
    hidden_states: tuple[tuple[Tensor, ...], ...] | None = None


@dataclass(eq=False)
class Record:
    """Keeps of each step what is asked for.

    Attributes
    ----------
    scores, logits : list of ndarray or None
        ``(rows, vocab)`` of each step.
    watch : Watch
        Keeps what the model returns beside its logits.
    """

    scores: list[np.ndarray] | None = None
    logits: list[np.ndarray] | None = None
    watch: Watch = field(default_factory=Watch)

    @classmethod
    def of(cls, config: GenerationConfig) -> Record:
        """Return a record that keeps what is asked for."""
        returned = config.return_dict_in_generate
        return cls(
            [] if returned and config.output_scores else None,
            [] if returned and config.output_logits else None,
            Watch.of(config),
        )

    def keep(self, scores: np.ndarray, logits: np.ndarray) -> None:
        """Take what a step has, ``(rows, vocab)``."""
        if self.scores is not None:
            self.scores.append(scores.copy())
        if self.logits is not None:
            self.logits.append(logits.copy())

    def tensors(self) -> dict[str, Any]:
        """Return all of it as an output has it."""
        kept = {
            name: None if steps is None else tuple(map(Tensor, steps))
            for name, steps in (("scores", self.scores), ("logits", self.logits))
        }
        return {**kept, **self.watch.tensors()}
