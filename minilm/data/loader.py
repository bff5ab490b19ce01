"""The loader: batches of a dataset, pass after pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from minilm.data.collate import UnevenItemsError
from minilm.data.dataset import fetch_batch, fetch_samples
from minilm.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from minilm.random import Generator


class DataLoader:
    """Batches of a dataset; iterate over it once for each epoch.

    Batches are made in this process, when they are asked for: a dataset of ours makes one in a
    few microseconds, less than it takes to hand it over from another process. `num_workers` and
    `pin_memory` are accepted, so that code written for PyTorch runs, and change nothing.

    Parameters
    ----------
    dataset : Dataset or sequence
        Has ``__getitem__`` and ``__len__``.
    batch_size : int
        Samples of a batch.
    shuffle : bool
        Take samples in random order, another one in each epoch.
    sampler : Sampler or iterable of int, optional
        Gives the numbers of the samples in their order, instead of `shuffle`.
    batch_sampler : iterable of list of int, optional
        Gives the numbers of the samples of each batch, instead of `batch_size`, `shuffle`,
        `sampler` and `drop_last`.
    num_workers : int
        Accepted, without effect.
    collate_fn : callable, optional
        Takes the list of samples of a batch and joins them. By default tensors and numbers are
        stacked; see `minilm.data.default_collate`.
    pin_memory : bool
        Accepted, without effect.
    drop_last : bool
        Leave out the last batch if it is not full.
    generator : Generator, optional
        The stream that `shuffle` draws from; the default stream if left out.

    Raises
    ------
    ValueError
        If arguments exclude each other, a size is not positive, or `shuffle` has no samples to
        draw from.
    TypeError
        If the dataset cannot be indexed.

    Examples
    --------
    >>> for inputs, targets in DataLoader(dataset, batch_size=32, shuffle=True):
    ...     loss = criterion(model(inputs).transpose(1, 2), targets)
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool | None = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Generator | None = None,
    ) -> None:
        if not hasattr(dataset, "__getitem__"):
            raise TypeError(
                "DataLoader takes a dataset with __getitem__ and __len__; "
                f"{type(dataset).__name__} has no __getitem__"
            )
        if num_workers < 0:
            raise ValueError(f"num_workers must not be negative, got {num_workers}")
        if sampler is not None and shuffle:
            raise ValueError("sampler excludes shuffle: the sampler gives the order")
        if batch_sampler is None:
            if sampler is None:
                sampler = (
                    RandomSampler(dataset, generator=generator)
                    if shuffle
                    else SequentialSampler(dataset)
                )
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        elif batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "batch_sampler excludes batch_size, shuffle, sampler and drop_last: "
                "it gives whole batches"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.generator = generator

    def __iter__(self) -> Iterator[Any]:
        return map(self._make_batch, self.batch_sampler)

    def __len__(self) -> int:
        """Return the number of batches of a pass."""
        return len(self.batch_sampler)  # type: ignore[arg-type]

    def _make_batch(self, indices: list[int]) -> Any:
        if self.collate_fn is not None:
            return self.collate_fn(fetch_samples(self.dataset, indices))
        try:
            return fetch_batch(self.dataset, indices)
        except UnevenItemsError as error:
            number = indices[error.position]
            error.add_note(f"Item {error.position} of this batch is dataset[{number}].")
            raise
