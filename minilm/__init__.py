"""minilm: build, train, study and run small language models on an ordinary CPU.

The names are PyTorch's, so that a tutorial written for ``import torch`` runs with
``import minilm as torch``. What costs time to import is imported when it is first used.
"""

from __future__ import annotations

import importlib
from math import inf as inf
from math import nan as nan
from math import pi as pi
from typing import TYPE_CHECKING, Any

from minilm import dtypes
from minilm.creation import arange as arange
from minilm.creation import empty as empty
from minilm.creation import eye as eye
from minilm.creation import from_numpy as from_numpy
from minilm.creation import full as full
from minilm.creation import full_like as full_like
from minilm.creation import linspace as linspace
from minilm.creation import multinomial as multinomial
from minilm.creation import ones as ones
from minilm.creation import ones_like as ones_like
from minilm.creation import rand as rand
from minilm.creation import rand_like as rand_like
from minilm.creation import randint as randint
from minilm.creation import randn as randn
from minilm.creation import randn_like as randn_like
from minilm.creation import randperm as randperm
from minilm.creation import tensor as tensor
from minilm.creation import zeros as zeros
from minilm.creation import zeros_like as zeros_like
from minilm.device import device as device
from minilm.dtypes import double as double
from minilm.dtypes import float16 as float16
from minilm.dtypes import float32 as float32
from minilm.dtypes import float64 as float64
from minilm.dtypes import half as half
from minilm.dtypes import int32 as int32
from minilm.dtypes import int64 as int64
from minilm.dtypes import long as long
from minilm.dtypes import uint8 as uint8
from minilm.grad_mode import enable_grad as enable_grad
from minilm.grad_mode import inference_mode as inference_mode
from minilm.grad_mode import is_grad_enabled as is_grad_enabled
from minilm.grad_mode import no_grad as no_grad
from minilm.grad_mode import set_grad_enabled as set_grad_enabled
from minilm.operations import abs as abs
from minilm.operations import add as add
from minilm.operations import all as all
from minilm.operations import allclose as allclose
from minilm.operations import amax as amax
from minilm.operations import amin as amin
from minilm.operations import any as any
from minilm.operations import argmax as argmax
from minilm.operations import argmin as argmin
from minilm.operations import argsort as argsort
from minilm.operations import bmm as bmm
from minilm.operations import cat as cat
from minilm.operations import chunk as chunk
from minilm.operations import clamp as clamp
from minilm.operations import clone as clone
from minilm.operations import cos as cos
from minilm.operations import cumsum as cumsum
from minilm.operations import detach as detach
from minilm.operations import div as div
from minilm.operations import equal as equal
from minilm.operations import exp as exp
from minilm.operations import flatten as flatten
from minilm.operations import flip as flip
from minilm.operations import gather as gather
from minilm.operations import index_select as index_select
from minilm.operations import isfinite as isfinite
from minilm.operations import isnan as isnan
from minilm.operations import log as log
from minilm.operations import log_softmax as log_softmax
from minilm.operations import masked_fill as masked_fill
from minilm.operations import matmul as matmul
from minilm.operations import max as max
from minilm.operations import maximum as maximum
from minilm.operations import mean as mean
from minilm.operations import min as min
from minilm.operations import minimum as minimum
from minilm.operations import mm as mm
from minilm.operations import mul as mul
from minilm.operations import neg as neg
from minilm.operations import norm as norm
from minilm.operations import numel as numel
from minilm.operations import outer as outer
from minilm.operations import permute as permute
from minilm.operations import pow as pow
from minilm.operations import relu as relu
from minilm.operations import reshape as reshape
from minilm.operations import scatter as scatter
from minilm.operations import sigmoid as sigmoid
from minilm.operations import sin as sin
from minilm.operations import softmax as softmax
from minilm.operations import sort as sort
from minilm.operations import split as split
from minilm.operations import sqrt as sqrt
from minilm.operations import squeeze as squeeze
from minilm.operations import stack as stack
from minilm.operations import std as std
from minilm.operations import sub as sub
from minilm.operations import sum as sum
from minilm.operations import tanh as tanh
from minilm.operations import topk as topk
from minilm.operations import transpose as transpose
from minilm.operations import tril as tril
from minilm.operations import triu as triu
from minilm.operations import unbind as unbind
from minilm.operations import unsqueeze as unsqueeze
from minilm.operations import var as var
from minilm.operations import where as where
from minilm.random import Generator as Generator
from minilm.random import default_generator as default_generator
from minilm.random import get_rng_state as get_rng_state
from minilm.random import initial_seed as initial_seed
from minilm.random import manual_seed as manual_seed
from minilm.random import seed as seed
from minilm.random import set_rng_state as set_rng_state
from minilm.tensor import Tensor as Tensor

# PyTorch's names of dtypes that are names of Python's types as well.
bool, int, float = dtypes.bool_, dtypes.int32, dtypes.float32

if TYPE_CHECKING:
    from minilm.data.collators import (
        DataCollatorForLanguageModeling as DataCollatorForLanguageModeling,
    )
    from minilm.data.collators import DataCollatorWithPadding as DataCollatorWithPadding
    from minilm.data.collators import default_data_collator as default_data_collator
    from minilm.data.dataset import TextDataset as TextDataset
    from minilm.data.vocab import Vocab as Vocab
    from minilm.generation.config import GenerationConfig as GenerationConfig
    from minilm.generation.logits_process import LogitsProcessorList as LogitsProcessorList
    from minilm.generation.stopping_criteria import StoppingCriteriaList as StoppingCriteriaList
    from minilm.generation.streamers import TextIteratorStreamer as TextIteratorStreamer
    from minilm.generation.streamers import TextStreamer as TextStreamer
    from minilm.models.auto import AutoConfig as AutoConfig
    from minilm.models.auto import AutoModelForCausalLM as AutoModelForCausalLM
    from minilm.models.auto import (
        AutoModelForSequenceClassification as AutoModelForSequenceClassification,
    )
    from minilm.models.awd_lstm import AWDLSTM as AWDLSTM
    from minilm.models.cache import DynamicCache as DynamicCache
    from minilm.models.configuration import DistilBertConfig as DistilBertConfig
    from minilm.models.configuration import GPT2Config as GPT2Config
    from minilm.models.configuration import LlamaConfig as LlamaConfig
    from minilm.models.distilbert import (
        DistilBertForSequenceClassification as DistilBertForSequenceClassification,
    )
    from minilm.models.distilbert import DistilBertModel as DistilBertModel
    from minilm.models.gpt2 import GPT2LMHeadModel as GPT2LMHeadModel
    from minilm.models.gpt2 import GPT2Model as GPT2Model
    from minilm.models.llama import LlamaForCausalLM as LlamaForCausalLM
    from minilm.models.llama import LlamaModel as LlamaModel
    from minilm.models.ngram import NGramModel as NGramModel
    from minilm.models.rnn import RNNModel as RNNModel
    from minilm.optim.schedules.by_name import get_scheduler as get_scheduler
    from minilm.pipelines.factory import pipeline as pipeline
    from minilm.runtime import compile as compile
    from minilm.runtime import get_num_threads as get_num_threads
    from minilm.runtime import set_num_threads as set_num_threads
    from minilm.runtime import show_config as show_config
    from minilm.serialization import load as load
    from minilm.serialization import save as save
    from minilm.tokenization.auto import AutoTokenizer as AutoTokenizer
    from minilm.tokenization.batch_encoding import BatchEncoding as BatchEncoding
    from minilm.tokenization.tokenizer import PreTrainedTokenizerFast as PreTrainedTokenizerFast
    from minilm.training.arguments import TrainingArguments as TrainingArguments
    from minilm.training.early_stopping import EarlyStoppingCallback as EarlyStoppingCallback
    from minilm.training.loop import train as train
    from minilm.training.loop import validate as validate
    from minilm.training.trainer import Trainer as Trainer

_LAZY = {
    "AWDLSTM": "minilm.models.awd_lstm",
    "AutoConfig": "minilm.models.auto",
    "AutoModelForCausalLM": "minilm.models.auto",
    "AutoModelForSequenceClassification": "minilm.models.auto",
    "AutoTokenizer": "minilm.tokenization.auto",
    "BatchEncoding": "minilm.tokenization.batch_encoding",
    "DataCollatorForLanguageModeling": "minilm.data.collators",
    "DataCollatorWithPadding": "minilm.data.collators",
    "DistilBertConfig": "minilm.models.configuration",
    "DistilBertForSequenceClassification": "minilm.models.distilbert",
    "DistilBertModel": "minilm.models.distilbert",
    "DynamicCache": "minilm.models.cache",
    "EarlyStoppingCallback": "minilm.training.early_stopping",
    "GPT2Config": "minilm.models.configuration",
    "GPT2LMHeadModel": "minilm.models.gpt2",
    "GPT2Model": "minilm.models.gpt2",
    "GenerationConfig": "minilm.generation.config",
    "LlamaConfig": "minilm.models.configuration",
    "LlamaForCausalLM": "minilm.models.llama",
    "LlamaModel": "minilm.models.llama",
    "LogitsProcessorList": "minilm.generation.logits_process",
    "NGramModel": "minilm.models.ngram",
    "PreTrainedTokenizerFast": "minilm.tokenization.tokenizer",
    "RNNModel": "minilm.models.rnn",
    "StoppingCriteriaList": "minilm.generation.stopping_criteria",
    "TextDataset": "minilm.data.dataset",
    "TextIteratorStreamer": "minilm.generation.streamers",
    "TextStreamer": "minilm.generation.streamers",
    "Trainer": "minilm.training.trainer",
    "TrainingArguments": "minilm.training.arguments",
    "Vocab": "minilm.data.vocab",
    "compile": "minilm.runtime",
    "default_data_collator": "minilm.data.collators",
    "get_num_threads": "minilm.runtime",
    "get_scheduler": "minilm.optim.schedules.by_name",
    "load": "minilm.serialization",
    "pipeline": "minilm.pipelines.factory",
    "save": "minilm.serialization",
    "set_num_threads": "minilm.runtime",
    "show_config": "minilm.runtime",
    "train": "minilm.training.loop",
    "validate": "minilm.training.loop",
}
_SUBPACKAGES = tuple(
    "backends cuda data evaluation generation models nn optim pipelines tokenization training "
    "utils".split()
)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
    elif name in _SUBPACKAGES:
        value = importlib.import_module(f"minilm.{name}")
    elif name == "__version__":
        value = importlib.import_module("minilm._core").config()["version"]
    else:
        raise AttributeError(f"module 'minilm' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_SUBPACKAGES, "__version__"})
