"""Data sets with columns, as Hugging Face's: which a model takes, and how samples are joined."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from minilm.data.collators import DataCollatorWithPadding, default_data_collator
from minilm.training.arguments import TrainingArguments

LABELS = ("labels", "label", "label_ids")


def keep_columns(data: Any, model: Any, args: TrainingArguments) -> Any:
    """Return a data set with only those columns that the model's ``forward`` takes, and labels.

    Parameters
    ----------
    data : object
        One of Hugging Face's data sets; anything else is returned as it is.
    model : nn.Module
        Its ``forward`` names what it takes.
    args : TrainingArguments
        ``remove_unused_columns`` says whether to.

    Raises
    ------
    ValueError
        If no column is left.
    """
    columns = getattr(data, "column_names", None)
    if not (args.remove_unused_columns and columns and hasattr(data, "remove_columns")):
        return data
    parameters = inspect.signature(type(model).forward).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return data
    taken = {parameter.name for parameter in parameters} | {*LABELS, *(args.label_names or ())}
    unused = [name for name in columns if name not in taken]
    if len(unused) == len(columns):
        raise ValueError(
            f"the data set has the columns {', '.join(columns)}, but {type(model).__name__}'s "
            f"forward takes {', '.join(sorted(taken - {'self'}))}: tokenize the text first, or "
            "set remove_unused_columns=False"
        )
    return data.remove_columns(unused)


def collator_for(
    data: Any, tokenizer: Any, collate: Callable[[list[Any]], Any] | None
) -> Callable[[list[Any]], Any] | None:
    """Return what joins the samples of a data set: as told, or what goes with its kind.

    Samples with columns are stacked column by column, and filled up to one length where the
    tokenizer can. None leaves it to the `DataLoader`.
    """
    if collate is not None or not getattr(data, "column_names", None):
        return collate
    return (
        DataCollatorWithPadding(tokenizer) if hasattr(tokenizer, "pad") else default_data_collator
    )
