"""The tutorial's recurrent language model: embedding, recurrent layers, a score for each word."""

from __future__ import annotations

from typing import Any, ClassVar, overload

from minilm import _core, nn
from minilm.models.base import LanguageModel, detach_state
from minilm.models.checks import positive, share
from minilm.models.decoding import decoder_of, has_plain_parts, pack, pack_rnn
from minilm.models.output import CausalLMOutput, with_loss
from minilm.models.quantized import QuantizedRNNModel
from minilm.models.tying import tie_weights as tie
from minilm.tensor import Tensor

CELLS: dict[str, Any] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "mingru": nn.MinGRU,
    "minlstm": nn.MinLSTM,
}


class RNNModel(LanguageModel):
    """Predict the next token from all that came before it, through a recurrent state.

    Parameters
    ----------
    vocab_size : int
        Number of token types V.
    embed_size : int
        Length of a token's vector E.
    hidden_size : int
        Number of units H of each recurrent layer.
    cell : {"rnn", "lstm", "gru", "mingru", "minlstm"}
        Kind of recurrent layer.
    num_layers : int
        Recurrent layers, each reading the one below.
    dropout : float
        Share of each recurrent layer's outputs that is dropped in training, the last layer's
        included.
    tie_weights : bool
        Whether the head's weight is the embedding's; see `minilm.models.tying`. Both names are in
        `state_dict`, as in PyTorch.

    Attributes
    ----------
    embedding, rnn, fc : nn.Module
        The three parts, under the tutorial's names.
    config : dict
        The arguments above; ``RNNModel(**config)`` makes the same architecture again.

    Raises
    ------
    ValueError
        If a size is not positive, `dropout` is not in [0, 1), `cell` is unknown, or weights are to
        be tied and `hidden_size` is not `embed_size`.

    Examples
    --------
    >>> model = RNNModel(vocab_size=65, embed_size=32, hidden_size=64, cell="lstm")
    >>> model(minilm.zeros(2, 7, dtype=minilm.long)).shape
    (2, 7, 65)
    """

    model_type: ClassVar[str] = "rnn"

    def __init__(
        self,
        vocab_size: int,
        embed_size: int,
        hidden_size: int,
        cell: str = "rnn",
        num_layers: int = 1,
        dropout: float = 0.0,
        tie_weights: bool = False,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}; got {cell!r}")
        self.config: dict[str, Any] = {
            "vocab_size": positive("vocab_size", vocab_size),
            "embed_size": positive("embed_size", embed_size),
            "hidden_size": positive("hidden_size", hidden_size),
            "cell": cell,
            "num_layers": positive("num_layers", num_layers),
            "dropout": share("dropout", dropout),
            "tie_weights": bool(tie_weights),
        }
        self.embedding = nn.Embedding(vocab_size, embed_size)
        self.rnn = CELLS[cell](
            embed_size,
            hidden_size,
            num_layers,
            batch_first=True,
            # Between layers only, and a warning where there is just one: PyTorch's rule.
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_size, vocab_size)
        if tie_weights:
            tie(self.embedding, self.fc)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of the tokens' vectors."""
        table: nn.Embedding = self.embedding
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
            ``(batch, time)``, usually the ids themselves: they are shifted inside. -100 does not
            count.

        Returns
        -------
        Tensor or CausalLMOutput
            Logits ``(batch, time, vocab)``; those at position t are for the token at t + 1. With
            labels, an output with ``.loss`` and ``.logits``.
        """
        return with_loss(self.forward_with_state(x)[0], labels)

    def forward_with_state(
        self, x: Any, state: Any = None, *, detach: bool = True, starts: Any = None
    ) -> tuple[Tensor, Any]:
        """Score every next token, going on from `state`.

        Parameters
        ----------
        x : Tensor or ndarray of int
            Token ids ``(batch, time)``.
        state : Tensor or tuple of Tensor, optional
            What the last call returned: ``(layers, batch, hidden)``, and for an LSTM the pair
            of that and its cells. None is zeros.
        detach : bool
            Cut the state from the tape: gradients flow within a call, never back into the one
            before (truncated backpropagation through time). If not, they flow through it.
        starts : Tensor or ndarray of bool, optional
            ``(batch, time)``, true at the tokens that start a document: each is read from a state
            of zeros.

        Returns
        -------
        logits : Tensor
            ``(batch, time, vocab)``.
        state : Tensor or tuple of Tensor
            The state after the last token.
        """
        hidden, state = self.rnn(self.embedding(x), state, starts)
        return self.fc(self.drop(hidden)), detach_state(state) if detach else state

    def _decoder(self) -> _core.Decoder | None:
        return decoder_of(self) if self._is_plain() else None

    def _pack(self, int8: bool) -> _core.Decoder:
        return pack_rnn(self, int8)

    def _is_plain(self) -> bool:
        """Tell whether the model computes what the class says, and nothing of a user's own."""
        ours = (RNNModel.forward, RNNModel.forward_with_state)
        return (type(self).forward, type(self).forward_with_state) == ours and has_plain_parts(self)

    def quantize(self) -> QuantizedRNNModel:
        """Return the model in int8: weights take about a quarter of the memory.

        It computes logits and writes, several times as fast where the weights do not fit the
        caches, but does not learn; this model stays as it is. To keep it, save this one: rounding
        takes milliseconds.

        Returns
        -------
        QuantizedRNNModel

        Raises
        ------
        TypeError
            If the model computes something of its own: a subclass with another ``forward``, or
            one whose parts were replaced by others. Or if its cell is "mingru" or "minlstm", of
            which there is no int8 form.
        ValueError
            If a weight is not finite, or a layer has more than 8192 units.

        Examples
        --------
        >>> model = RNNModel(vocab_size=65, embed_size=32, hidden_size=64, cell="lstm")
        >>> model.quantize().generate([1, 2, 3], max_new_tokens=4, seed=0).shape
        (7,)
        """
        if isinstance(self.rnn, (nn.MinGRU, nn.MinLSTM)):
            raise TypeError(
                f"quantize(): there is no int8 form of {type(self.rnn).__name__}; it is there for "
                "the cells rnn (tanh), lstm and gru. The model itself generates and is evaluated "
                "in float32: leave quantize(), load_in_8bit=True or --int8 out"
            )
        if not self._is_plain():
            raise TypeError(
                "quantize() knows the parts that RNNModel is made of: nn.Embedding, a one-way "
                "nn.RNN (tanh), nn.LSTM or nn.GRU, nn.Linear; this model has others, or a forward "
                "of its own"
            )
        quantized = QuantizedRNNModel(pack(self, int8=True), self.config, self.num_parameters())
        quantized.generation_config = self.generation_config
        return quantized
