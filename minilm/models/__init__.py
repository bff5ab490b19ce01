"""Models, all under one contract (see :mod:`minilm.models.base`), and the folders they live in."""

from minilm.models.attention_map import AttentionMap, plot_attention
from minilm.models.auto import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
)
from minilm.models.awd_lstm import AWDLSTM
from minilm.models.base import LanguageModel, logits_of
from minilm.models.cache import DynamicCache
from minilm.models.configuration import DistilBertConfig, GPT2Config, LlamaConfig
from minilm.models.conv1d import Conv1D
from minilm.models.distilbert import DistilBertForSequenceClassification, DistilBertModel
from minilm.models.errors import FolderError, HubError
from minilm.models.folder import from_pretrained, load_tokenizer, save_pretrained
from minilm.models.gpt2 import GPT2LMHeadModel, GPT2Model
from minilm.models.llama import LlamaForCausalLM, LlamaModel
from minilm.models.ngram import NGramModel
from minilm.models.output import CausalLMOutput, SequenceClassifierOutput
from minilm.models.pretrained import PretrainedModel
from minilm.models.pretrained_config import PretrainedConfig
from minilm.models.quantized import QuantizedCausalLM, QuantizedRNNModel
from minilm.models.reading import window_loss
from minilm.models.rnn import RNNModel
from minilm.models.summary import Summary, summary

__all__ = [
    "AWDLSTM",
    "AttentionMap",
    "AutoConfig",
    "AutoModelForCausalLM",
    "AutoModelForSequenceClassification",
    "CausalLMOutput",
    "Conv1D",
    "DistilBertConfig",
    "DistilBertForSequenceClassification",
    "DistilBertModel",
    "DynamicCache",
    "FolderError",
    "GPT2Config",
    "GPT2LMHeadModel",
    "GPT2Model",
    "HubError",
    "LanguageModel",
    "LlamaConfig",
    "LlamaForCausalLM",
    "LlamaModel",
    "NGramModel",
    "PretrainedConfig",
    "PretrainedModel",
    "QuantizedCausalLM",
    "QuantizedRNNModel",
    "RNNModel",
    "SequenceClassifierOutput",
    "Summary",
    "from_pretrained",
    "load_tokenizer",
    "logits_of",
    "plot_attention",
    "save_pretrained",
    "summary",
    "window_loss",
]
