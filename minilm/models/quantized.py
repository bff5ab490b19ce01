"""Language models in int8: a quarter of the memory, and several times as fast."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, Self, overload

import numpy as np

from minilm import _core
from minilm.models.base import LanguageModel
from minilm.models.decoding import zero_states
from minilm.models.inputs import checked_ids, checked_mask
from minilm.models.output import CausalLMOutput, causal_lm_loss, with_loss
from minilm.models.pretrained_config import PretrainedConfig
from minilm.tensor import Tensor


class QuantizedModel(LanguageModel):
    """Packed weights as a model: it reads and writes, but does not learn.

    Every row of a weight matrix is kept as whole numbers from -127 to 127 and one scale, what it
    is multiplied with as whole numbers of 12 bits; sums are exact. Dropout is off.

    Parameters
    ----------
    decoder : _core.Decoder
        Packed weights.
    config : dict or PretrainedConfig
        That of the model they come from.
    num_parameters : int
        How many it has.
    """

    def __init__(self, decoder: _core.Decoder, config: Any, num_parameters: int) -> None:
        super().__init__(config)
        self._packed = decoder
        self._num_parameters = num_parameters
        self.eval()

    def num_parameters(self) -> int:
        """Return how many numbers the model has learned; what is shared counts once."""
        return self._num_parameters

    def summary(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: packed weights have no parts.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            f"a quantized model is packed weights, {self.nbytes / 2**20:.3g} MiB for "
            f"{self._num_parameters:,} parameters, and has no parts to list: call summary on the "
            "model that it was made from"
        )

    @property
    def nbytes(self) -> int:
        """Memory that the weights take, in bytes."""
        return self._packed.nbytes

    def _decoder(self) -> _core.Decoder:
        return self._packed

    def _read_prompt(
        self, decoder: _core.Decoder, ids: np.ndarray, states: tuple[np.ndarray, ...]
    ) -> None:
        decoder.read(ids, states, logits=False)

    def state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: what was rounded away cannot be given back.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "a quantized model cannot be saved: save the model that it was made from, and load it "
            "with from_pretrained(folder, load_in_8bit=True), or call quantize() after loading"
        )

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: packed weights do not change.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "a quantized model has packed weights, to which no rows can be added: call "
            "resize_token_embeddings on the model that it was made from, then quantize()"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # it never changes


class QuantizedRNNModel(QuantizedModel):
    """What ``quantize`` of a recurrent model returns.

    Biases, states and logits are float32; see :class:`QuantizedModel`.

    Parameters
    ----------
    decoder : _core.Decoder
        Packed weights.
    config : dict
        That of the model they come from.
    num_parameters : int
        How many it has.

    Attributes
    ----------
    config : dict
        That of the model it was made from.
    """

    model_type: ClassVar[str] = "rnn"

    def __init__(self, decoder: _core.Decoder, config: dict[str, Any], num_parameters: int) -> None:
        super().__init__(decoder, dict(config), num_parameters)

    @overload
    def forward(self, x: Any, labels: None = None) -> Tensor: ...
    @overload
    def forward(self, x: Any, labels: Any) -> CausalLMOutput: ...
    def forward(self, x: Any, labels: Any = None) -> Tensor | CausalLMOutput:
        """Score every next token, from a zero state.

        Parameters
        ----------
        x : Tensor or ndarray of int
            Token ids ``(batch, time)``.
        labels : Tensor or ndarray of int, optional
            ``(batch, time)``, as for :meth:`RNNModel.forward`.

        Returns
        -------
        Tensor or CausalLMOutput
            Logits ``(batch, time, vocab)``, without a gradient. With labels, an output with
            ``.loss`` and ``.logits``.
        """
        return with_loss(self.forward_with_state(x)[0], labels)

    def forward_with_state(
        self, x: Any, state: Any = None, *, detach: bool = True
    ) -> tuple[Tensor, Any]:
        """Score every next token, going on from `state`.

        Parameters
        ----------
        x : Tensor or ndarray of int
            Token ids ``(batch, time)``.
        state : Tensor or tuple of Tensor, optional
            What the last call returned, as for :meth:`RNNModel.forward_with_state`. None is
            zeros.
        detach : bool
            Without effect: nothing is recorded on the tape.

        Returns
        -------
        logits : Tensor
            ``(batch, time, vocab)``, without a gradient.
        state : Tensor or tuple of Tensor
            The state after the last token.

        Raises
        ------
        ValueError
            If `x` or a state has other axes.
        TypeError
            If `x` is not of integers.
        """
        ids = np.array(x.numpy() if isinstance(x, Tensor) else x)
        if ids.ndim != 2:
            raise ValueError(f"ids have the axes (batch, time); got the shape {ids.shape}")
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"token ids are integers; got {ids.dtype}")
        states = zero_states(self._packed, len(ids))
        if state is not None:
            parts = state if isinstance(state, tuple) else (state,)
            states = tuple(np.array(part.numpy()) for part in parts)
        logits = self._packed.read(ids.astype(np.int64, order="C"), states)
        after = tuple(Tensor(part) for part in states)
        return Tensor(logits), after if len(after) > 1 else after[0]

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        parts = [f"{name}={value!r}" for name, value in self.config.items()]
        return ", ".join([*parts, "int8"])


class QuantizedCausalLM(QuantizedModel):
    """What ``quantize`` of GPT-2 or Llama returns.

    Norms, biases, positions, keys, values and logits are float32; see :class:`QuantizedModel`.

    Parameters
    ----------
    decoder : _core.Decoder
        Packed weights.
    config : PretrainedConfig
        That of the model that they come from.
    num_parameters : int
        How many it has.
    """

    model_type: ClassVar[str] = "quantized"  # of no folder: it cannot be saved
    config: PretrainedConfig

    @property
    def max_length(self) -> int:
        """The longest sequence that the model reads at once."""
        longest: int = self.config.max_position_embeddings
        return longest

    def forward(
        self, input_ids: Any, attention_mask: Any = None, labels: Any = None
    ) -> CausalLMOutput:
        """Score every next token.

        Parameters
        ----------
        input_ids : Tensor, ndarray or nested list of int
            Token ids ``(batch, time)``.
        attention_mask : Tensor or ndarray, optional
            ``(batch, time)``, 1 for a token and 0 for padding, on whichever side: a text gets the
            logits that it gets alone, padding gets 0.
        labels : Tensor or ndarray of int, optional
            ``(batch, time)``, as for :meth:`CausalLM.forward`.

        Returns
        -------
        CausalLMOutput
            Logits ``(batch, time, vocab)``, without a gradient, and with labels a loss.

        Raises
        ------
        TypeError, ValueError, IndexError
            As :meth:`CausalLM.forward`.
        """
        ids = checked_ids(input_ids, self.config.vocab_size, self.max_length)
        mask = checked_mask(attention_mask, *ids.shape)
        logits = Tensor(self._read(ids) if mask is None else self._read_masked(ids, mask))
        loss = None if labels is None else causal_lm_loss(logits, labels)
        return CausalLMOutput(loss=loss, logits=logits)

    def _read(self, ids: np.ndarray) -> np.ndarray:
        ids = np.array(ids, np.int64, order="C")
        logits = self._packed.read(ids, zero_states(self._packed, *ids.shape))
        assert logits is not None  # which it is where they are not asked for
        return logits

    def _read_masked(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        logits = np.zeros((*ids.shape, self.config.vocab_size), np.float32)
        for text, seen in enumerate(mask):
            if seen.any():
                logits[text, seen] = self._read(ids[None, text, seen])[0]
        return logits

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return f"{self.config.model_type}, int8"
