"""Optimizers, with PyTorch's names, arguments and state.

Each step is one pass over memory in C, on all parameters of a group at once.
"""

from minilm.optim import lr_scheduler as lr_scheduler
from minilm.optim.adagrad import Adagrad
from minilm.optim.adam import Adam, AdamW
from minilm.optim.optimizer import Optimizer
from minilm.optim.rmsprop import RMSprop
from minilm.optim.sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]
