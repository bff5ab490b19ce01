"""Hyperparameter search: a grid, at random, by halving, or learning from trial to trial."""

from minilm.training.tuners import OptunaPruningCallback, RayReportCallback
from minilm.tuning.methods import grid, halving, random, tpe
from minilm.tuning.search import Plan, tune
from minilm.tuning.space import Choices, Range, Space, read_space
from minilm.tuning.study import Study, TrialResult

__all__ = [
    "Choices",
    "OptunaPruningCallback",
    "Plan",
    "Range",
    "RayReportCallback",
    "Space",
    "Study",
    "TrialResult",
    "grid",
    "halving",
    "random",
    "read_space",
    "tpe",
    "tune",
]
