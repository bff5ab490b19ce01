"""AWD-LSTM: an LSTM with every kind of dropout that helps it, and penalties on its activations.

Merity, Keskar & Socher 2017, *Regularizing and optimizing LSTM language models*,
https://arxiv.org/abs/1708.02182. Without more data or units, this is what made LSTMs strong.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, overload
from weakref import WeakKeyDictionary

import minilm.nn.functional as F
from minilm import _core, nn
from minilm.models.base import LanguageModel, detach_state
from minilm.models.checks import not_negative, positive, share
from minilm.models.decoding import decoder_of, pack, pack_awd_lstm, padded
from minilm.models.output import CausalLMOutput, with_loss
from minilm.models.quantized import QuantizedRNNModel
from minilm.models.tying import INIT_RANGE
from minilm.models.tying import tie_weights as tie
from minilm.nn import init
from minilm.operations import cat
from minilm.tensor import Tensor

# What the last layer put out in training, before and after its dropout. Beside the models, not in
# them: it stands on the tape, and what does cannot be copied.
_outputs: WeakKeyDictionary[AWDLSTM, tuple[Tensor, Tensor]] = WeakKeyDictionary()

# The shares are those of the authors' code for the Penn Treebank, a text of 5 million characters or
# a million words, with half of its units (characters: https://arxiv.org/abs/1803.08240).
PRESETS: dict[str, dict[str, Any]] = {
    "char": {
        "embed_size": 200,
        "hidden_size": 500,
        "num_layers": 3,
        "output_dropout": 0.1,
        "hidden_dropout": 0.25,
        "input_dropout": 0.1,
        "embedding_dropout": 0.0,
        "weight_drop": 0.5,
        "alpha": 0.0,
        "beta": 0.0,
    },
    "word": {
        "embed_size": 200,
        "hidden_size": 575,
        "num_layers": 3,
        "output_dropout": 0.4,
        "hidden_dropout": 0.25,
        "input_dropout": 0.4,
        "embedding_dropout": 0.1,
        "weight_drop": 0.5,
        "alpha": 2.0,
        "beta": 1.0,
    },
}


class AWDLSTM(LanguageModel):
    """Predict the next token with a heavily regularised LSTM.

    The defaults are those of the paper's code for the words of the Penn Treebank.

    Parameters
    ----------
    vocab_size : int
        Number of token types V.
    embed_size : int
        Length of a token's vector E.
    hidden_size : int
        Number of units H of each layer; of the last one, E where weights are tied.
    num_layers : int
        LSTM layers, each reading the one below.
    tie_weights : bool
        Whether the head's weight is the embedding's; see `minilm.models.tying`.
    output_dropout : float
        ``dropout`` in the paper's code: share of the last layer's units that is dropped, the same
        ones at every time step.
    hidden_dropout : float
        ``dropouth``: likewise between layers.
    input_dropout : float
        ``dropouti``: likewise of the tokens' vectors.
    embedding_dropout : float
        ``dropoute``: share of the token types whose vectors are dropped, wherever they occur.
    weight_drop : float
        ``wdrop``: share of each layer's recurrent weights that is dropped.
    alpha, beta : float
        Weights of the penalties that :meth:`penalty` returns: on activations of the last layer
        (AR), and on their changes from step to step (TAR).

    Attributes
    ----------
    embedding : nn.EmbeddingDropout
        The tokens' vectors.
    rnns : nn.ModuleList of nn.WeightDrop
        The layers, each an ``nn.LSTM``.
    fc : nn.Linear
        The head.
    drop_input, drop_hidden, drop_output : nn.LockedDropout
        Dropout below, between and above the layers.
    config : dict
        The arguments above; ``AWDLSTM(**config)`` makes the same architecture again.

    Raises
    ------
    ValueError
        If a size is not positive, a share is not in [0, 1), or a weight of a penalty is negative.

    Examples
    --------
    >>> model = AWDLSTM(vocab_size=65, embed_size=32, hidden_size=64, num_layers=2)
    >>> model(minilm.zeros(2, 7, dtype=minilm.long)).shape
    (2, 7, 65)
    >>> AWDLSTM.preset("char", vocab_size=65, weight_drop=0.3)
    """

    model_type: ClassVar[str] = "awd_lstm"

    def __init__(
        self,
        vocab_size: int,
        embed_size: int = 400,
        hidden_size: int = 1150,
        num_layers: int = 3,
        tie_weights: bool = True,
        output_dropout: float = 0.4,
        hidden_dropout: float = 0.25,
        input_dropout: float = 0.4,
        embedding_dropout: float = 0.1,
        weight_drop: float = 0.5,
        alpha: float = 2.0,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "vocab_size": positive("vocab_size", vocab_size),
            "embed_size": positive("embed_size", embed_size),
            "hidden_size": positive("hidden_size", hidden_size),
            "num_layers": positive("num_layers", num_layers),
            "tie_weights": bool(tie_weights),
            "output_dropout": share("output_dropout", output_dropout),
            "hidden_dropout": share("hidden_dropout", hidden_dropout),
            "input_dropout": share("input_dropout", input_dropout),
            "embedding_dropout": share("embedding_dropout", embedding_dropout),
            "weight_drop": share("weight_drop", weight_drop),
            "alpha": not_negative("alpha", alpha),
            "beta": not_negative("beta", beta),
        }
        last = embed_size if tie_weights else hidden_size
        widths = [embed_size, *[hidden_size] * (num_layers - 1), last]
        table = nn.Embedding(vocab_size, embed_size)
        self.embedding = nn.EmbeddingDropout(table, embedding_dropout)
        self.rnns = nn.ModuleList(
            nn.WeightDrop(nn.LSTM(below, width, batch_first=True), "weight_hh_l0", weight_drop)
            for below, width in zip(widths, widths[1:], strict=False)
        )
        self.fc = nn.Linear(last, vocab_size)
        self.drop_input = nn.LockedDropout(input_dropout, batch_first=True)
        self.drop_hidden = nn.LockedDropout(hidden_dropout, batch_first=True)
        self.drop_output = nn.LockedDropout(output_dropout, batch_first=True)
        self._start_weights()

    @classmethod
    def preset(cls, level: str, vocab_size: int, **changes: Any) -> Self:
        """Make a model of a size that a laptop trains.

        Parameters
        ----------
        level : {"char", "word"}
            What tokens are; `PRESETS` has the arguments.
        vocab_size : int
            Number of token types.
        **changes
            Arguments that shall differ.

        Raises
        ------
        ValueError
            If `level` is neither.
        """
        if level not in PRESETS:
            raise ValueError(f"level must be one of {', '.join(PRESETS)}; got {level!r}")
        return cls(vocab_size, **{**PRESETS[level], **changes})

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of the tokens' vectors."""
        table: nn.Embedding = self.embedding.module
        return table

    def get_output_embeddings(self) -> nn.Linear:
        """Return the head."""
        head: nn.Linear = self.fc
        return head

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
            Logits ``(batch, time, vocab)``; those at position t are for the token at t + 1. With
            labels, an output with ``.loss`` and ``.logits``.
        """
        return with_loss(self.forward_with_state(x)[0], labels)

    def forward_with_state(
        self,
        x: Any,
        state: tuple[Tensor, ...] | None = None,
        *,
        detach: bool = True,
        starts: Any = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Score every next token, going on from `state`.

        Parameters
        ----------
        x : Tensor or ndarray of int
            Token ids ``(batch, time)``.
        state : tuple of Tensor, optional
            What the last call returned. None is zeros.
        detach : bool
            Cut the state from the tape; see `RNNModel.forward_with_state`.
        starts : Tensor or ndarray of bool, optional
            ``(batch, time)``, true at the tokens that start a document.

        Returns
        -------
        logits : Tensor
            ``(batch, time, vocab)``.
        state : tuple of Tensor
            h and c of the first layer, h and c of the next, ..., each ``(1, batch, width)``, after
            the last token.

        Raises
        ------
        ValueError
            If `state` is that of a model with other layers.
        """
        hidden = self.drop_input(self.embedding(x))
        after: list[Tensor] = []
        for layer, (rnn, before) in enumerate(zip(self.rnns, self._pairs(state), strict=True)):
            if layer > 0:
                hidden = self.drop_hidden(hidden)
            hidden, pair = rnn(hidden, before, starts)
            after += pair
        dropped = self.drop_output(hidden)
        _outputs.pop(self, None)
        if self.training:
            _outputs[self] = hidden, dropped
        return self.fc(dropped), detach_state(tuple(after)) if detach else tuple(after)

    def penalty(self) -> Tensor | None:
        """Return AR and TAR of the last forward pass, and let go of them.

        ``alpha mean(m^2 h^2) + beta mean((h_t - h_{t-1})^2)``, with h the output of the last layer
        and m the mask of its dropout (Merity et al. 2017, section 4.6); see
        `LanguageModel.penalty` for what to do with it.

        Returns
        -------
        Tensor or None
            None after a forward pass in evaluation mode, and where `alpha` and `beta` are 0.
        """
        outputs = _outputs.pop(self, None)
        alpha, beta = self.config["alpha"], self.config["beta"]
        if outputs is None or alpha == beta == 0:
            return None
        hidden, dropped = outputs
        small = F.activation_regularization(dropped, alpha)
        return small + F.temporal_activation_regularization(hidden, beta, batch_first=True)

    def _pairs(self, state: tuple[Tensor, ...] | None) -> list[tuple[Tensor, Tensor] | None]:
        """Return h and c of each layer; None for zeros."""
        layers = len(self.rnns)
        if state is None:
            return [None] * layers
        if not isinstance(state, (tuple, list)) or len(state) != 2 * layers:
            got = len(state) if isinstance(state, (tuple, list)) else type(state).__name__
            raise ValueError(
                f"AWDLSTM: expected as state the {2 * layers} tensors that forward_with_state "
                f"returned, h and c of each of {layers} layers, got {got}: is it the state of "
                "another model?"
            )
        return list(zip(state[::2], state[1::2], strict=True))

    def _start_weights(self) -> None:
        """Draw the weights of embedding and head as the paper's code does."""
        if self.config["tie_weights"]:
            tie(self.embedding.module, self.fc)
        else:
            for weight in (self.embedding.module.weight, self.fc.weight):
                init.uniform_(weight, -INIT_RANGE, INIT_RANGE)
        init.zeros_(self.fc.bias)

    # --- writing in the core ---

    def quantize(self) -> QuantizedRNNModel:
        """Return the model in int8, which reads and writes; see `RNNModel.quantize`.

        Raises
        ------
        TypeError
            If the model computes something of its own.
        ValueError
            If a weight is not finite, or a layer has more than 8192 units.
        """
        if not self._is_plain():
            raise TypeError(
                "quantize() knows the parts that AWDLSTM is made of; this model has others, or a "
                "forward of its own"
            )
        quantized = QuantizedRNNModel(pack(self, int8=True), self.config, self.num_parameters())
        quantized.generation_config = self.generation_config
        return quantized

    def _decoder(self) -> _core.Decoder | None:
        return decoder_of(self) if self._is_plain() else None

    def _pack(self, int8: bool) -> _core.Decoder:
        return pack_awd_lstm(self, int8)

    def _decoder_state(self, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        width = max(part.shape[-1] for part in state)
        wide = [Tensor(padded(part.numpy(), (*part.shape[:-1], width))) for part in state]
        return cat(wide[::2]), cat(wide[1::2])

    def _is_plain(self) -> bool:
        """Tell whether the model computes what the class says, and nothing of a user's own."""
        ours = (AWDLSTM.forward, AWDLSTM.forward_with_state)
        drops = (self.drop_input, self.drop_hidden, self.drop_output)
        return (
            (type(self).forward, type(self).forward_with_state) == ours
            and type(self.embedding) is nn.EmbeddingDropout
            and type(self.embedding.module) is nn.Embedding
            and all(_is_plain_layer(rnn) for rnn in self.rnns)
            and all(type(drop) is nn.LockedDropout for drop in drops)
            and type(self.fc) is nn.Linear
        )


def _is_plain_layer(rnn: Any) -> bool:
    return (
        type(rnn) is nn.WeightDrop
        and type(rnn.module) is nn.LSTM
        and (rnn.module.num_layers, rnn.module.bidirectional) == (1, False)
        and rnn.module.batch_first
    )
