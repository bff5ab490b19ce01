"""What a tokenizer returns: a mapping whose values a model takes by name."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from minilm.creation import tensor
from minilm.methods.conversion import parse_to

if TYPE_CHECKING:
    from tokenizers import Encoding

KINDS = (None, "np", "pt")


class BatchEncoding(UserDict[Any, Any]):
    """A mapping with ``input_ids`` and what goes with them, for ``model(**encoding)``.

    Values are read as attributes too: ``encoding.input_ids``. A number as key gives the
    `tokenizers.Encoding` of that text, a slice cuts all values.

    Parameters
    ----------
    data : mapping, optional
        For each name lists of numbers: of a text, or of each text of a batch.
    encoding : Encoding or sequence of Encoding, optional
        What `tokenizers` made, a text each.
    tensor_type : {None, "np", "pt"}
        See `convert_to_tensors`.

    Raises
    ------
    ValueError
        If texts differ in length, so that no tensor can hold them.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | None = None,
        tensor_type: str | None = None,
    ) -> None:
        super().__init__(data or {})
        several = encoding is None or isinstance(encoding, Sequence)
        self._encodings: Any = encoding if several else [encoding]
        self.convert_to_tensors(tensor_type)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.data[key]
        if isinstance(key, slice):
            return {name: value[key] for name, value in self.data.items()}
        return self._of_text(key)

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is no attribute; `data` itself is missing while a copy is made.
        data = self.__dict__.get("data", {})
        if name in data:
            return data[name]
        raise AttributeError(f"BatchEncoding has no {name!r} (it has {', '.join(data)})")

    @property
    def encodings(self) -> Sequence[Encoding] | None:
        """What `tokenizers` made, a text each; None after `pad`."""
        return self._encodings  # type: ignore[no-any-return]

    @property
    def is_fast(self) -> bool:
        """Whether `encodings` are there, and with them `tokens` and `word_ids`."""
        return self._encodings is not None

    def tokens(self, batch_index: int = 0) -> list[str]:
        """Return the tokens of a text."""
        return list(self._of_text(batch_index).tokens)

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return for each token of a text the number of its word; None for special tokens."""
        return list(self._of_text(batch_index).word_ids)

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return for each token whether it is of the first (0) or second (1) text of a pair."""
        return list(self._of_text(batch_index).sequence_ids)

    def to(self, device: Any) -> Self:
        """Return the encoding itself: it is on the CPU.

        Raises
        ------
        RuntimeError
            If another device than ``"cpu"`` is asked for.
        """
        parse_to(device)
        return self

    def convert_to_tensors(self, tensor_type: str | None = None) -> Self:
        """Turn the lists into arrays.

        Parameters
        ----------
        tensor_type : {None, "np", "pt"}
            Leave them; NumPy arrays of int64; or tensors of minilm, which has ``"pt"`` for the
            sake of code written for PyTorch.

        Raises
        ------
        ValueError
            If texts differ in length, or the type is unknown.
        """
        if tensor_type not in KINDS:
            raise ValueError(
                f"return_tensors is 'np' for NumPy arrays, 'pt' for tensors, or None for lists; "
                f"got {tensor_type!r}"
            )
        if tensor_type is None:
            return self
        for name, value in self.data.items():
            array = to_array(value, name)
            self.data[name] = array if tensor_type == "np" else tensor(array)
        return self

    def _of_text(self, index: int) -> Encoding:
        if self._encodings is None:
            raise ValueError(
                "this BatchEncoding was not made by a tokenizer, or it was padded later"
            )
        return self._encodings[index]  # type: ignore[no-any-return]


def to_array(values: Any, name: str) -> np.ndarray:
    """Return nested lists of numbers as an array: int64, or float32 if they have fractions.

    Raises
    ------
    ValueError
        If texts differ in length, or it is no numbers; the message says what to do.
    """
    if isinstance(values, list) and values and isinstance(values[0], list):
        lengths = [len(value) for value in values]
        for index, length in enumerate(lengths):
            if length != lengths[0]:
                raise ValueError(
                    f"cannot stack {name} into one tensor: text 0 has {lengths[0]} tokens, but "
                    f"text {index} has {length}, and the rows of a tensor are of one length. Pass "
                    "padding=True, which fills up the shorter ones and says where in "
                    "attention_mask; truncation=True with max_length=... cuts the longer ones"
                )
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"the column {name!r} does not hold numbers of one shape, so it cannot become a "
            f"tensor: leave it out, as remove_columns({name!r}) of a data set does"
        )
    return array.astype(np.float32 if array.size and array.dtype.kind == "f" else np.int64)
