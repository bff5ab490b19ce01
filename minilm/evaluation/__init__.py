"""Honest evaluation: what a model reaches, on what terms, beside what, and what it copied."""

from minilm.evaluation.evaluate import evaluate
from minilm.evaluation.memorisation import Copied, Memorisation, memorisation
from minilm.evaluation.result import (
    CalibrationBin,
    Detail,
    Evaluation,
    Surprise,
    TokenCost,
    gap,
    perplexity,
)
from minilm.evaluation.yardstick import Yardstick, yardstick

__all__ = [
    "CalibrationBin",
    "Copied",
    "Detail",
    "Evaluation",
    "Memorisation",
    "Surprise",
    "TokenCost",
    "Yardstick",
    "evaluate",
    "gap",
    "memorisation",
    "perplexity",
    "yardstick",
]
