"""A recurrent language model in int8: a quarter of the memory, and several times as fast."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, Self, overload

import numpy as np

from minilm import _core
from minilm.models.base import LanguageModel
from minilm.models.decoding import zero_states
from minilm.models.output import CausalLMOutput, with_loss
from minilm.tensor import Tensor


class QuantizedRNNModel(LanguageModel):
    """What ``quantize`` of a recurrent model returns: it reads and writes, but does not learn.

    Every row of a weight matrix is kept as whole numbers from -127 to 127 and one scale, the
    states it is multiplied with as whole numbers of 12 bits; sums are exact. Biases, states and
    logits are float32. Dropout is off.

    Parameters
    ----------
    decoder : _core.Decoder
        Packed weights.
    config : dict
        That of the model they come from.

    Attributes
    ----------
    config : dict
        That of the model it was made from.
    """

    model_type: ClassVar[str] = "rnn"

    def __init__(self, decoder: _core.Decoder, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self._packed = decoder
        self.eval()

    @property
    def nbytes(self) -> int:
        """Memory that the weights take, in bytes."""
        return self._packed.nbytes

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

    def _decoder(self) -> _core.Decoder:
        return self._packed

    def state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: what was rounded away cannot be given back.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "a quantized model cannot be saved: save the model that it was made from, and call "
            "quantize() after loading"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # it never changes

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        parts = [f"{name}={value!r}" for name, value in self.config.items()]
        return ", ".join([*parts, "int8"])
