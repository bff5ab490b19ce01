"""How long the texts of a batch may be, and are to be: truncation and padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minilm.tokenization.batch_encoding import BatchEncoding
from minilm.warn import warn_caller

VERY_LARGE = int(1e30)  # "no limit", in Hugging Face's files
LIMITED = 10**20  # a model_max_length above it is no limit

PADDING = {True: "longest", False: None, None: None, "do_not_pad": None}
TRUNCATION = {True: "longest_first", False: None, None: None, "do_not_truncate": None}
STRATEGIES = ("longest_first", "only_first", "only_second")


@dataclass(frozen=True)
class Lengths:
    """What `padding`, `truncation` and `max_length` of a call come to.

    Attributes
    ----------
    padding : {None, "longest", "max_length"}
        To what length shorter texts are filled up.
    truncation : {None, "longest_first", "only_first", "only_second"}
        Which text of a pair is cut.
    max_length : int or None
        Tokens.
    """

    padding: str | None
    truncation: str | None
    max_length: int | None


def read_lengths(
    padding: bool | str | None,
    truncation: bool | str | None,
    max_length: int | None,
    model_max_length: int,
) -> Lengths:
    """Read the arguments of a call as Hugging Face does.

    `max_length` alone means to cut there. Without it, the length that the model takes is meant.

    Raises
    ------
    ValueError
        If one is unknown.
    """
    if max_length is not None and padding in (False, None) and truncation is None:
        truncation = True
    pad = _choose("padding", padding, PADDING, ("longest", "max_length"))
    cut = _choose("truncation", truncation, TRUNCATION, STRATEGIES)
    if max_length is not None:
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1 token; got {max_length}")
        return Lengths(pad, cut, max_length)
    if model_max_length <= LIMITED:
        return Lengths(pad, cut, model_max_length if cut or pad == "max_length" else None)
    if cut or pad == "max_length":
        what = f"truncation={truncation!r}" if cut else "padding='max_length'"
        warn_caller(
            f"{what} has no effect: this tokenizer does not know how many tokens the model takes. "
            "Pass max_length=..."
        )
    return Lengths("longest" if pad == "longest" else None, None, None)


def _choose(
    name: str, value: Any, meaning: Mapping[Any, str | None], strategies: Sequence[str]
) -> str | None:
    if isinstance(value, bool) or value in meaning:
        return meaning[value]
    if value not in strategies:
        raise ValueError(
            f"{name} is True, False or one of {', '.join(map(repr, strategies))}; got {value!r}"
        )
    return str(value)


def target_length(
    lengths: Sequence[int], wanted: Lengths, pad_to_multiple_of: int | None
) -> int | None:
    """Return the length to which texts are filled up; None if they are not.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each text.
    wanted : Lengths
        What was asked for.
    pad_to_multiple_of : int, optional
        The length becomes the next multiple.
    """
    if wanted.padding is None:
        return None
    fixed = wanted.max_length if wanted.padding == "max_length" else None
    length = max(lengths, default=0) if fixed is None else fixed
    return (
        length if not pad_to_multiple_of else -(-length // pad_to_multiple_of) * pad_to_multiple_of
    )


def pad_samples(
    samples: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    length_of: Callable[[Sequence[int]], int | None],
    fillings: Mapping[str, int],
    *,
    left: bool,
    return_attention_mask: bool,
    return_tensors: str | None,
) -> BatchEncoding:
    """Bring samples that are numbers already to one length.

    Parameters
    ----------
    samples : sequence of mapping, or mapping of lists
        Each with ``input_ids``, and what goes with them token by token.
    length_of : callable
        From the lengths of all texts to the one that they get.
    fillings : mapping
        What each such column is filled up with. Other columns stay as they are.
    left : bool
        Whether to fill up before the text rather than after it.
    return_attention_mask : bool
        Whether to add ``attention_mask`` where it is missing.
    return_tensors : {None, "np", "pt"}
        What the columns become.

    Raises
    ------
    ValueError
        If ``input_ids`` are missing.
    """
    columns = _columns(samples)
    if "input_ids" not in columns:
        raise ValueError(
            f"pad fills up samples with input_ids, as the tokenizer returns them; got the columns "
            f"{', '.join(map(str, columns)) or 'none'}"
        )
    one = bool(columns["input_ids"]) and not _is_list(columns["input_ids"][0])
    if one:
        columns = {name: [value] for name, value in columns.items()}
    counts = [len(ids) for ids in columns["input_ids"]]
    if return_attention_mask and "attention_mask" not in columns:
        columns["attention_mask"] = [[1] * count for count in counts]
    length = length_of(counts)
    if length is not None:
        for name in columns.keys() & fillings.keys():
            filled = [_fill(list(row), length, fillings[name], left) for row in columns[name]]
            columns[name] = filled
    if one and return_tensors is None:
        columns = {name: value[0] for name, value in columns.items()}
    return BatchEncoding(columns, tensor_type=return_tensors)


def _columns(samples: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if isinstance(samples, Mapping):
        return {name: _plain(value) for name, value in samples.items()}
    names = samples[0].keys() if samples else ()
    return {name: [_plain(sample[name]) for sample in samples] for name in names}


def _plain(value: Any) -> Any:
    """Return arrays and tensors as lists."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _fill(row: list[Any], length: int, value: int, left: bool) -> list[Any]:
    filling = [value] * (length - len(row))
    return filling + row if left else row + filling
