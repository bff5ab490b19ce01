"""Keras's door to training: ``model.fit``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from minilm.data import DataLoader, Dataset, StreamLoader, TokenDataset
from minilm.lock import hold_folder
from minilm.random import default_generator, manual_seed
from minilm.training.arguments import TrainingArguments, check_names
from minilm.training.build import build_engine
from minilm.training.history import History, with_perplexity
from minilm.training.interrupt import warn_of_interrupt
from minilm.training.progress import Progress, is_watched
from minilm.training.setup import make_loader
from minilm.training.validation import make_validate


def fit(
    model: Any,
    train: Any,
    validation_data: Any = None,
    epochs: float = 1,
    batch_size: int = 32,
    optimizer: Any = "adamw",
    lr: float = 1e-3,
    callbacks: Any = (),
    verbose: str | int = "auto",
    **arguments: Any,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``.
    train : DataLoader, StreamLoader, Dataset or array of int
        What on; see :func:`minilm.training.setup.make_loader`.
    validation_data : Dataset, DataLoader or array of int, optional
        Measured after each epoch.
    epochs : float
        Passes over the training data.
    batch_size : int
        Sequences of a batch, where `train` is no loader.
    optimizer : str or optim.Optimizer
        "adamw", "adam", "sgd", "rmsprop", "adagrad", or an optimizer over the model's parameters.
    lr : float
        Learning rate, where `optimizer` is a name. It stays the same, unless `lr_scheduler_type`
        is given.
    callbacks : TrainerCallback or sequence of TrainerCallback
        :class:`EarlyStopping`, or one's own.
    verbose : {"auto", 0, 1, 2}
        0 is silent, 1 shows a progress bar, 2 a line an epoch; "auto" is 1 in terminals and
        notebooks, and 2 elsewhere.
    **arguments
        Any of :class:`TrainingArguments`: ``output_dir`` for a folder with checkpoints,
        ``resume_from_checkpoint``, ``max_grad_norm``, ``gradient_accumulation_steps``... Without
        a ``seed``, the default stream of random numbers goes on where it stands.

    Returns
    -------
    History
        Shows itself as curves and a table in a notebook.

    Raises
    ------
    NonFiniteError
        If a loss or a gradient becomes NaN or infinite.
    TypeError, ValueError
        If an argument is not what it should be.

    Examples
    --------
    >>> history = model.fit(train_ids, validation_data=valid_ids, epochs=10,
    ...                     callbacks=[EarlyStopping(patience=2)])
    >>> history.best("val_loss")
    """
    _check_known(arguments)
    args = TrainingArguments(
        **{
            "num_train_epochs": epochs,
            "per_device_train_batch_size": batch_size,
            "learning_rate": lr,
            "optim": optimizer if isinstance(optimizer, str) else "adamw",
            "lr_scheduler_type": "constant",
            "eval_strategy": "epoch",
            "logging_strategy": "epoch",
            "save_strategy": "epoch",
            "seed": int(default_generator.integers(0, 2**31, ())),  # of the order of the data
            **arguments,
        }
    )
    if "seed" in arguments:
        manual_seed(args.seed)
    with hold_folder(args.output_dir):
        engine = build_engine(
            model,
            make_loader(train, args, model),
            args,
            validate=None
            if validation_data is None
            else make_validate(model, validation_data, args),
            optimizer=None if isinstance(optimizer, str) else optimizer,
            callbacks=[*progress(verbose), *_listed(callbacks)],
        )
        history = engine.run()
    warn_of_interrupt(history, args.output_dir)
    return history


def _check_known(arguments: dict[str, Any]) -> None:
    """Raise ValueError for a name that `fit` does not have."""
    known = [column.name for column in fields(TrainingArguments)]
    check_names("fit", arguments, [*inspect.signature(fit).parameters, *known])


def _listed(callbacks: Any) -> Sequence[Any]:
    return callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]


def progress(verbose: str | int) -> list[Progress]:
    """Return what shows how training goes, as Keras's `verbose` says.

    Raises
    ------
    ValueError
        If it says something else.
    """
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"verbose must be 'auto', 0, 1 or 2; got {verbose!r}")
    if verbose == 0:
        return []
    return [Progress(bar=verbose == 1 or (verbose == "auto" and is_watched()))]


def fit_by_counting(model: Any, train: Any, validation_data: Any = None, **ignored: Any) -> History:
    """Have an n-gram model count a text, and return what it reaches; see `NGramModel.fit`."""
    _check_known(ignored)
    ids = _text_of(train)
    history = History(steps_per_epoch=1)
    history.start_clock()
    model.count(ids)
    loss = model.loss(ids) if len(ids) > 1 else 0.0
    history.add_step(loss, 0.0, 0.0, len(ids), history.seconds)
    metrics = {}
    if validation_data is not None:
        metrics = with_perplexity(model.loss(_text_of(validation_data)))
    history.add_record(1, 1, metrics)
    history.stop_clock()
    return history


def _text_of(data: Any) -> Any:
    """Return the ids of a text ``(time,)``, also where it was cut into windows already."""
    data = data.dataset if isinstance(data, DataLoader) else data
    if isinstance(data, (StreamLoader, TokenDataset)):
        return data.ids
    if isinstance(data, Dataset):
        raise TypeError(
            "an n-gram model counts a text, token after token, and samples are pieces of one: "
            f"give it the ids (time,) rather than a {type(data).__name__}"
        )
    return data
