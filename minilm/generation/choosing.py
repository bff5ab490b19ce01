"""From scores to tokens: what a configuration asks for, made of processors and a draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from minilm import _core
from minilm.generation.config import GenerationConfig
from minilm.generation.logits_process import (
    LogitsProcessor,
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    PrefixConstrainedLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
)
from minilm.generation.prompt import PADDING
from minilm.generation.stopping_criteria import (
    EosTokenCriteria,
    MaxTimeCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)
from minilm.generation.warpers import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)
from minilm.tensor import Tensor

# In a core that draws, these need no array.
IN_CORE = (TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)


@dataclass(frozen=True)
class Draw:
    """How the core chooses a token; see `_core.sample`.

    Attributes
    ----------
    temperature : float
        0 takes the likeliest.
    top_k : int
        0 for all.
    top_p : float
        1 for all.
    seed : int
        Row r of a batch has the stream ``seed + r``, whose place is the number of tokens written:
        what is drawn for a text depends on no other.
    """

    temperature: float
    top_k: int
    top_p: float
    seed: int

    def __call__(self, scores: np.ndarray, written: int) -> np.ndarray:
        """Choose a token for each row of scores ``(batch, vocab)``; return ids ``(batch,)``."""
        return np.array(
            [
                _core.sample(
                    np.ascontiguousarray(row),
                    self.temperature,
                    self.top_k,
                    self.top_p,
                    self.seed + number,
                    written,
                )
                for number, row in enumerate(scores)
            ],
            np.int64,
        )


def rules_of(
    config: GenerationConfig,
    prompt_length: int,
    prefix_allowed_tokens_fn: Callable[[int, Any], Sequence[int]] | None = None,
    own: Sequence[LogitsProcessor] | None = None,
) -> LogitsProcessorList:
    """Return what changes the scores before tokens are chosen, in Hugging Face's order.

    Parameters
    ----------
    config : GenerationConfig
        What is asked for.
    prompt_length : int
        Tokens of the prompt, padding included.
    prefix_allowed_tokens_fn : callable, optional
        See :class:`PrefixConstrainedLogitsProcessor`.
    own : sequence of LogitsProcessor, optional
        A user's own, which come last. What they return is checked.
    """
    rules = LogitsProcessorList()
    if config.repetition_penalty != 1:
        rules.append(RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    if config.no_repeat_ngram_size > 0:
        rules.append(NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size))
    if config.bad_words_ids:
        rules.append(NoBadWordsLogitsProcessor(config.bad_words_ids, config.eos_ids))
    if config.eos_ids and config.min_new_tokens is not None:
        rules.append(
            MinNewTokensLengthLogitsProcessor(prompt_length, config.min_new_tokens, config.eos_ids)
        )
    elif config.eos_ids and config.min_length is not None:
        rules.append(MinLengthLogitsProcessor(config.min_length, config.eos_ids))
    if prefix_allowed_tokens_fn is not None:
        rows = max(config.num_beams, config.num_return_sequences)
        rules.append(PrefixConstrainedLogitsProcessor(prefix_allowed_tokens_fn, rows))
    if config.suppress_tokens:
        rules.append(SuppressTokensLogitsProcessor(config.suppress_tokens))
    rules += [_OwnProcessor(processor, config.fill_id) for processor in own or ()]
    return rules


def warpers_of(config: GenerationConfig) -> LogitsProcessorList:
    """Return what changes the distribution that is drawn from, in Hugging Face's order."""
    warpers = LogitsProcessorList()
    if not config.do_sample:
        return warpers
    # With beams, something must be left beside what ends a text.
    least = len(config.eos_ids) + 1 if config.num_beams > 1 else 1
    if config.temperature != 1:
        warpers.append(TemperatureLogitsWarper(config.temperature))
    if config.top_k > 0:
        warpers.append(TopKLogitsWarper(config.top_k, least))
    if config.top_p < 1:
        warpers.append(TopPLogitsWarper(config.top_p, least))
    if config.min_p is not None:
        warpers.append(MinPLogitsWarper(config.min_p, least))
    if config.typical_p < 1:
        warpers.append(TypicalLogitsWarper(config.typical_p, least))
    return warpers


def draw_of(config: GenerationConfig, seed: int) -> tuple[LogitsProcessorList, Draw]:
    """Return the warpers that come before the draw, and the draw.

    Those that the core knows are left to it, where no other follows: it computes in double, and
    without an array of its own.
    """
    warpers = warpers_of(config)
    if not config.do_sample:
        return warpers, Draw(0.0, 0, 1.0, seed)
    if all(isinstance(warper, IN_CORE) for warper in warpers):
        draw = Draw(float(config.temperature), config.top_k, float(config.top_p), seed)
        return LogitsProcessorList(), draw
    return warpers, Draw(1.0, 0, 1.0, seed)


def criteria_of(
    config: GenerationConfig, tokenizer: Any = None, own: Sequence[Any] | None = None
) -> StoppingCriteriaList:
    """Return what ends a text before its greatest length.

    Parameters
    ----------
    config : GenerationConfig
        What is asked for.
    tokenizer : object, optional
        For ``stop_strings``.
    own : sequence of StoppingCriteria, optional
        A user's own.
    """
    criteria = StoppingCriteriaList()
    if config.eos_ids:
        criteria.append(EosTokenCriteria(config.eos_ids))
    if config.max_time is not None:
        criteria.append(MaxTimeCriteria(config.max_time))
    if config.stop_strings:
        criteria.append(StopStringCriteria(tokenizer, config.stop_strings))
    criteria += [_OwnCriterion(criterion, config.fill_id) for criterion in own or ()]
    return criteria


class _Own:
    """A user's own function: sees padding as the id that fills up, as in Hugging Face's loop."""

    def __init__(self, function: Callable[[np.ndarray, Any], Any], fill_id: int | None) -> None:
        self._function = function
        self._fill_id = fill_id or 0

    def _call(self, input_ids: np.ndarray, scores: Any) -> np.ndarray:
        ids = np.where(input_ids == PADDING, self._fill_id, input_ids)
        result = self._function(ids, scores)
        return result.numpy() if isinstance(result, Tensor) else np.asarray(result)

    def _refuse(self, result: np.ndarray, expected: str) -> NoReturn:
        name = getattr(self._function, "__name__", type(self._function).__name__)
        got = "None" if result.dtype == object else f"{result.dtype} of the shape {result.shape}"
        raise ValueError(f"{name}: expected {expected}, got {got}; does it return its result?")


class _OwnProcessor(_Own):
    """Returns scores, float32 ``(batch, vocab)``."""

    def __call__(self, input_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        result = self._call(input_ids, scores)
        if result.shape != scores.shape or result.dtype.kind not in "fiu":
            self._refuse(result, f"scores of the shape {scores.shape} (batch, vocab)")
        return result.astype(np.float32, copy=False)


class _OwnCriterion(_Own):
    """Returns which texts end, bool: one for each, or one for all."""

    def __call__(self, input_ids: np.ndarray, scores: Any) -> np.ndarray:
        result = self._call(input_ids, scores)
        if result.shape not in ((), (len(input_ids),)) or result.dtype.kind not in "biu":
            self._refuse(result, f"True or False for each of {len(input_ids)} texts")
        return result.astype(bool)
