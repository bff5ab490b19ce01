"""Datasets: what a loader takes its samples from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from minilm.data.checks import positive_int, token_ids
from minilm.data.collate import default_collate
from minilm.data.vocab import UNKNOWN, Vocab
from minilm.data.word_tokenize import word_tokenize
from minilm.random import Generator, default_generator
from minilm.tensor import Tensor, as_tensor
from minilm.warn import warn_caller

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by number: a subclass defines ``__getitem__`` and ``__len__``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__getitem__" in vars(cls) and "fetch_batch" not in vars(cls):
            # Whoever changes the items must not inherit a quick way that does not know of it.
            cls.fetch_batch = Dataset.fetch_batch  # type: ignore[method-assign]

    def __getitem__(self, index: int) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    def fetch_batch(self, indices: Sequence[int]) -> Any:
        """Return the batch of several samples, joined by `default_collate`.

        A subclass may define it to make a batch in one go rather than sample by sample.
        """
        return default_collate(fetch_samples(self, indices))


def fetch_samples(dataset: Any, indices: Sequence[int]) -> Any:
    """Return several samples of a dataset as a list.

    A dataset that defines PyTorch's ``__getitems__(indices)`` is asked for all at once.
    """
    fetch = getattr(dataset, "__getitems__", None)
    return fetch(indices) if fetch else [dataset[index] for index in indices]


def fetch_batch(dataset: Any, indices: Sequence[int]) -> Any:
    """Return the batch of several samples of a `Dataset`, or of any sequence."""
    if isinstance(dataset, Dataset):
        return dataset.fetch_batch(indices)
    return default_collate(fetch_samples(dataset, indices))


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples that are rows of tensors: sample i is ``(a[i], b[i], ...)``.

    Parameters
    ----------
    *tensors : Tensor or array
        Each ``(samples, ...)``.

    Raises
    ------
    ValueError
        If there are none, or their first axes differ.
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(as_tensor(given) for given in tensors)
        samples = {given.shape[:1] for given in self.tensors}
        if len(samples) != 1 or () in samples:
            raise ValueError(
                "TensorDataset takes tensors (samples, ...) with the same number of samples; "
                f"got the shapes {[given.shape for given in self.tensors]}"
            )

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(rows[index] for rows in self.tensors)

    def fetch_batch(self, indices: Sequence[int]) -> list[Tensor]:
        """Return several samples, one tensor ``(batch, ...)`` for each of `tensors`."""
        numbers = np.asarray(indices, np.int64)
        return [rows[numbers] for rows in self.tensors]


class Subset(Dataset[T_co]):
    """Some samples of another dataset.

    Parameters
    ----------
    dataset : Dataset
        Where the samples are.
    indices : sequence of int
        Their numbers there.
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> T_co:
        sample: T_co = self.dataset[self.indices[index]]
        return sample

    def fetch_batch(self, indices: Sequence[int]) -> Any:
        """Return a batch, made in the way of the whole dataset."""
        return fetch_batch(self.dataset, [self.indices[index] for index in indices])


class TokenDataset(Dataset[tuple[Tensor, Tensor]]):
    """Windows of a long stream of token ids, each with the same window one token later.

    Sample i is ``(ids[s : s + n], ids[s + 1 : s + n + 1])``, where n is `sequence_length` and s is
    ``i * stride``: at each position, the target is the next token.

    Parameters
    ----------
    ids : ndarray, Tensor or sequence of int
        Token ids ``(tokens,)``, any integer type; not copied.
    sequence_length : int
        Tokens of a window.
    stride : int
        Tokens from the start of one window to that of the next: 1 takes every window there is,
        `sequence_length` cuts the stream into windows that do not overlap.

    Raises
    ------
    TypeError
        If the ids are not whole numbers.
    ValueError
        If there are too few of them for one window, they have several axes, or a size is not
        positive.

    Examples
    --------
    >>> TokenDataset([5, 6, 7, 8], sequence_length=2)[1]
    (tensor([6, 7]), tensor([7, 8]))
    """

    def __init__(self, ids: Any, sequence_length: int, stride: int = 1) -> None:
        self.sequence_length = positive_int("sequence_length", sequence_length)
        self.stride = positive_int("stride", stride)
        self.ids = token_ids(ids)
        if len(self.ids) <= self.sequence_length:
            raise ValueError(
                f"the text has {len(self.ids)} tokens, but sequence_length={sequence_length} "
                f"takes at least {self.sequence_length + 1}: the input and, one further, its "
                "targets. Use a longer text or a shorter sequence_length"
            )
        windows = np.lib.stride_tricks.sliding_window_view(self.ids, self.sequence_length)
        self._inputs = windows[:-1:stride]  # (samples, time), a view
        self._targets = windows[1::stride]

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return input and target, int64, each ``(time,)``."""
        return (
            Tensor(self._inputs[index].astype(np.int64)),
            Tensor(self._targets[index].astype(np.int64)),
        )

    def fetch_batch(self, indices: Sequence[int]) -> list[Tensor]:
        """Return inputs and targets, int64, each ``(batch, time)``, in one go."""
        numbers = np.asarray(indices, np.int64)
        return [
            Tensor(self._inputs[numbers].astype(np.int64, copy=False)),
            Tensor(self._targets[numbers].astype(np.int64, copy=False)),
        ]


class TextDataset(TokenDataset):
    """The tutorial's dataset: a text as windows of words and the same windows a word later.

    Parameters
    ----------
    text : str
        The text itself, not the name of a file; see `minilm.data.read_text`.
    sequence_length : int
        Words of a window.
    stride : int
        Words from the start of one window to that of the next.
    vocab : Vocab, optional
        The vocabulary of another dataset, for a text to validate on. By default it is made from
        the text: ``<unk>`` is 0, and words count from 1 as they first appear.
    tokenizer : callable, optional
        Takes a text and returns its tokens; ``list`` gives characters. By default the words of
        the text in lower case, as `word_tokenize` cuts them.

    Attributes
    ----------
    tokens : list of str
        The text, cut.
    vocab : Vocab
        From words to ids.
    encoded : list of int
        The id of each token.

    Raises
    ------
    ValueError
        If the text is empty or too short for one window, or a size is not positive.
    UnknownTokenError
        If `vocab` lacks a word of the text and has no default index.

    Examples
    --------
    >>> dataset = TextDataset("Hello world. Hello again.")
    >>> dataset.tokens
    ['hello', 'world', '.', 'hello', 'again', '.']
    >>> dataset[0]
    (tensor([1, 2, 3, 1, 4]), tensor([2, 3, 1, 4, 3]))
    """

    def __init__(
        self,
        text: str,
        sequence_length: int = 5,
        *,
        stride: int = 1,
        vocab: Vocab | None = None,
        tokenizer: Callable[[str], list[str]] | None = None,
    ) -> None:
        if not isinstance(text, str):
            raise TypeError(
                f"text: expected one string, got {type(text).__name__}: join lines with "
                "'\\n'.join(lines), decode bytes with .decode('utf-8')"
            )
        self.tokens = tokenizer(text) if tokenizer else word_tokenize(text.lower())
        if vocab is None:
            vocab = Vocab(dict.fromkeys([UNKNOWN, *self.tokens]), default_index=0)
        self.vocab = vocab
        self.encoded = vocab(self.tokens)
        super().__init__(self.encoded, sequence_length, stride)


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset[Any]]:
    """Split a dataset at random into parts that do not overlap.

    Windows of a text overlap one another: to validate on what was not trained on, split the
    text itself, rather than a dataset of its windows with ``stride=1``.

    Parameters
    ----------
    dataset : Dataset
        What to split.
    lengths : sequence of int or of float
        Numbers of samples that add up to ``len(dataset)``, or fractions that add up to 1. What
        rounding down leaves over is dealt out one by one, from the first part on.
    generator : Generator, optional
        The stream to draw from; the default stream if left out.

    Returns
    -------
    list of Subset

    Raises
    ------
    ValueError
        If a length is negative, or they do not add up.
    """
    counts = _part_sizes(lengths, len(dataset))
    if 0 in counts:
        warn_caller(f"random_split: a part is empty, the lengths are {counts}")
    order = (generator or default_generator).permutation(len(dataset)).tolist()
    ends = np.cumsum(counts).tolist()
    return [
        Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)
    ]


def _part_sizes(lengths: Sequence[float], total: int) -> list[int]:
    if any(length < 0 for length in lengths):
        raise ValueError(f"lengths must not be negative, got {list(lengths)}")
    if math.isclose(sum(lengths), 1):
        counts = [math.floor(total * fraction) for fraction in lengths]
        for part in range(total - sum(counts)):
            counts[part % len(counts)] += 1
        return counts
    if sum(lengths) == total and all(length == int(length) for length in lengths):
        return [int(length) for length in lengths]
    raise ValueError(
        f"lengths {list(lengths)} add up to {sum(lengths)}: expected numbers of samples that add "
        f"up to {total}, the length of the dataset, or fractions that add up to 1"
    )
