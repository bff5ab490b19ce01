"""Training of language models: one engine behind ``fit``, ``Trainer`` and the command line."""

from minilm.data.stream import StreamLoader
from minilm.evaluation import Evaluation, evaluate
from minilm.training.arguments import TrainingArguments
from minilm.training.callback import TrainerCallback, TrainerControl, TrainerState
from minilm.training.checkpoint import CheckpointError, CheckpointFolder
from minilm.training.diagnose import NonFiniteError
from minilm.training.diagnostics import Diagnostics, read_diagnostics
from minilm.training.early_stopping import EarlyStopping, EarlyStoppingCallback
from minilm.training.engine import Engine
from minilm.training.fit import fit
from minilm.training.history import History
from minilm.training.loop import train, validate
from minilm.training.lr_find import lr_find
from minilm.training.lr_finding import LRFinding
from minilm.training.prediction import EvalPrediction, PredictionOutput
from minilm.training.recipe import Recipe
from minilm.training.search import BestRun
from minilm.training.settings import Architecture, Settings
from minilm.training.trackers import MLflowCallback, TensorBoardCallback, WandbCallback
from minilm.training.trainer import Trainer, TrainOutput
from minilm.training.tuners import OptunaPruningCallback, RayReportCallback

__all__ = [
    "Architecture",
    "BestRun",
    "CheckpointError",
    "CheckpointFolder",
    "Diagnostics",
    "EarlyStopping",
    "EarlyStoppingCallback",
    "Engine",
    "EvalPrediction",
    "Evaluation",
    "History",
    "LRFinding",
    "MLflowCallback",
    "NonFiniteError",
    "OptunaPruningCallback",
    "PredictionOutput",
    "RayReportCallback",
    "Recipe",
    "Settings",
    "StreamLoader",
    "TensorBoardCallback",
    "TrainOutput",
    "Trainer",
    "TrainerCallback",
    "TrainerControl",
    "TrainerState",
    "TrainingArguments",
    "WandbCallback",
    "evaluate",
    "lr_find",
    "fit",
    "read_diagnostics",
    "train",
    "validate",
]
