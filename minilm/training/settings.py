"""What can be chosen about a run, and what is chosen when nobody does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """What to train: a recurrent model's kind and sizes.

    Attributes
    ----------
    model : str
        "rnn", "lstm" or "gru".
    layers : int
        Recurrent layers.
    hidden : int
        Units of a layer.
    embed : int
        Length of a token's vector.
    dropout : float
        Share of each layer's outputs dropped in training.
    """

    model: str = "lstm"
    layers: int = 1
    hidden: int = 256
    embed: int = 128
    dropout: float = 0.2


@dataclass(frozen=True)
class Settings:
    """How to train it.

    Attributes
    ----------
    epochs : int
        Passes over the training text.
    batch_size : int
        Pieces of the text read side by side.
    seq_len : int
        Tokens through which gradients flow; the state is carried further.
    lr : float
        Highest learning rate of the schedule: a short warm-up, then half a cosine.
    weight_decay : float
        AdamW's, on matrices only; biases have nothing to gain from it.
    clip : float
        Largest norm of all gradients together; 0 does not clip.
    seed : int
        Of the weights, of dropout, and of where windows are cut.
    """

    epochs: int = 10
    batch_size: int = 16
    seq_len: int = 64
    lr: float = 1e-2
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
