"""Samplers: in which order a loader takes the samples, and which ones make a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import chain, islice
from typing import Generic, TypeVar

from minilm.data.checks import positive_int
from minilm.random import Generator, default_generator

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Numbers of samples, in order: a subclass defines ``__iter__`` and ``__len__``."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__(self)")


class SequentialSampler(Sampler[int]):
    """All samples in their own order.

    Parameters
    ----------
    data_source : Dataset
        What to sample from.
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Samples in random order, another one in each pass.

    Parameters
    ----------
    data_source : Dataset
        What to sample from.
    replacement : bool
        Whether a sample may come again before all others came.
    num_samples : int, optional
        How many to draw; by default as many as there are.
    generator : Generator, optional
        The stream to draw from; the default stream if left out.

    Raises
    ------
    ValueError
        If there is nothing to draw from, or `num_samples` is not positive.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if len(data_source) == 0:
            raise ValueError("cannot draw at random from a dataset of no samples")
        self.data_source = data_source
        self.replacement = replacement
        if num_samples is not None:
            num_samples = positive_int("num_samples", num_samples)
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many samples a pass draws."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        stream = self.generator or default_generator
        available, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            yield from map(int, stream.integers(0, available, (wanted,)))
        else:
            # All drawn before the first is given, so that a pass follows from where the stream
            # stood at its start, whoever else draws from it meanwhile.
            orders = [stream.permutation(available) for _ in range(0, wanted, available)]
            yield from islice(map(int, chain.from_iterable(orders)), wanted)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Given samples in random order, another one in each pass.

    Parameters
    ----------
    indices : sequence of int
        Numbers of samples.
    generator : Generator, optional
        The stream to draw from; the default stream if left out.
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        order = (self.generator or default_generator).permutation(len(self.indices))
        return (self.indices[i] for i in map(int, order))

    def __len__(self) -> int:
        return len(self.indices)


class BatchSampler(Sampler[list[int]]):
    """Batches of what another sampler gives.

    Parameters
    ----------
    sampler : Sampler or iterable of int
        Gives the numbers of the samples.
    batch_size : int
        Samples of a batch.
    drop_last : bool
        Leave out the last batch if it is not full.

    Raises
    ------
    ValueError
        If `batch_size` is not positive.

    Examples
    --------
    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = positive_int("batch_size", batch_size)
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        samples = iter(self.sampler)
        while batch := list(islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        samples = len(self.sampler)  # type: ignore[arg-type]
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)
