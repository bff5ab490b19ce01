"""What GPT-2 and Llama have in common: blocks that read from left to right, a head, a cache."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minilm import _core, nn
from minilm.models.base import LanguageModel
from minilm.models.cache import DynamicCache
from minilm.models.decoding import SHORT_PROMPT, decoder_of, pack
from minilm.models.inputs import checked_ids, checked_mask, positions_of
from minilm.models.output import BaseModelOutput, CausalLMOutput, asked, causal_lm_loss
from minilm.models.pretrained import PretrainedModel
from minilm.models.pretrained_config import PretrainedConfig
from minilm.models.quantized import QuantizedCausalLM
from minilm.tensor import Tensor
from minilm.utils.checkpoint import checkpoint
from minilm.warn import warn_caller


@dataclass(frozen=True)
class Context:
    """What the blocks of a decoder know of a call.

    Attributes
    ----------
    mask : ndarray of bool or None
        ``(batch, past and time)``, True for what may be seen; None if all may.
    cache : DynamicCache or None
        Takes keys and values, and has those of the past.
    weights : bool
        Whether attention weights are asked for.
    rotation : tuple of Tensor or None
        Cosine and sine of rotary positions.
    """

    mask: np.ndarray | None = None
    cache: DynamicCache | None = None
    weights: bool = False
    rotation: tuple[Tensor, Tensor] | None = None


class Decoder(PretrainedModel):
    """Blocks on a stream of vectors, one for each token, each seeing only those before it.

    A subclass gives ``embed``, ``blocks``, ``normalize``, and ``rotation`` if it has rotary
    positions.

    Attributes
    ----------
    gradient_checkpointing : bool
        Whether blocks are computed again in backward; see
        :meth:`PretrainedModel.gradient_checkpointing_enable`.
    """

    config: PretrainedConfig
    gradient_checkpointing = False

    def embed(self, ids: np.ndarray, positions: np.ndarray) -> Tensor:
        """Return the vectors ``(batch, time, width)`` that the first block reads."""
        raise NotImplementedError

    def blocks(self) -> Iterable[nn.Module]:
        """Return the blocks in order; each maps ``(x, context)`` to ``(x, weights)``."""
        raise NotImplementedError

    def normalize(self, x: Tensor) -> Tensor:
        """Normalize what leaves the last block."""
        raise NotImplementedError

    def rotation(self, positions: np.ndarray) -> tuple[Tensor, Tensor] | None:
        """Return cosine and sine of rotary positions, if the model has them."""
        return None

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: DynamicCache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutput:
        """Return a vector for each token; see :meth:`CausalLM.forward`."""
        config = self.config
        longest: int = config.max_position_embeddings
        recomputes = self.gradient_checkpointing and self.training
        if recomputes:
            use_cache = _without_cache(use_cache, past_key_values)
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        ids = checked_ids(input_ids, config.vocab_size, longest, past)
        batch, time = ids.shape
        mask = checked_mask(attention_mask, batch, past + time)
        positions = positions_of(position_ids, mask, batch, time, past, longest)
        if asked(use_cache, config.use_cache and not self.training) and past_key_values is None:
            past_key_values = DynamicCache()
        keeps_weights = asked(output_attentions, config.output_attentions)
        context = Context(mask, past_key_values, keeps_weights, self.rotation(positions))
        x = self.embed(ids, positions)
        states, attentions = [x], []
        for block in self.blocks():
            x, weights = checkpoint(block, x, context) if recomputes else block(x, context)
            states.append(x)
            attentions.append(weights)
        states[-1] = x = self.normalize(x)
        keeps_states = asked(output_hidden_states, config.output_hidden_states)
        return BaseModelOutput(
            last_hidden_state=x,
            past_key_values=past_key_values,
            hidden_states=tuple(states) if keeps_states else None,
            attentions=tuple(attentions) if keeps_weights else None,
        )


def _without_cache(use_cache: bool | None, past_key_values: DynamicCache | None) -> bool:
    """Do without a cache, which a block that runs twice would put its keys into twice."""
    if past_key_values is not None:
        raise ValueError(
            "gradient checkpointing runs each block twice, which would put its keys into "
            "past_key_values twice: leave them out in training, or call eval() or "
            "gradient_checkpointing_disable() before"
        )
    if use_cache:
        warn_caller(
            "use_cache=True is incompatible with gradient checkpointing: no cache is returned"
        )
    return False


class CausalLM(LanguageModel):
    """A decoder and a head: a score for each token that may come next.

    Parameters
    ----------
    config : PretrainedConfig
        Sizes and settings.

    Attributes
    ----------
    lm_head : nn.Linear
        Its weight is that of the token embedding where ``tie_word_embeddings`` says so.
    """

    decoder_class: ClassVar[type[Decoder]]
    parts: ClassVar[frozenset[type[nn.Module]]]  # the types of all modules below the head
    config: PretrainedConfig

    def __init__(self, config: PretrainedConfig) -> None:
        from minilm.generation.config import GenerationConfig

        super().__init__(config)
        ids = ("bos_token_id", "eos_token_id", "pad_token_id")
        self.generation_config = GenerationConfig.from_dict(
            {name: getattr(config, name) for name in ids}
        )
        self.register_module(self.base_model_prefix, self.decoder_class(config))
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.get_input_embeddings().weight
        else:
            self.reset_parameters(["lm_head.weight"])

    @property
    def base_model(self) -> Decoder:
        """The model without its head."""
        decoder: Decoder = getattr(self, self.base_model_prefix)
        return decoder

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of the tokens' vectors."""
        return self.base_model.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Linear:
        """Return the head."""
        head: nn.Linear = self.lm_head
        return head

    @property
    def max_length(self) -> int | None:
        """The longest sequence that the model reads at once."""
        longest: int = self.config.max_position_embeddings
        return longest

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        labels: Any = None,
        *,
        position_ids: Any = None,
        past_key_values: DynamicCache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> CausalLMOutput:
        """Score every next token.

        Parameters
        ----------
        input_ids : Tensor, ndarray or nested list of int
            Token ids ``(batch, time)``; with `past_key_values`, only the new ones.
        attention_mask : Tensor or ndarray, optional
            ``(batch, past and time)``, 1 for a token and 0 for padding, on whichever side: a text
            gets the logits that it gets alone.
        labels : Tensor or ndarray of int, optional
            ``(batch, time)``, usually `input_ids`: they are shifted inside. -100 does not count;
            set it where there is padding.
        position_ids : Tensor or ndarray of int, optional
            ``(batch, time)``; by default counted from the mask.
        past_key_values : DynamicCache, optional
            What an earlier call returned; it is added to.
        use_cache : bool, optional
            Whether to return a cache; by default as the configuration says, and not in training.
        output_attentions, output_hidden_states : bool, optional
            Whether to return them; by default as the configuration says.

        Returns
        -------
        CausalLMOutput
            Logits ``(batch, time, vocab)`` and what was asked for.

        Raises
        ------
        TypeError
            If ids or labels are not integers.
        ValueError
            If shapes do not fit, or the sequence is longer than the positions.
        IndexError
            If an id is not in the vocabulary, or a position not one of the model's.
        """
        output = self.base_model(
            input_ids,
            attention_mask,
            position_ids,
            past_key_values,
            use_cache,
            output_attentions,
            output_hidden_states,
        )
        # Not computed before somebody reads it: with labels, head and loss are one.
        logits = self.lm_head(output.last_hidden_state)
        return CausalLMOutput(
            loss=None if labels is None else causal_lm_loss(logits, labels),
            logits=logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    # --- writing in the core ---

    def quantize(self) -> QuantizedCausalLM:
        """Return the model in int8: weights take about a quarter of the memory.

        It computes logits, is evaluated and writes, several times as fast, but does not learn;
        this model stays as it is. To keep it, save this one.

        Returns
        -------
        QuantizedCausalLM

        Raises
        ------
        TypeError
            If the model computes something of its own: a subclass with another ``forward``, or
            one whose parts were replaced by others.
        ValueError
            If a weight is not finite, or a matrix has more than 8192 columns.

        Examples
        --------
        >>> model = GPT2LMHeadModel(GPT2Config.from_preset("gpt-nano", vocab_size=65))
        >>> model.quantize().generate([1, 2, 3], max_new_tokens=4, seed=0).shape
        (7,)
        """
        if not self._is_plain():
            raise TypeError(
                f"quantize() knows the parts that {type(self).__name__} is made of; this model has "
                "others, or a forward of its own"
            )
        quantized = QuantizedCausalLM(
            pack(self, int8=True), copy.deepcopy(self.config), self.num_parameters()
        )
        quantized.generation_config = self.generation_config
        return quantized

    def _decoder(self) -> _core.Decoder | None:
        return decoder_of(self) if self._is_plain() else None

    def _is_plain(self) -> bool:
        """Tell whether the model computes what the class says, and nothing of a user's own."""
        return (
            type(self).forward is CausalLM.forward
            and all(type(module) in self.parts for module in self.base_model.modules())
            and type(self.lm_head) is nn.Linear
            and not any(module.has_hooks for module in self.modules())
        )

    def _read_prompt(
        self, decoder: _core.Decoder, ids: np.ndarray, states: tuple[np.ndarray, ...]
    ) -> None:
        if ids.shape[1] <= SHORT_PROMPT:
            super()._read_prompt(decoder, ids, states)
            return
        keys, values, lengths = states
        cache = self.base_model(ids, use_cache=True).past_key_values
        assert cache is not None  # which was asked for
        time = ids.shape[1]
        for layer, (key, value) in enumerate(cache.layers):
            keys[layer, :, :, :time] = key.numpy()
            values[layer, :, :, :time] = value.numpy()
        lengths[:] = time
