"""Packed weights for writing: made from a model when it is first asked to write, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from minilm import _core, nn

if TYPE_CHECKING:
    from minilm.models.awd_lstm import AWDLSTM
    from minilm.models.base import LanguageModel
    from minilm.models.rnn import RNNModel

# A prompt of more tokens is read by the forward pass, whose products take many tokens at once.
SHORT_PROMPT = 32

CELLS = {
    nn.RNN: "rnn",
    nn.LSTM: "lstm",
    nn.GRU: "gru",
    nn.MinGRU: "mingru",
    nn.MinLSTM: "minlstm",
}

# Beside the models, not in them: a model that has written can still be copied and saved. Each with
# the fingerprint of the weights that were packed.
_kept: WeakKeyDictionary[LanguageModel, tuple[int, _core.Decoder]] = WeakKeyDictionary()


def decoder_of(model: LanguageModel) -> _core.Decoder:
    """Return a model's packed weights, as they are now.

    They are kept, at the cost of as much memory again, until the model is gone, and packed again
    when a weight has changed, by whatever means: an edit through ``numpy()`` counts no version.
    Reading all weights to see it costs about as much as one token.

    Parameters
    ----------
    model : LanguageModel
        One whose parts are those that its class makes.
    """
    arrays = [np.ascontiguousarray(p.detach().numpy()) for p in model.parameters()]
    now = _core.fingerprint(arrays)
    before, decoder = _kept.get(model, (None, None))
    if decoder is None or before != now:
        decoder = pack(model)
        _kept[model] = now, decoder
    return decoder


def pack(model: LanguageModel, int8: bool = False) -> _core.Decoder:
    """Pack the weights of a model that knows how, once."""
    return model._pack(int8)


def pack_rnn(model: RNNModel, int8: bool) -> _core.Decoder:
    """Pack the weights of an embedding, recurrent layers and a linear head."""
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


def pack_awd_lstm(model: AWDLSTM, int8: bool) -> _core.Decoder:
    """Pack the weights of a model whose layers may differ in width.

    The decoder's layers are all as wide as the widest. Units that are put in have weights and
    biases of 0, so their g is tanh(0) = 0, and their states stay 0.
    """
    lstms = [rnn.module for rnn in model.rnns]
    width = max(lstm.hidden_size for lstm in lstms)
    inputs = [lstms[0].input_size, *[width] * (len(lstms) - 1)]
    head = _array(model.fc.weight)
    return _core.Decoder(
        "lstm",
        _array(model.embedding.module.weight),
        tuple(_widened(lstm, size, width) for lstm, size in zip(lstms, inputs, strict=True)),
        padded(head, (len(head), width)),
        _array(model.fc.bias),
        int8=int8,
    )


def _widened(lstm: nn.LSTM, inputs: int, width: int) -> tuple[Any, ...]:
    """Return the weights of one layer as those of one with more inputs and units."""

    def widen(name: str, *columns: int) -> np.ndarray | None:
        weight = lstm._parameters[name]
        if weight is None:
            return None
        gates = _array(weight).reshape(4, lstm.hidden_size, *weight.shape[1:])
        return padded(gates, (4, width, *columns)).reshape(4 * width, *columns)

    return (
        widen("weight_ih_l0", inputs),
        widen("weight_hh_l0", width),
        widen("bias_ih_l0"),
        widen("bias_hh_l0"),
    )


def padded(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array with zeros behind it along each axis, up to a shape."""
    if array.shape == shape:
        return array
    wide = np.zeros(shape, array.dtype)
    wide[tuple(map(slice, array.shape))] = array
    return wide


def zero_states(
    decoder: _core.Decoder, batch: int, capacity: int | None = None
) -> tuple[np.ndarray, ...]:
    """Return the states of texts that have not begun.

    Parameters
    ----------
    decoder : _core.Decoder
        Packed weights.
    batch : int
        Texts side by side; they are on axis 1 of each state.
    capacity : int, optional
        How many positions a transformer's keys and values have room for; by default all that the
        model has.

    Returns
    -------
    tuple of ndarray
        ``(layers, batch, hidden)`` of a recurrent model, twice for an LSTM. Of a transformer keys
        and values ``(layers, batch, kv heads, capacity, head size)``, and how many positions of
        each text they hold, ``(1, batch)`` of int64.
    """
    return decoder.states(batch, capacity)


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
        and not any(module.has_hooks for module in model.modules())
        and not rnn.bidirectional
        and getattr(rnn, "nonlinearity", "tanh") == "tanh"
        and rnn.input_size == embedding.weight.shape[1]
        and (embedding.weight.shape[0], rnn.hidden_size) == tuple(fc.weight.shape)
    )
