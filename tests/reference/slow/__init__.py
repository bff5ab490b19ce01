"""The slow twins: what the C core computes, written from the equations in NumPy, float64.

``TWINS`` names the twin of every layer kind; ``layers`` explains what a twin is.
"""

from .attention import Attention, Rotary
from .layers import (
    Activation,
    CrossEntropy,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    LinearCrossEntropy,
    RMSNorm,
)
from .recurrent import GRU, LSTM, RNN, MinGRU, MinLSTM

TWINS = {
    "embedding": Embedding,
    "linear": Linear,
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "dropout": Dropout,
    "layernorm": LayerNorm,
    "rmsnorm": RMSNorm,
    "rotary": Rotary,
    "attention": Attention,
    "activation": Activation,
    "cross_entropy": CrossEntropy,
    "linear_cross_entropy": LinearCrossEntropy,
}

__all__ = ["TWINS"]
