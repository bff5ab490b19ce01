"""The models that ``minilm train`` makes, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minilm.models import AWDLSTM, RNNModel
from minilm.models.awd_lstm import PRESETS as AWD_PRESETS

if TYPE_CHECKING:
    from minilm.training.settings import Architecture


@dataclass(frozen=True)
class Kind:
    """A kind of model, and what suits it when nobody says otherwise.

    Attributes
    ----------
    build : callable
        Makes one: takes an `Architecture`, the number of token types, the tokens that are read at
        once, and what a token is ("char", "word", "bpe").
    lr : float
        Highest learning rate.
    """

    build: Callable[[Architecture, int, int, str], Any]
    lr: float


def build_model(chosen: Architecture, vocab_size: int, seq_len: int, level: str) -> Any:
    """Make the model that an architecture describes.

    Parameters
    ----------
    chosen : Architecture
        Its kind and sizes.
    vocab_size : int
        Number of token types.
    seq_len : int
        Tokens that a transformer reads at once.
    level : str
        What a token is: "char", "word" or "bpe".

    Raises
    ------
    ValueError
        If a size does not fit the kind; the message says which.
    """
    return KINDS[chosen.model].build(chosen, vocab_size, seq_len, level)


def _given(chosen: Architecture, **names: str) -> dict[str, Any]:
    """Return the sizes that were chosen, under the names that a model has for them."""
    return {
        theirs: getattr(chosen, ours)
        for ours, theirs in names.items()
        if getattr(chosen, ours) is not None
    }


def _refuse(chosen: Architecture, *names: str) -> None:
    given = [f"--{name}" for name in names if getattr(chosen, name) not in (None, False)]
    if given:
        raise ValueError(f"a model of the kind {chosen.model!r} has no {', '.join(given)}")


def _recurrent(chosen: Architecture, vocab_size: int, seq_len: int, level: str) -> RNNModel:
    _refuse(chosen, "heads")
    hidden = 256 if chosen.hidden is None else chosen.hidden
    embed = (hidden if chosen.tie else 128) if chosen.embed is None else chosen.embed
    return RNNModel(
        vocab_size,
        embed,
        hidden,
        chosen.model,
        1 if chosen.layers is None else chosen.layers,
        0.2 if chosen.dropout is None else chosen.dropout,
        chosen.tie,
    )


def _awd_lstm(chosen: Architecture, vocab_size: int, seq_len: int, level: str) -> AWDLSTM:
    _refuse(chosen, "heads", "dropout")
    sizes = _given(chosen, layers="num_layers", hidden="hidden_size", embed="embed_size")
    return AWDLSTM.preset(level if level in AWD_PRESETS else "word", vocab_size, **sizes)


def _gpt(chosen: Architecture, vocab_size: int, seq_len: int, level: str) -> Any:
    from minilm.models import GPT2Config, GPT2LMHeadModel

    _refuse(chosen, "embed", "tie")
    sizes = _given(chosen, layers="n_layer", hidden="n_embd", heads="n_head")
    dropout = 0.0 if chosen.dropout is None else chosen.dropout
    rest: dict[str, Any] = {"vocab_size": vocab_size, "n_positions": seq_len}
    rest |= {"bos_token_id": None, "eos_token_id": None}
    rest |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    if chosen.model == "gpt":  # nanoGPT's sizes for a processor without a GPU
        config = GPT2Config(**{"n_layer": 4, "n_head": 4, "n_embd": 128, **sizes, **rest})
    else:
        config = GPT2Config.from_preset(chosen.model, **sizes, **rest)
    return GPT2LMHeadModel(config)


KINDS = {
    "rnn": Kind(_recurrent, 1e-2),
    "lstm": Kind(_recurrent, 1e-2),
    "gru": Kind(_recurrent, 1e-2),
    "mingru": Kind(_recurrent, 1e-2),
    "minlstm": Kind(_recurrent, 1e-2),
    "awd-lstm": Kind(_awd_lstm, 4e-3),
    "gpt": Kind(_gpt, 1e-3),
    "gpt-nano": Kind(_gpt, 1e-3),
    "gpt-mini": Kind(_gpt, 1e-3),
    "gpt2": Kind(_gpt, 3e-4),
}
