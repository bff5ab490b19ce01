"""Training and evaluation of language models."""

from minilm.data.stream import StreamLoader
from minilm.evaluation import Evaluation, evaluate
from minilm.training.callback import Callback
from minilm.training.diagnose import NonFiniteError
from minilm.training.engine import Engine
from minilm.training.history import EpochRecord, History
from minilm.training.loop import train, validate
from minilm.training.lr_find import lr_find
from minilm.training.lr_finding import LRFinding
from minilm.training.settings import Architecture, Settings

__all__ = [
    "Architecture",
    "Callback",
    "Engine",
    "EpochRecord",
    "Evaluation",
    "History",
    "LRFinding",
    "NonFiniteError",
    "Settings",
    "StreamLoader",
    "evaluate",
    "lr_find",
    "train",
    "validate",
]
