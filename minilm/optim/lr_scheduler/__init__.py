"""Learning rate schedules, with PyTorch's names, arguments and values.

The rate in an epoch is a function of the epoch and of the schedule's state, so a run that goes on
from a saved state has the same rates, to the last bit, as one that never stopped.
"""

from minilm.optim.lr_scheduler.base import ClosedFormLR, LRScheduler
from minilm.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from minilm.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from minilm.optim.lr_scheduler.factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from minilm.optim.lr_scheduler.one_cycle import OneCycleLR
from minilm.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ClosedFormLR",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
