"""Send what a run logs to TensorBoard, Weights & Biases or MLflow, where they are installed."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from minilm.training.arguments import TrainingArguments, check_choice
from minilm.training.callback import TrainerCallback


def numbers(logs: dict[str, Any]) -> dict[str, float]:
    """Return the finite numbers of a log, under Hugging Face's names: ``train/loss``."""
    return {
        f"eval/{name[5:]}" if name.startswith("eval_") else f"train/{name}": float(value)
        for name, value in logs.items()
        if isinstance(value, (int, float)) and math.isfinite(value) and name != "step"
    }


class TensorBoardCallback(TrainerCallback):
    """Write event files for TensorBoard into ``runs`` in the run's folder.

    Parameters
    ----------
    writer : optional
        Has ``add_scalar(name, value, step)`` and ``close()``; by default that of ``tensorboardX``
        or of ``torch.utils.tensorboard``, whichever is installed.

    Raises
    ------
    ImportError
        When training begins, if neither is.
    """

    def __init__(self, writer: Any = None) -> None:
        self._writer = writer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the event file."""
        if self._writer is None:
            folder = Path(args.output_dir or ".") / "runs"
            self._writer = _tensorboard_writer()(str(folder))

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write a log's numbers."""
        for name, value in numbers(kwargs["logs"]).items():
            self._writer.add_scalar(name, value, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class WandbCallback(TrainerCallback):
    """Log to Weights & Biases.

    Parameters
    ----------
    client : optional
        The module ``wandb``, or what behaves like it.
    """

    def __init__(self, client: Any = None) -> None:
        self._client = client
        self._run: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin a run there."""
        client = self._client or _import("wandb")
        self._run = client.init(name=args.run_name, config=args.to_dict(), resume="allow")

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log a log's numbers."""
        self._run.log(numbers(kwargs["logs"]), step=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the run there."""
        if self._run is not None:
            self._run.finish()
            self._run = None


class MLflowCallback(TrainerCallback):
    """Log to MLflow.

    Parameters
    ----------
    client : optional
        The module ``mlflow``, or what behaves like it.
    """

    def __init__(self, client: Any = None) -> None:
        self._client = client
        self._begun = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin a run there."""
        self._client = self._client or _import("mlflow")
        self._client.start_run(run_name=args.run_name)
        self._begun = True
        self._client.log_params({name: str(value) for name, value in args.to_dict().items()})

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log a log's numbers."""
        for name, value in numbers(kwargs["logs"]).items():
            self._client.log_metric(name, value, step=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the run there."""
        if self._begun:
            self._client.end_run()
            self._begun = False


TRACKERS: dict[str, tuple[Callable[[], TrainerCallback], tuple[str, ...]]] = {
    "tensorboard": (TensorBoardCallback, ("tensorboardX", "tensorboard")),
    "wandb": (WandbCallback, ("wandb",)),
    "mlflow": (MLflowCallback, ("mlflow",)),
}


def make_trackers(args: TrainingArguments) -> Sequence[TrainerCallback]:
    """Return the callbacks that ``report_to`` names.

    Raises
    ------
    ValueError
        If there is none of a name.
    """
    wanted = [args.report_to] if isinstance(args.report_to, str) else args.report_to
    if wanted == ["none"]:
        return []
    if wanted == ["all"]:
        wanted = [name for name, (_, modules) in TRACKERS.items() if any(map(_there, modules))]
    for name in wanted:
        check_choice("report_to", name, (*TRACKERS, "all", "none"))
    return [TRACKERS[name][0]() for name in wanted]


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _tensorboard_writer() -> Any:
    for module in ("tensorboardX", "torch.utils.tensorboard"):
        with suppress(ImportError):  # torch has it, but only where tensorboard is
            return importlib.import_module(module).SummaryWriter
    raise ImportError(
        "logging to TensorBoard needs a writer of event files: pip install tensorboardX"
    )


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"report_to={name!r} needs the package: pip install {name}") from None
