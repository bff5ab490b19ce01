"""From arguments to the parts that an engine is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm import optim
from minilm.data import DataLoader, StreamLoader, TokenDataset
from minilm.optim.groups import decay_groups
from minilm.optim.schedules import get_scheduler
from minilm.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from minilm.random import Generator
from minilm.tensor import Tensor
from minilm.training.arguments import TrainingArguments
from minilm.training.early_stopping import KeepBest, best_metric

WINDOW = 64  # tokens through which gradients flow, where nobody says


def prepare_model(model: Any, args: TrainingArguments) -> None:
    """Have the model recompute its activations, where the arguments ask for that.

    Raises
    ------
    ValueError
        If it cannot.
    """
    if args.gradient_checkpointing:
        enable = getattr(model, "gradient_checkpointing_enable", None)
        if enable is None:
            raise ValueError(
                f"gradient_checkpointing=True is for the transformers of minilm.models, not for "
                f"{type(model).__name__}: run its stretches through "
                "minilm.utils.checkpoint.checkpoint"
            )
        enable()


def make_optimizer(model: Any, args: TrainingArguments) -> Any:
    """Make the optimizer that the arguments name, with weight decay for matrices only."""
    groups = decay_groups(model, args.weight_decay)
    lr = args.learning_rate
    adam: dict[str, Any] = {"betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}
    if args.optim == "adamw":
        return optim.AdamW(groups, lr=lr, **adam)
    if args.optim == "adam":
        return optim.Adam(groups, lr=lr, **adam)
    if args.optim == "sgd":
        return optim.SGD(groups, lr=lr, momentum=args.momentum)
    if args.optim == "rmsprop":
        return optim.RMSprop(groups, lr=lr)
    return optim.Adagrad(groups, lr=lr)


def make_scheduler(optimizer: Any, args: TrainingArguments, max_steps: int) -> Any:
    """Make the schedule that the arguments name."""
    warmup = args.warmup_steps
    steps = int(warmup) if warmup >= 1 else round(warmup * max_steps)
    return get_scheduler(
        args.lr_scheduler_type,
        optimizer,
        num_warmup_steps=steps,
        num_training_steps=max_steps,
        scheduler_specific_kwargs=args.lr_scheduler_kwargs,
    )


def make_average(model: Any, args: TrainingArguments) -> AveragedModel | None:
    """Make the average of the weights that the arguments ask for, if they do."""
    if not args.ema_decay:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(args.ema_decay))


def make_loader(data: Any, args: TrainingArguments, model: Any, collate: Any = None) -> Any:
    """Make a loader of whatever there is to train on.

    Parameters
    ----------
    data : DataLoader, StreamLoader, Dataset, sequence or array of int
        A loader is taken as it is. An array of ids ``(tokens,)`` becomes a stream for a model that
        carries a state, and windows in random order for any other. A data set's samples come in
        random order.
    args : TrainingArguments
        Batch size, seed, and whether a last batch that is not full counts.
    model : nn.Module
        For which it is.
    collate : callable, optional
        Joins samples.

    Raises
    ------
    TypeError
        If it is nothing of these.
    """
    if hasattr(data, "__iter__") and hasattr(data, "load_state_dict"):
        return data
    seed = args.seed if args.data_seed is None else args.data_seed
    if is_ids(data):
        ids = np.asarray(data)
        if hasattr(model, "forward_with_state"):
            window = min(WINDOW, max(len(ids) - 1, 1))
            return StreamLoader(ids, args.per_device_train_batch_size, window, seed=seed)
        window = min(window_of(model), max(len(ids) - 1, 1))
        data = TokenDataset(ids, window, stride=window)
    if isinstance(data, str) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise TypeError(
            "training data is a DataLoader, a StreamLoader, a Dataset with __len__ and "
            f"__getitem__, or an array of token ids; got {type(data).__name__}"
        )
    return DataLoader(
        data,
        args.per_device_train_batch_size,
        shuffle=True,
        collate_fn=collate,
        drop_last=args.dataloader_drop_last,
        generator=Generator(seed),
    )


def window_of(model: Any) -> int:
    """Return how many tokens a model reads at once, where it says so."""
    config = getattr(model, "config", {})
    for name in ("n_positions", "max_position_embeddings", "block_size"):
        found = config.get(name) if isinstance(config, dict) else getattr(config, name, None)
        if found:
            return int(found)
    return WINDOW


def is_ids(data: Any) -> bool:
    """Tell whether data is a text as token ids ``(tokens,)``."""
    if isinstance(data, (np.ndarray, Tensor)):
        return len(data.shape) == 1 and np.issubdtype(np.asarray(data).dtype, np.integer)
    return isinstance(data, (list, tuple)) and bool(data) and isinstance(data[0], int)


def make_keep_best(args: TrainingArguments) -> Sequence[KeepBest]:
    """Return the callback that notes which evaluation was best."""
    monitor, bigger = best_metric(args)
    wanted = args.load_best_model_at_end or args.save_strategy == "best"
    required = wanted or args.metric_for_best_model is not None
    return [KeepBest(monitor, bigger, args.load_best_model_at_end, required)]
