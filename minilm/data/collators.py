"""From samples with names to one batch for a model, as ``transformers`` has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.creation import tensor
from minilm.data.collate import UnevenItemsError
from minilm.data.stream import IGNORED

LABELS = ("label", "label_ids")  # what data sets call the column that models call labels


def default_data_collator(
    features: Sequence[Mapping[str, Any]], return_tensors: str = "pt"
) -> dict[str, Any]:
    """Stack samples, column by column.

    Parameters
    ----------
    features : sequence of mapping
        Each has the same columns: numbers, or lists, arrays and tensors of one shape.
    return_tensors : {"pt", "np"}
        Tensors of minilm, or NumPy arrays.

    Returns
    -------
    dict
        ``(batch, ...)`` for each column; whole numbers as int64, others as float32. ``label`` and
        ``label_ids`` become ``labels``. Columns of text, or of nothing, are left out.

    Raises
    ------
    UnevenItemsError
        If samples differ in length; `DataCollatorWithPadding` fills them up.
    """
    batch = {}
    for name, first in features[0].items():
        if first is None or isinstance(first, str):
            continue
        values = [np.asarray(feature[name]) for feature in features]
        for position, value in enumerate(values):
            if value.shape != values[0].shape:
                raise UnevenItemsError(
                    f"cannot stack a batch: item {position}[{name!r}] has shape {value.shape}, but "
                    f"item 0[{name!r}] has shape {values[0].shape}. "
                    "DataCollatorWithPadding(tokenizer) fills up texts to one length",
                    position,
                )
        array = np.stack(values)
        array = array.astype(np.float32 if array.size and array.dtype.kind == "f" else np.int64)
        batch["labels" if name in LABELS else name] = (
            array if return_tensors == "np" else tensor(array)
        )
    return batch


@dataclass
class DataCollatorWithPadding:
    """Fill up the texts of a batch to the length of its longest, and stack them.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Knows how: its ``pad`` does the work.
    padding : bool or {"longest", "max_length"}
        To what length.
    max_length : int, optional
        For ``"max_length"``.
    pad_to_multiple_of : int, optional
        The length becomes the next multiple.
    return_tensors : {"pt", "np"}
        Tensors of minilm, or NumPy arrays.
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the batch: ``input_ids``, ``attention_mask`` and the other columns."""
        batch = self.tokenizer.pad(
            features,
            padding=self.padding,
            max_length=self.max_length,
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_tensors=self.return_tensors,
        )
        return {"labels" if name in LABELS else name: value for name, value in batch.items()}


@dataclass
class DataCollatorForLanguageModeling:
    """Fill up and stack texts, and copy them to ``labels``: each token is to be foretold.

    The model moves the labels by one itself. Places that were filled up get the label -100, which
    does not count. They are known by the attention mask, not by their token: where a tokenizer
    fills up with its ``eos_token``, the one that ends a text still counts, so that the model
    learns to end.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Knows how to fill up.
    mlm : bool
        Masked language modelling, as BERT is trained; there is no model for it here.
    pad_to_multiple_of : int, optional
        The length becomes the next multiple.
    return_tensors : {"pt", "np"}
        Tensors of minilm, or NumPy arrays.

    Raises
    ------
    ValueError
        If `mlm` is asked for.
    """

    tokenizer: Any
    mlm: bool = False
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __post_init__(self) -> None:
        if self.mlm:
            raise ValueError(
                "mlm=True hides tokens for a model that fills gaps, as BERT; minilm has no such "
                "model. Models that write on are trained with mlm=False"
            )

    def __call__(self, features: Sequence[Any]) -> dict[str, Any]:
        """Return the batch.

        Parameters
        ----------
        features : sequence
            Mappings with ``input_ids``, or just ids.

        Returns
        -------
        dict
            ``input_ids``, ``attention_mask``, ``labels``, all ``(batch, time)``.
        """
        samples = [
            {name: value for name, value in feature.items() if name != "labels"}
            if isinstance(feature, Mapping)
            else {"input_ids": feature}
            for feature in features
        ]
        batch = self.tokenizer.pad(
            samples,
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_attention_mask=True,
            return_tensors="np",
        )
        labels = np.where(batch["attention_mask"] == 0, IGNORED, batch["input_ids"])
        arrays = {**batch, "labels": labels}
        if self.return_tensors == "np":
            return arrays
        return {name: tensor(array) for name, array in arrays.items()}
