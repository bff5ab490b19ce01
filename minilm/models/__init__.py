"""Language models, all under one contract (see :mod:`minilm.models.base`)."""

from minilm.models.awd_lstm import AWDLSTM
from minilm.models.base import LanguageModel, logits_of
from minilm.models.folder import from_pretrained, load_tokenizer, save_pretrained
from minilm.models.ngram import NGramModel
from minilm.models.quantized import QuantizedRNNModel
from minilm.models.reading import window_loss
from minilm.models.rnn import RNNModel

__all__ = [
    "AWDLSTM",
    "LanguageModel",
    "NGramModel",
    "QuantizedRNNModel",
    "RNNModel",
    "from_pretrained",
    "load_tokenizer",
    "logits_of",
    "save_pretrained",
    "window_loss",
]
