"""Optimizers, learning rate schedules and averages of weights.

Names, arguments and state are PyTorch's; `get_scheduler` is Hugging Face's. Each step of an
optimizer is one pass over memory in C, on all parameters of a group at once.
"""

from minilm.optim import lr_scheduler as lr_scheduler
from minilm.optim import swa_utils as swa_utils
from minilm.optim.adagrad import Adagrad
from minilm.optim.adam import Adam, AdamW
from minilm.optim.groups import decay_groups
from minilm.optim.optimizer import Optimizer
from minilm.optim.rmsprop import RMSprop
from minilm.optim.schedules import get_scheduler
from minilm.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "decay_groups",
    "get_scheduler",
    "lr_scheduler",
    "swa_utils",
]
