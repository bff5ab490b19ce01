"""The run's own files: ``history.csv``, a row an evaluation, and ``log.jsonl``, a line a log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minilm.atomic import atomic_write
from minilm.json_text import finite
from minilm.training.callback import TrainerCallback

HISTORY = "history.csv"
LOG = "log.jsonl"


class RunLogs(TrainerCallback):
    """Write both, from the start; where a run goes on, what came after its checkpoint is cut off.

    Parameters
    ----------
    folder : Path
        The run's; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self._history = Path(folder) / HISTORY
        self._log = Path(folder) / LOG

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write what is known so far."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(map(_line, state.log_history)).encode("utf-8")
        atomic_write(self._log, lambda file: file.write(lines))
        self._write_history(kwargs["history"])

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add a line."""
        with open(self._log, "a", encoding="utf-8", newline="\n") as file:
            file.write(_line(kwargs["logs"]))

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add a row."""
        self._write_history(kwargs["history"])

    def _write_history(self, history: Any) -> None:
        if history.records:
            history.to_csv(self._history)


def _line(logs: dict[str, Any]) -> str:
    return json.dumps(finite(logs), ensure_ascii=False, allow_nan=False) + "\n"
