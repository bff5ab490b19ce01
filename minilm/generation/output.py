"""What ``generate`` returns with ``return_dict_in_generate=True``; names are Hugging Face's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    """

    sequences: Tensor
    scores: tuple[Tensor, ...] | None = None
    logits: tuple[Tensor, ...] | None = None


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
    """

    sequences: Tensor
    sequences_scores: Tensor
    scores: tuple[Tensor, ...] | None = None
    logits: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class Record:
    """Keeps scores and logits of each step, if they are asked for."""

    scores: list[np.ndarray] | None = None
    logits: list[np.ndarray] | None = None

    @classmethod
    def of(cls, scores: bool, logits: bool) -> Record:
        """Return a record that keeps what is asked for."""
        return cls([] if scores else None, [] if logits else None)

    def keep(self, scores: np.ndarray, logits: np.ndarray) -> None:
        """Take what a step has, ``(rows, vocab)``."""
        if self.scores is not None:
            self.scores.append(scores.copy())
        if self.logits is not None:
            self.logits.append(logits.copy())

    def tensors(self) -> dict[str, tuple[Tensor, ...] | None]:
        """Return both as an output has them."""
        return {
            name: None if steps is None else tuple(map(Tensor, steps))
            for name, steps in (("scores", self.scores), ("logits", self.logits))
        }
