"""What a run will take, measured before it starts."""

from __future__ import annotations

import copy
import dataclasses
import gc
import statistics
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from minilm import _core
from minilm.data.stream import Window
from minilm.memory import available_memory
from minilm.training.arguments import TrainingArguments
from minilm.training.batch import batch_loss
from minilm.training.callback import TrainerCallback
from minilm.training.engine import Engine
from minilm.training.flow import steps_of
from minilm.training.setup import make_optimizer, prepare_model
from minilm.training.snapshot import random_streams_kept

MIB = 1 << 20
STEPS = 3  # the first one warms caches up and does not count
STATES = {"adamw": 2, "adam": 2, "rmsprop": 1, "adagrad": 1, "sgd": 1}  # copies of the weights


class DoesNotFitError(MemoryError):
    """A run would take more memory than there is; the message says what has to change."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes
    ----------
    weights, optimizer, activations : int
        Bytes of the weights with their gradients and kept copies, of what the optimizer
        remembers, and of all else that a step needs.
    available : int or None
        Bytes that there are.
    batch_size, largest_batch_size : int
        Sequences of a batch, and how many would fit; the same where `available` is None.
    steps_per_epoch : int
    seconds_per_step : float or None
        Median of the steps measured; None where they would not fit.
    """

    weights: int
    optimizer: int
    activations: int
    available: int | None
    batch_size: int
    largest_batch_size: int
    steps_per_epoch: int
    seconds_per_step: float | None = None

    @property
    def memory(self) -> int:
        """Bytes that the run will take at its peak, beside the program itself."""
        return self.weights + self.optimizer + self.activations

    @property
    def fits(self) -> bool:
        """Tell whether there is enough memory."""
        return self.available is None or self.memory <= self.available

    @property
    def seconds_per_epoch(self) -> float | None:
        """What the training steps of an epoch will take; evaluation comes on top."""
        if self.seconds_per_step is None:
            return None
        return self.seconds_per_step * self.steps_per_epoch

    def require_fit(self) -> None:
        """Raise unless there is enough memory.

        Raises
        ------
        DoesNotFitError
            With the batch size that would fit, or, where none does, what the model alone takes.
        """
        if self.fits or self.available is None:
            return
        lead = (
            f"the run would take {_mib(self.memory)} MiB, but {_mib(self.available)} MiB are free"
        )
        if self.largest_batch_size:
            raise DoesNotFitError(
                f"{lead}: lower the batch size from {self.batch_size} to at most "
                f"{self.largest_batch_size} (gradient accumulation keeps what a step sees), or "
                "shorten the sequences"
            )
        fixed = _mib(self.weights + self.optimizer)
        raise DoesNotFitError(
            f"{lead}, and not even one sequence at a time fits: weights, gradients and the "
            f"optimizer's state take {fixed} MiB alone. A smaller model is needed, or "
            "shorter sequences"
        )

    def __str__(self) -> str:
        parts = [
            f"memory    {_mib(self.memory)} MiB: weights {_mib(self.weights)}, "
            f"optimizer {_mib(self.optimizer)}, step {_mib(self.activations)}",
        ]
        if self.available is not None:
            parts.append(f"free      {_mib(self.available)} MiB")
        if self.seconds_per_epoch is not None:
            parts.append(
                f"an epoch  {self.seconds_per_epoch:,.1f} s: {self.steps_per_epoch:,} steps of "
                f"{1000 * (self.seconds_per_step or 0):,.1f} ms, evaluation not counted"
            )
        return "\n".join(parts)


def _mib(size: int) -> str:
    """Say bytes in MiB, small ones to a thousandth."""
    mib = size / MIB
    return f"{mib:,.0f}" if mib >= 10 else f"{mib:.3g}"


def require_room(
    model: Any, args: TrainingArguments, states: int | None = None, *, made: bool = True
) -> None:
    """Raise if what training keeps of all weights is alone more than there is memory for.

    A bound from below, which costs nothing, for every run; `estimate` measures the rest.

    Parameters
    ----------
    model : nn.Module
        To train.
    args : TrainingArguments
        How.
    states : int, optional
        Copies of the weights that the optimizer keeps; by default as many as the one that the
        arguments name.
    made : bool
        Whether the weights are in memory already, and so do not count.

    Raises
    ------
    DoesNotFitError
        With what it takes, and what there is.
    """
    states = STATES[args.optim] if states is None else states
    parameters = sum(4 * p.numel() for p in model.parameters() if p.requires_grad)
    copies = 1 + states + bool(args.ema_decay) + args.load_best_model_at_end  # 1: gradients
    copies += not made
    available = available_memory()
    if available is not None and copies * parameters > available:
        what = "gradients" if made else "weights, gradients"
        raise DoesNotFitError(
            f"the run would take {_mib(copies * parameters)} MiB for {what}, the optimizer's state "
            f"and kept copies, but {_mib(available)} MiB are free. Whatever the batch size, a "
            "smaller model is needed"
        )


def estimate(model: Any, loader: Any, args: TrainingArguments, *, timed: bool = True) -> Estimate:
    """Measure what a run will take; model, loader and random streams stay as they are.

    The memory of a step grows linearly with the batch, so it is measured on the first batch's
    first sequence and its first two. Only if that says that all of them fit, three whole steps
    are taken, on a copy of the model.

    Parameters
    ----------
    model : nn.Module
        To train.
    loader : DataLoader or StreamLoader
        What on.
    args : TrainingArguments
        How.
    timed : bool
        Take the three steps; without them there is no time.

    Returns
    -------
    Estimate
    """
    with _untouched(loader):
        batch = next(iter(loader))
    rows = _rows(batch)
    with _untouched(loader), _one_thread():
        twin = copy.deepcopy(model)
        prepare_model(twin, args)
        one = _step_bytes(twin, _first_rows(batch, 1))
        two = _step_bytes(twin, _first_rows(batch, min(2, rows))) if rows > 1 else one
    each = max(two - one, 0)
    parameters = sum(4 * p.numel() for p in model.parameters() if p.requires_grad)
    copies = 2 + bool(args.ema_decay) + args.load_best_model_at_end  # weights and gradients
    weights, optimizer = copies * parameters, STATES[args.optim] * parameters
    first = max(one - parameters, each)  # the gradients of the probe are among the weights
    available = available_memory()
    largest = rows
    if available is not None:
        left = available - weights - optimizer - first
        largest = 0 if left < 0 else min(rows, 1 + (left // each if each else rows))
    found = Estimate(
        weights,
        optimizer,
        first + (rows - 1) * each,
        available,
        rows,
        largest,
        steps_of(loader, args)[0],
    )
    if not (timed and found.fits):
        return found
    return dataclasses.replace(found, seconds_per_step=_seconds_per_step(twin, loader, args))


def _seconds_per_step(twin: Any, loader: Any, args: TrainingArguments) -> float:
    timing = _Timing()
    args = dataclasses.replace(
        args, output_dir=None, max_steps=STEPS, logging_strategy="no", eval_strategy="no"
    )
    with _untouched(loader):
        Engine(twin, loader, args, make_optimizer(twin, args), callbacks=[timing]).run()
    return statistics.median(timing.seconds[1:] or timing.seconds)


class _Timing(TrainerCallback):
    """Notes what each step takes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds.append(kwargs["history"].last_step_seconds)


def _step_bytes(model: Any, batch: Any) -> int:
    """Return the bytes that a forward and a backward pass over a batch take at their peak."""
    gc.collect()  # what is let go of meanwhile by others would be counted as less
    _core.empty_cache()
    before = _core.buffer_stats()["used"]
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    tracemalloc.reset_peak()
    start, _ = tracemalloc.get_traced_memory()
    model.train()
    try:
        loss, _ = batch_loss(model, batch)
        loss.backward()
        _, peak = tracemalloc.get_traced_memory()
        stats = _core.buffer_stats()
    finally:
        if not was_tracing:
            tracemalloc.stop()
        model.zero_grad()
    # What the core has let go of waits in its cache, so both together are the most it had.
    return peak - start + stats["used"] + stats["kept"] - before


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run on one thread, since on more it is chance whether their scratch is held at one time."""
    threads = _core.get_num_threads()
    _core.set_num_threads(1)
    try:
        yield
    finally:
        _core.set_num_threads(threads)


@contextmanager
def _untouched(loader: Any) -> Iterator[None]:
    """Put loader and random streams back at the end of the block."""
    where = loader.state_dict()
    try:
        with random_streams_kept():
            yield
    finally:
        loader.load_state_dict(where)


def _rows(batch: Any) -> int:
    part = next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0]
    return len(part)


def _first_rows(batch: Any, count: int) -> Any:
    if isinstance(batch, Mapping):
        return {name: part[:count] for name, part in batch.items()}
    if isinstance(batch, Window):
        starts = None if batch.starts is None else batch.starts[:count]
        inputs, targets = batch
        return Window(
            inputs[:count], targets[:count], starts=starts, cuts=batch.cuts, carry=batch.carry
        )
    return type(batch)(part[:count] for part in batch)
