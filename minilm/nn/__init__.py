"""Layers, containers, losses: PyTorch's ``torch.nn``."""

from minilm.nn import functional as functional
from minilm.nn import init as init
from minilm.nn import utils as utils
from minilm.nn.activation import GELU as GELU
from minilm.nn.activation import LogSoftmax as LogSoftmax
from minilm.nn.activation import ReLU as ReLU
from minilm.nn.activation import Sigmoid as Sigmoid
from minilm.nn.activation import SiLU as SiLU
from minilm.nn.activation import Softmax as Softmax
from minilm.nn.activation import Tanh as Tanh
from minilm.nn.container import ModuleList as ModuleList
from minilm.nn.container import Sequential as Sequential
from minilm.nn.dropout import Dropout as Dropout
from minilm.nn.embedding import Embedding as Embedding
from minilm.nn.layernorm import LayerNorm as LayerNorm
from minilm.nn.linear import Linear as Linear
from minilm.nn.loss import CrossEntropyLoss as CrossEntropyLoss
from minilm.nn.loss import MSELoss as MSELoss
from minilm.nn.loss import NLLLoss as NLLLoss
from minilm.nn.module import Module as Module
from minilm.nn.parameter import Parameter as Parameter
from minilm.nn.recurrent import GRU as GRU
from minilm.nn.recurrent import LSTM as LSTM
from minilm.nn.recurrent import RNN as RNN
