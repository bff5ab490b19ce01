"""What a run's health is told from: a line on some of its steps in ``diagnostics.jsonl``."""

from __future__ import annotations

import json
import math
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.atomic import atomic_write
from minilm.data.stream import IGNORED, Window
from minilm.json_text import finite
from minilm.training.callback import TrainerCallback
from minilm.training.diagnose import NonFiniteError
from minilm.training.probe import probe
from minilm.training.replay import norm

DIAGNOSTICS = "diagnostics.jsonl"
SAMPLES = 30  # evenly spaced; the powers of two, where most happens, come on top of them
DIGITS = 4


class Diagnostics(TrainerCallback):
    """Look inside a model on some steps of its training, and write down what is seen.

    Steps 1, 2, 4, 8 ..., some spread evenly, and the last: about forty a run, which take a
    hundredth of the time of a run of two thousand steps, and less of a longer one. It changes
    nothing: the run has the same bits without it. `minilm.doctor` reads what it writes.

    A line holds ``step``, ``max_steps``, ``epoch``, ``lr``, ``clip`` (the largest norm allowed)
    and, of all steps since the line before, ``loss`` (mean, nats a token), ``max_loss``,
    ``max_grad_norm`` and ``clipped``, the share of steps whose gradients were clipped. Of the step
    itself: ``grad_norms`` by parameter, before clipping, and ``update_ratios``, the norm of a
    parameter's change divided by its own norm before it. Of its last batch: ``copied_targets`` and
    ``next_targets``, the shares of targets that are the input at the same place, and at the next;
    ``unknown``, the share of inputs that are unknown tokens; and what
    :func:`minilm.training.probe.probe` sees, or, if a model cannot be read by a few lanes alone,
    ``unseen``, the reason. Of the order of the data: ``passes`` so far, how many
    of them were ``repeated_passes``, with the batches of the one before in the same order, and
    whether it is a ``stream``, whose order must stay. A run that ended in a loss or gradient that
    is no number has a last line with ``error``.

    Parameters
    ----------
    unknown_id : int, optional
        The id that stands for tokens which are not in the vocabulary.

    Attributes
    ----------
    samples : list of dict
        The lines so far. They are written where the run has a folder.
    """

    def __init__(self, unknown_id: int | None = None) -> None:
        self.unknown_id = unknown_id
        self.samples: list[dict[str, Any]] = []
        self._since = _Since()
        self._order = _Order()
        self._sample: dict[str, Any] = {}  # of the step that is under way, if it is to have one
        self._before: dict[str, np.ndarray] = {}
        self._path: Path | None = None
        self._outer: BaseException | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget an earlier run, unless this one goes on with it, and write what is known."""
        self._outer = sys.exception()
        self._sample, self._before = {}, {}
        if state.global_step == 0:
            self.samples, self._since, self._order = [], _Since(), _Order()
        self._path = None if args.output_dir is None else Path(args.output_dir) / DIAGNOSTICS
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(map(_line, self.samples)).encode("utf-8")
            atomic_write(self._path, lambda file: file.write(text))

    def on_after_backward(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at gradients and batch, on a step that is to have a line."""
        batches = kwargs["batches"]
        self._order.add(batches)
        self._sample = {}
        if not is_sampled(state.global_step + 1, state.max_steps):
            return
        self._sample["grad_norms"] = {
            name: norm(parameter.grad.numpy())
            for name, parameter in kwargs["model"].named_parameters()
            if parameter.grad is not None
        }
        if (pair := ids_and_targets(batches[-1])) is not None:
            self._sample |= batch_shares(*pair, self.unknown_id)
            if np.isfinite(list(self._sample["grad_norms"].values())).all():
                self._sample |= _look(kwargs["model"], *pair)

    def on_after_clip(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the step."""
        limit = args.max_grad_norm
        self._since.add(kwargs["grad_norm"], bool(limit) and kwargs["grad_norm"] > limit)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remember the weights."""
        if self._sample:
            self._sample["lr"] = kwargs["optimizer"].param_groups[0]["lr"]
            self._before = {
                name: parameter.detach().numpy().copy()
                for name, parameter in kwargs["model"].named_parameters()
            }

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See how far they went."""
        if self._sample:
            self._sample["update_ratios"] = {
                name: norm(parameter.detach().numpy() - before) / whole
                for name, parameter in kwargs["model"].named_parameters()
                if (whole := norm(before := self._before[name]))
            }
            self._before = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the line."""
        engine, history = kwargs["engine"], kwargs["history"]
        if engine.pass_steps >= engine.steps_per_epoch:
            self._order.end_pass()
        if self._sample:
            about = {
                "step": state.global_step,
                "max_steps": state.max_steps,
                "epoch": state.epoch,
                "clip": args.max_grad_norm,
            }
            since = self._since.figures(history.step_losses)
            self._write({**about, **since, **self._order.figures(), **self._sample})
            self._sample, self._since = {}, _Since()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say so, if what ends the run is a number that is none."""
        error = sys.exception()  # the engine tells of the end while an error is on its way out
        if isinstance(error, NonFiniteError) and error is not self._outer:
            step = {"step": state.global_step + 1, "max_steps": state.max_steps}
            self._write({**step, "epoch": state.epoch, "error": str(error)})

    def _write(self, sample: dict[str, Any]) -> None:
        self.samples.append(_rounded(sample))
        if self._path is not None:
            with open(self._path, "a", encoding="utf-8", newline="\n") as file:
                file.write(_line(self.samples[-1]))

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {
            "lines": "".join(map(_line, self.samples)),
            "since": asdict(self._since),
            "order": asdict(self._order),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.samples = _parse(state["lines"])
        self._since = _Since(**state["since"])
        self._order = _Order(**state["order"])


def is_sampled(step: int, max_steps: int) -> bool:
    """Tell whether a step, counted from 1, has a line."""
    every = -(-max_steps // SAMPLES)
    return step & (step - 1) == 0 or step % every == 0 or step == max_steps


def read_diagnostics(folder: str | Path) -> list[dict[str, Any]]:
    """Return the lines that a run's folder holds; none where it has no such file.

    A last line that is being written, or was cut off by a crash, does not count.
    """
    path = Path(folder) / DIAGNOSTICS
    return _parse(path.read_text("utf-8")) if path.is_file() else []


def ids_and_targets(batch: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a batch's inputs and targets ``(batch, time)``, or None where it has no such thing.

    Of a mapping, whose labels stand where their inputs do, the targets are moved one to the left.
    """
    if isinstance(batch, Mapping):
        if not {"input_ids", "labels"} <= set(batch):
            return None
        inputs, labels = np.asarray(batch["input_ids"]), np.asarray(batch["labels"])
        if labels.ndim != 2 or labels.shape != inputs.shape:
            return None
        return inputs[:, :-1], labels[:, 1:]
    inputs, targets = (np.asarray(part) for part in batch)
    fits = inputs.ndim == 2 and inputs.shape == targets.shape and inputs.dtype.kind in "iu"
    return (inputs, targets) if fits else None


def batch_shares(
    inputs: np.ndarray, targets: np.ndarray, unknown_id: int | None = None
) -> dict[str, float]:
    """Return shares of a batch ``(batch, time)``; see `Diagnostics`."""
    counted = targets != IGNORED
    shares = {}
    if counted.any():
        shares["copied_targets"] = float((targets == inputs)[counted].mean())
    if counted[:, :-1].any():
        shares["next_targets"] = float((targets[:, :-1] == inputs[:, 1:])[counted[:, :-1]].mean())
    if unknown_id is not None:
        shares["unknown"] = float((inputs == unknown_id).mean())
    return shares


def _look(model: Any, inputs: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
    """Look into a model; a run is not to end because that is not possible."""
    try:
        return probe(model, inputs, targets)
    except Exception as error:
        return {"unseen": f"{type(error).__name__}: {error}"}


@dataclass
class _Since:
    """What happened on the steps since the last line."""

    steps: int = 0
    clipped: int = 0
    max_grad_norm: float = 0.0

    def add(self, grad_norm: float, clipped: bool) -> None:
        self.steps += 1
        self.clipped += clipped
        self.max_grad_norm = max(self.max_grad_norm, grad_norm)

    def figures(self, losses: Sequence[float]) -> dict[str, float]:
        recent = losses[-self.steps :]
        return {
            "loss": sum(recent) / len(recent),
            "max_loss": max(recent),
            "max_grad_norm": self.max_grad_norm,
            "clipped": self.clipped / self.steps,
        }


@dataclass
class _Order:
    """A digest of the batches of this pass, and of the pass before."""

    stream: bool = False
    passes: int = 0
    repeated: int = 0
    now: int = 0
    before: int = 0

    def add(self, batches: Sequence[Any]) -> None:
        for batch in batches:
            self.stream = isinstance(batch, Window)
            parts = batch.values() if isinstance(batch, Mapping) else batch
            for array in map(np.ascontiguousarray, parts):
                if array.dtype.kind in "iufb":  # others hold addresses, not values
                    self.now = zlib.crc32(array.tobytes(), self.now)

    def end_pass(self) -> None:
        self.repeated += self.passes > 0 and self.now == self.before
        self.passes += 1
        self.before, self.now = self.now, 0

    def figures(self) -> dict[str, Any]:
        return {
            "passes": self.passes,
            "repeated_passes": int(self.repeated),
            "stream": self.stream,
        }


def _line(sample: dict[str, Any]) -> str:
    return json.dumps(finite(sample), ensure_ascii=False, allow_nan=False) + "\n"


def _parse(text: str) -> list[dict[str, Any]]:
    """Return samples; a null, which `_line` made of a number that was not finite, is infinity.

    So the sample of a run that diverged compares as what it is.
    """
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [_with_infinity(json.loads(line)) for line in lines]


def _with_infinity(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_infinity(item) for name, item in value.items()}
    return math.inf if value is None else value


def _rounded(value: Any) -> Any:
    """Cut numbers to the digits that mean something, at any depth."""
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
