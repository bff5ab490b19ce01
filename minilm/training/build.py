"""Put an engine together, and give it back the run that it goes on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minilm.training.arguments import TrainingArguments
from minilm.training.checkpoint import CheckpointFolder
from minilm.training.engine import Engine, Validate
from minilm.training.estimate import require_room
from minilm.training.flow import steps_of
from minilm.training.identity import identity_of
from minilm.training.logs import RunLogs
from minilm.training.setup import (
    make_average,
    make_keep_best,
    make_optimizer,
    make_scheduler,
    prepare_model,
)
from minilm.training.trackers import make_trackers
from minilm.warn import warn_caller


def build_engine(
    model: Any,
    loader: Any,
    args: TrainingArguments,
    *,
    validate: Validate | None = None,
    optimizer: Any = None,
    scheduler: Any = None,
    callbacks: Sequence[Any] = (),
    tokenizer: Any = None,
    say: Callable[[str], object] | None = None,
) -> Engine:
    """Make an engine from arguments, where they say so in the middle of a run.

    Parameters
    ----------
    model : nn.Module
        To train.
    loader : DataLoader or StreamLoader
        What on.
    args : TrainingArguments
        How.
    validate : callable, optional
        See `Engine`.
    optimizer, scheduler : optional
        Instead of those that the arguments name.
    callbacks : sequence of TrainerCallback
        After those that keep the run's own files.
    tokenizer : tokenizers.Tokenizer, optional
        Saved with each checkpoint.
    say : callable, optional
        Told, in words, where a run goes on. Without it, a run that begins anew although it was to
        go on gives a warning.

    Returns
    -------
    Engine

    Raises
    ------
    DoesNotFitError
        If gradients and the optimizer's state alone take more memory than there is.
    CheckpointError
        If there is nothing to go on from, though a checkpoint was named; if it is damaged; or if
        it is of another run.
    ValueError
        If the model cannot recompute activations, though the arguments ask for it, or the optimizer
        holds another model's parameters.
    """
    prepare_model(model, args)
    require_room(model, args, None if optimizer is None else 0)
    if optimizer is None:
        optimizer = make_optimizer(model, args)
    else:
        _check_parameters(model, optimizer)
    if scheduler is None:
        scheduler = make_scheduler(optimizer, args, steps_of(loader, args)[1])
    own: list[Any] = list(make_keep_best(args))
    checkpoints = None
    if args.output_dir is not None:
        folder = Path(args.output_dir)
        own.append(RunLogs(folder))
        identity = identity_of(model, loader, tokenizer, optimizer, args)
        checkpoints = CheckpointFolder(folder, identity, tokenizer, args.save_total_limit)
    engine = Engine(
        model,
        loader,
        args,
        optimizer,
        scheduler,
        validate,
        [*own, *make_trackers(args), *callbacks],
        checkpoints,
        make_average(model, args),
    )
    if args.resume_from_checkpoint and checkpoints is not None:
        _resume(engine, checkpoints, args.resume_from_checkpoint, say)
    return engine


def _check_parameters(model: Any, optimizer: Any) -> None:
    """Raise if an optimizer would train another model."""
    ours = {id(parameter) for parameter in model.parameters()}
    theirs = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    foreign = sum(id(parameter) not in ours for parameter in theirs)
    if foreign:
        raise ValueError(
            f"the optimizer holds {foreign} of {len(theirs)} parameters that are not the model's: "
            "make it of model.parameters() of this very model"
        )


def _resume(
    engine: Engine,
    checkpoints: CheckpointFolder,
    where: str | bool,
    say: Callable[[str], object] | None,
) -> None:
    checkpoint = checkpoints.latest() if where is True else checkpoints.read(str(where))
    if checkpoint is None:
        (say or warn_caller)(f"{checkpoints.folder} has no checkpoint: the run begins anew")
        return
    engine.resume(checkpoint)
    checkpoints.clear_leftovers()
    if say is not None:
        say(f"going on from {checkpoint.folder}, after step {engine.state.global_step:,}")
