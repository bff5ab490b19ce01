"""One way to write for every model: what is asked for, and who does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.generation.arguments import (
    config_for,
    first_ids,
    is_one_text,
    mask_of_padding,
    refuse_inputs,
    seed_of,
    warn_of_a_long_prompt,
)
from minilm.generation.beams import FoundTexts, write_beams
from minilm.generation.choosing import criteria_of, draw_of, rules_of, warpers_of
from minilm.generation.config import GenerationConfig
from minilm.generation.conflicts import length_of
from minilm.generation.core_writer import write_in_core
from minilm.generation.output import (
    GenerateBeamDecoderOnlyOutput,
    GenerateDecoderOnlyOutput,
    Record,
)
from minilm.generation.prompt import Prompt, prompt_of
from minilm.generation.readers import reader_of
from minilm.generation.streamers import BaseStreamer, ColumnStreamer
from minilm.generation.tokens import write_tokens
from minilm.grad_mode import no_grad
from minilm.models.base import LanguageModel
from minilm.models.ngram import NGramModel
from minilm.tensor import Tensor


def generate(
    model: Any,
    input_ids: Any = None,
    max_new_tokens: int | None = None,
    *,
    attention_mask: Any = None,
    generation_config: GenerationConfig | Mapping[str, Any] | None = None,
    seed: int | None = None,
    tokenizer: Any = None,
    prefix_allowed_tokens_fn: Callable[[int, Any], Sequence[int]] | None = None,
    logits_processor: Sequence[Any] | None = None,
    stopping_criteria: Sequence[Any] | None = None,
    streamer: BaseStreamer | None = None,
    on_token: Callable[[np.ndarray], object] | None = None,
    **options: Any,
) -> Any:
    """Write on from a prompt.

    Names and meanings are those of Hugging Face, with three differences. Tokens are drawn at random
    unless ``do_sample=False`` or ``num_beams`` says otherwise, from all tokens, and 50 are added.
    What is said here goes before the model's own ``generation_config``, where it has one, and that
    before the defaults.

    A text is the same alone and in a batch, which is padded on whichever side: padding is neither
    read nor counted by the rules. (Only ``max_length`` counts it.)

    Parameters
    ----------
    model : nn.Module or NGramModel
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``. One with packed weights writes in the core; one that takes
        ``past_key_values`` or has ``forward_with_state`` reads a token a step; any other reads all
        again.
    input_ids : Tensor, ndarray or nested sequence of int, optional
        The prompt: ``(time,)``, or ``(batch, time)`` to write several texts at once. Without one, a
        text begins with ``bos_token_id``; failing that, with the end of a paragraph, as far as the
        vocabulary of `tokenizer` has it; failing that, with id 0.
    max_new_tokens : int, optional
        Tokens to add to each text, at most; 50 by default.
    attention_mask : Tensor, ndarray or nested sequence, optional
        1 for a token and 0 for padding, with the shape of `input_ids`.
    generation_config : GenerationConfig or mapping, optional
        Stands for the model's own, of which only the ids of tokens are taken over.
    seed : int, optional
        The same seed, taken modulo 2**64, writes the same text. By default one is drawn from the
        generator that :func:`minilm.manual_seed` sets. Texts side by side take seed, seed + 1, ...
    tokenizer : tokenizers.Tokenizer, optional
        For ``stop_strings``.
    prefix_allowed_tokens_fn : callable, optional
        Takes the number of a prompt and its ids so far ``(time,)``; returns the ids that may come.
    logits_processor : sequence of callable, optional
        Each takes ids ``(batch, time)`` and scores ``(batch, vocab)``, NumPy arrays, and returns
        scores. They come after the other rules and before `temperature`.
    stopping_criteria : sequence of callable, optional
        Each takes ids and the scores of all steps (or None); returns which texts end, ``(batch,)``.
    streamer : BaseStreamer, optional
        ``put`` is given the prompt and each new column, ``end`` is called at the end.
    on_token : callable, optional
        Called with each new column of ids, ``(batch,)``, as soon as it is known.
    **options
        The attributes of :class:`GenerationConfig`.

    Returns
    -------
    Tensor, GenerateDecoderOnlyOutput or GenerateBeamDecoderOnlyOutput
        Prompt and new tokens, int64, ``(batch * num_return_sequences, time)``; ``(time,)`` for one
        text after a prompt ``(time,)``. With ``return_dict_in_generate=True``, an object that has
        them as ``.sequences``.

    Warns
    -----
    UserWarning
        If two options contradict each other; which one wins is said. If the model cannot read all
        of the prompt at once.

    Raises
    ------
    TypeError
        If the prompt or the seed is not of integers, or an option is unknown.
    ValueError
        If the prompt is empty or has more than two axes, an option is out of range, or the model
        has none of the attentions or hidden states that are asked for.
    IndexError
        If an id is outside the vocabulary.
    """
    refuse_inputs(options)
    asked = {"max_new_tokens": max_new_tokens, **options}
    config = config_for(model, generation_config, asked)
    if input_ids is None:
        input_ids = [first_ids(config, tokenizer)]
    if attention_mask is None:
        attention_mask = mask_of_padding(input_ids, config)
    prompt = prompt_of(input_ids, attention_mask, may_be_empty=isinstance(model, NGramModel))
    job = _Job(
        model=model,
        prompt=prompt,
        config=config,
        new_tokens=length_of(config, prompt.given.shape[1]),
        seed=seed_of(seed),
        tokenizer=tokenizer,
        prefix_allowed_tokens_fn=prefix_allowed_tokens_fn,
        logits_processor=logits_processor,
        stopping_criteria=stopping_criteria,
        streamer=_streamer_of(streamer, on_token),
    )
    job.check()
    warn_of_a_long_prompt(model, prompt)
    with reading(model):
        output = job.run()
    if is_one_text(input_ids) and config.num_return_sequences == 1:
        output.sequences = Tensor(output.sequences.numpy()[0])
    return output if config.return_dict_in_generate else output.sequences


@dataclass
class _Job:
    """All that is known before the first token."""

    model: Any
    prompt: Prompt
    config: GenerationConfig
    new_tokens: int
    seed: int
    tokenizer: Any
    prefix_allowed_tokens_fn: Callable[[int, Any], Sequence[int]] | None
    logits_processor: Sequence[Any] | None
    stopping_criteria: Sequence[Any] | None
    streamer: BaseStreamer | None

    def check(self) -> None:
        """Refuse what lacks something."""
        config = self.config
        if config.stop_strings and self.tokenizer is None:
            raise ValueError(
                "stop_strings are looked for in text: pass the tokenizer that makes it of ids, "
                "generate(..., stop_strings=..., tokenizer=tokenizer)"
            )
        if config.num_beams > 1 and self.streamer is not None:
            raise ValueError(
                f"num_beams is {config.num_beams}: which text wins is known at the end alone, so "
                "there is nothing to stream; take num_beams=1"
            )
        one_by_one = config.stop_strings or self.stopping_criteria
        rows = len(self.prompt) * config.num_return_sequences
        if one_by_one and rows > 1 and config.fill_id is None:
            raise ValueError(
                "texts of a batch may end one by one: pad_token_id says what to fill them up with, "
                "and neither it nor eos_token_id is set"
            )

    def run(self) -> GenerateDecoderOnlyOutput | GenerateBeamDecoderOnlyOutput:
        """Write, in the way that fits."""
        config = self.config
        record = Record.of(config)
        if config.num_beams > 1 and self.new_tokens > 0:
            found = self._beams(record)
            prompt = self.prompt.repeated(config.num_return_sequences)
            return GenerateBeamDecoderOnlyOutput(
                _sequences(prompt, found.tokens),
                Tensor(found.scores),
                beam_indices=Tensor(found.rows),
                **record.tensors(),
            )
        prompt = self.prompt.repeated(config.num_return_sequences)
        with _streaming(self.streamer, prompt):
            new = self._tokens(prompt, record)
        return GenerateDecoderOnlyOutput(_sequences(prompt, new), **record.tensors())

    def _tokens(self, prompt: Prompt, record: Record) -> np.ndarray:
        config = self.config
        warpers, draw = draw_of(config, self.seed)
        decoder = self._decoder() if not warpers else None
        if decoder is not None:
            return write_in_core(
                self.model,
                decoder,
                prompt,
                self.new_tokens,
                draw,
                config.suppress_tokens or [],
                self.config.eos_ids[0] if self.config.eos_ids else None,
                self.streamer,
            )
        return write_tokens(
            reader_of(self.model, config.use_cache, record.watch),
            prompt,
            self.new_tokens,
            self._rules(),
            warpers,
            draw,
            criteria_of(config, self.tokenizer, self.stopping_criteria),
            config.fill_id,
            record,
            self.streamer,
            warpers_for_record=warpers_of(config) if not warpers else type(warpers)(),
        )

    def _beams(self, record: Record) -> FoundTexts:
        config = self.config
        rules = self._rules()
        rules += warpers_of(config)
        return write_beams(
            reader_of(self.model, config.use_cache, record.watch),
            self.prompt,
            self.new_tokens,
            rules,
            criteria_of(config, self.tokenizer, self.stopping_criteria),
            config,
            self.seed,
            record,
        )

    def _rules(self) -> Any:
        return rules_of(
            self.config,
            self.prompt.ids.shape[1],
            self.prefix_allowed_tokens_fn,
            self.logits_processor,
        )

    def _decoder(self) -> Any:
        """Return packed weights, if the loop in the core does all that is asked for."""
        config = self.config
        asks_for_more = (
            self.prefix_allowed_tokens_fn is not None
            or self.logits_processor
            or self.stopping_criteria
            or config.return_dict_in_generate
            or config.eos_ids != [config.fill_id][: len(config.eos_ids)]
            or not config.use_cache
            or config.updated(dict.fromkeys(IN_CORE)).changes()
        )
        if asks_for_more or not isinstance(self.model, LanguageModel):
            return None
        longest = self.model.max_length
        if longest is not None and self.prompt.ids.shape[1] + self.new_tokens - 1 > longest:
            return None  # all that the model sees will move with every token
        return self.model._decoder()


# The options that the loop in the core knows, or that are dealt with before it begins.
IN_CORE = (
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "suppress_tokens",
    "max_new_tokens",
    "max_length",
    "num_return_sequences",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


def _streamer_of(
    streamer: BaseStreamer | None, on_token: Callable[[np.ndarray], object] | None
) -> BaseStreamer | None:
    if streamer is not None and on_token is not None:
        raise ValueError("streamer and on_token both take the tokens as they come: give one")
    return streamer if on_token is None else ColumnStreamer(on_token)


@contextmanager
def _streaming(streamer: BaseStreamer | None, prompt: Prompt) -> Iterator[None]:
    """Hand over the prompt, and say when it is over; after an error, too: a reader may wait."""
    if streamer is None:
        yield
        return
    try:
        streamer.put(prompt.given)
        yield
    finally:
        streamer.end()


@contextmanager
def reading(model: Any) -> Iterator[None]:
    """Switch dropout off and keep no tape, and put the mode back at the end."""
    if isinstance(model, NGramModel):  # which has neither
        yield
        return
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        model.train(was_training)


def _sequences(prompt: Prompt, new: np.ndarray) -> Tensor:
    return Tensor(np.concatenate([prompt.given, new], axis=1))
