"""The loader: batches of a dataset, pass after pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from minilm.data.checks import same_settings
from minilm.data.collate import UnevenItemsError
from minilm.data.dataset import fetch_batch, fetch_samples
from minilm.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from minilm.random import Generator, default_generator


@dataclass
class _Pass:
    """A pass: where the random stream stood at its start, and how many batches were given."""

    stream: str
    given: int = 0


def _position(stream: Generator) -> str:
    return stream.get_state().numpy().tobytes().hex()


def _move(stream: Generator, position: str) -> None:
    stream.set_state(np.frombuffer(bytes.fromhex(position), np.uint8))


class DataLoader:
    """Batches of a dataset; iterate over it once for each epoch.

    Batches are made in this process, when they are asked for: a dataset of ours makes one in a
    few microseconds, less than it takes to hand it over from another process. `num_workers` and
    `pin_memory` are accepted, so that code written for PyTorch runs, and change nothing.

    A pass can be gone on with in another process: `state_dict` and `load_state_dict` do what those
    of torchdata's ``StatefulDataLoader`` do.

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
        self._pass: _Pass | None = None  # the one of the last batch, unless it came to its end
        self._rest: Iterator[list[int]] | None = None  # of a pass to go on with

    def __iter__(self) -> Iterator[Any]:
        """Make one pass, or the rest of the one that `load_state_dict` told of."""
        here, batches, self._rest = self._pass, self._rest, None
        if here is None or batches is None:
            here, batches = _Pass(_position(self._stream)), iter(self.batch_sampler)
        for indices in batches:
            batch = self._make_batch(indices)
            self._pass, here.given = here, here.given + 1
            yield batch
        if self._pass is here:
            self.end_pass()

    def __len__(self) -> int:
        """Return the number of batches of a pass."""
        return len(self.batch_sampler)  # type: ignore[arg-type]

    # --- where it stands --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader stands: what it takes to go on with a pass exactly.

        Returns
        -------
        dict
            Numbers and strings only: how many batches of the pass were handed out, and where the
            random stream stood at the start of the pass, and stands now. With them the settings
            that say which batches there are.
        """
        return {
            "batches": 0 if self._pass is None else self._pass.given,
            "stream_at_start": None if self._pass is None else self._pass.stream,
            "stream": _position(self._stream),
            **self._settings(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called: the next pass is the rest of the one it stood in.

        The sampler draws its order again, no batch is made; then the random stream, which may be
        the default one, is left as it was when the state was saved. A sampler of one's own can be
        gone on with if its order follows from that stream, which is its ``generator`` where it
        has one, or does not change. A pass whose last batch was handed out, but which was not left
        yet, has a rest of none.

        Raises
        ------
        ValueError
            If the state is of another loader, such as one whose dataset has another length, or the
            sampler has fewer batches than were handed out.
        """
        position = ("batches", "stream_at_start", "stream")
        same_settings("DataLoader", state_dict, self._settings(), position)
        given, start = int(state_dict["batches"]), state_dict["stream_at_start"]
        self.end_pass()
        if start is not None:
            _move(self._stream, start)
            rest = iter(self.batch_sampler)
            replayed = sum(1 for _ in islice(rest, given))
            if replayed < given:
                raise ValueError(
                    f"{given} batches were handed out when the state was saved, but the sampler "
                    f"gives {replayed}: was it made with other samples?"
                )
            self._pass, self._rest = _Pass(start, given), rest
        _move(self._stream, state_dict["stream"])

    def end_pass(self) -> None:
        """Leave the pass before its end, so that `state_dict` stands before the next."""
        self._pass = self._rest = None

    def _settings(self) -> dict[str, Any]:
        samples = len(self.dataset) if hasattr(self.dataset, "__len__") else None
        return {"samples": samples, "batch_size": self.batch_size, "drop_last": self.drop_last}

    @property
    def _stream(self) -> Generator:
        """The stream of random numbers that the order of a pass is drawn from."""
        sampler: Any = self.sampler
        if sampler is None:
            sampler = getattr(self.batch_sampler, "sampler", self.batch_sampler)
        generator = getattr(sampler, "generator", self.generator)
        return generator if isinstance(generator, Generator) else default_generator

    # --- batches ----------------------------------------------------------------------------------

    def _make_batch(self, indices: list[int]) -> Any:
        if self.collate_fn is not None:
            return self.collate_fn(fetch_samples(self.dataset, indices))
        try:
            return fetch_batch(self.dataset, indices)
        except UnevenItemsError as error:
            number = indices[error.position]
            error.add_note(f"Item {error.position} of this batch is dataset[{number}].")
            raise
