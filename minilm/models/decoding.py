"""Packed weights for writing: made from a model when it is first asked to write, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from minilm import _core, nn

if TYPE_CHECKING:
    from minilm.models.rnn import RNNModel

CELLS = {nn.RNN: "rnn", nn.LSTM: "lstm", nn.GRU: "gru"}

# Beside the models, not in them: a model that has written can still be copied and saved. Each with
# the fingerprint of the weights that were packed.
_kept: WeakKeyDictionary[RNNModel, tuple[int, _core.Decoder]] = WeakKeyDictionary()


def decoder_of(model: RNNModel) -> _core.Decoder:
    """Return a model's packed weights, as they are now.

    They are kept, at the cost of as much memory again, until the model is gone, and packed again
    when a weight has changed, by whatever means: an edit through ``numpy()`` counts no version.
    Reading all weights to see it costs about as much as one token.

    Parameters
    ----------
    model : RNNModel
        One that `has_plain_parts`.
    """
    arrays = [np.ascontiguousarray(p.detach().numpy()) for p in model.parameters()]
    now = _core.fingerprint(arrays)
    before, decoder = _kept.get(model, (None, None))
    if decoder is None or before != now:
        decoder = pack(model)
        _kept[model] = now, decoder
    return decoder


def pack(model: RNNModel, int8: bool = False) -> _core.Decoder:
    """Pack the weights of an embedding, recurrent layers and a linear head, once."""
    layers = tuple(
        tuple(
            _array(model.rnn._parameters.get(f"{name}_l{layer}"))
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        for layer in range(model.rnn.num_layers)
    )
    return _core.Decoder(
        CELLS[type(model.rnn)],
        _array(model.embedding.weight),
        layers,
        _array(model.fc.weight),
        _array(model.fc.bias),
        int8=int8,
    )


def zero_states(decoder: _core.Decoder, batch: int) -> tuple[np.ndarray, ...]:
    """Return the states ``(layers, batch, hidden)`` of texts that have not begun."""
    count, layers, hidden = decoder.state_shape
    return tuple(np.zeros((layers, batch, hidden), np.float32) for _ in range(count))


def _array(parameter: Any) -> Any:
    return None if parameter is None else parameter.detach().numpy()


def has_plain_parts(model: RNNModel) -> bool:
    """Tell whether a model's parts are those that the decoder knows; users may put in others."""
    rnn, embedding, fc = model.rnn, model.embedding, model.fc
    return (
        type(embedding) is nn.Embedding
        and type(rnn) in CELLS
        and type(fc) is nn.Linear
        and type(model.drop) is nn.Dropout
        and not rnn.bidirectional
        and getattr(rnn, "nonlinearity", "tanh") == "tanh"
        and rnn.input_size == embedding.weight.shape[1]
        and (embedding.weight.shape[0], rnn.hidden_size) == tuple(fc.weight.shape)
    )
