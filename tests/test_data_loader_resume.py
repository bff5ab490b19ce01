"""A pass of a loader, gone on with by another loader."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minilm
from minilm.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    TokenDataset,
)


def numbers(batches) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


def shuffled(generator=None) -> DataLoader:
    return DataLoader(range(23), 4, shuffle=True, generator=generator)


def last_left_out(generator=None) -> DataLoader:
    return DataLoader(range(23), 4, shuffle=True, drop_last=True, generator=generator)


def in_order(generator=None) -> DataLoader:
    return DataLoader(range(23), 4, generator=generator)


def with_replacement(generator=None) -> DataLoader:
    sampler = RandomSampler(range(23), replacement=True, num_samples=17, generator=generator)
    return DataLoader(range(23), 4, sampler=sampler)


def several_orders(generator=None) -> DataLoader:
    sampler = RandomSampler(range(5), num_samples=23, generator=generator)
    return DataLoader(range(23), 4, sampler=sampler)


def of_a_part(generator=None) -> DataLoader:
    return DataLoader(range(23), 4, sampler=SubsetRandomSampler(range(3, 20), generator))


def whole_batches(generator=None) -> DataLoader:
    sampler = BatchSampler(RandomSampler(range(23), generator=generator), 3, drop_last=True)
    return DataLoader(range(23), batch_sampler=sampler)


def given_order(generator=None) -> DataLoader:
    return DataLoader(range(23), 4, sampler=np.arange(22, -1, -1))


class Halves:
    """A sampler of a user's own, which draws at the start of a pass."""

    def __init__(self, generator) -> None:
        self.generator = generator

    def __iter__(self):
        stream = self.generator or minilm.random.default_generator
        first = int(stream.integers(0, 2, (1,))[0])
        return iter([*range(first, 23, 2), *range(1 - first, 23, 2)])


def of_a_users_own(generator=None) -> DataLoader:
    return DataLoader(range(23), 4, sampler=Halves(generator))


KINDS = [
    shuffled,
    last_left_out,
    in_order,
    with_replacement,
    several_orders,
    of_a_part,
    whole_batches,
    given_order,
    of_a_users_own,
]


def somebody_else_draws() -> None:
    minilm.randn(3)
    minilm.random.next_dropout_key()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", [False, True], ids=["default stream", "own stream"])
@given(data=st.data())
def test_it_goes_on_where_it_stood(kind, own, data):
    def loader(seed: int) -> DataLoader:
        minilm.manual_seed(seed)
        return kind(minilm.Generator(seed) if own else None)

    whole = loader(0)
    length = len(numbers(whole))
    passes, batches = data.draw(st.integers(0, 2)), data.draw(st.integers(0, length))
    for _ in range(passes):
        numbers(whole)
    running = iter(whole)
    for _ in range(batches):
        next(running)
        somebody_else_draws()
    state = json.loads(json.dumps(whole.state_dict()))
    somebody_else_draws()
    expected = [numbers(running), numbers(whole), numbers(whole)]

    resumed = loader(1)
    numbers(resumed)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    somebody_else_draws()
    assert [numbers(resumed) for _ in expected] == expected


def test_nothing_is_made_on_the_way():
    class Counting(TokenDataset):
        made = 0

        def __getitem__(self, index):
            Counting.made += 1
            return super().__getitem__(index)

    def loader() -> DataLoader:
        dataset = Counting(np.arange(100), 5)
        return DataLoader(dataset, 8, shuffle=True, generator=minilm.Generator(0))

    first, second = loader(), loader()
    running = iter(first)
    for _ in range(7):
        next(running)
    Counting.made = 0
    second.load_state_dict(first.state_dict())
    assert Counting.made == 0
    inputs, _ = next(iter(second))
    assert Counting.made == 8
    assert inputs.tolist() == next(running)[0].tolist()


def test_the_streams_are_left_as_they_were():
    """Dropout and whatever else draws go on exactly, too."""
    loader = shuffled()
    minilm.manual_seed(0)
    running = iter(loader)
    next(running)
    somebody_else_draws()
    state, stream = loader.state_dict(), minilm.get_rng_state().tolist()
    minilm.manual_seed(1)
    shuffled().load_state_dict(state)
    assert minilm.get_rng_state().tolist() == stream


def test_batches_count_when_they_are_handed_out():
    loader = in_order()
    running = iter(loader)
    assert loader.state_dict()["batches"] == 0
    next(running), next(running)
    assert loader.state_dict()["batches"] == 2
    for _ in running:
        assert loader.state_dict()["batches"] > 2
    assert loader.state_dict()["batches"] == 0


def test_a_batch_that_failed_was_not_handed_out():
    failing = True

    class Fragile(list):
        def __getitem__(self, index):
            if failing and index == 5:
                raise OSError("the disk is gone")
            return super().__getitem__(index)

    loader = DataLoader(Fragile(range(9)), 3)
    running = iter(loader)
    next(running)
    with pytest.raises(OSError, match="gone"):
        next(running)
    state, failing = loader.state_dict(), False
    loader.load_state_dict(state)
    assert numbers(loader) == [[3, 4, 5], [6, 7, 8]]


def test_the_last_batch_is_not_the_end():
    loader = shuffled(minilm.Generator(0))
    for _ in loader:
        state = loader.state_dict()
    other = shuffled(minilm.Generator(1))
    other.load_state_dict(state)
    assert numbers(other) == []
    assert numbers(other) == numbers(loader)


def test_a_pass_that_was_left_is_followed_by_the_next():
    loader, other = shuffled(minilm.Generator(0)), shuffled(minilm.Generator(1))
    next(iter(loader))
    loader.end_pass()
    state = loader.state_dict()
    assert state["batches"] == 0
    other.load_state_dict(state)
    assert numbers(other) == numbers(loader)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (DataLoader(range(22), 4), "with samples 23; this one has samples 22"),
        (DataLoader(range(23), 5), "with batch_size 4; this one has batch_size 5"),
        (DataLoader(range(23), 4, drop_last=True), "drop_last False; this one has drop_last True"),
    ],
)
def test_the_state_of_another_loader_is_refused(other, message):
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(in_order().state_dict())


def test_fewer_batches_than_were_handed_out():
    loader = in_order()
    running = iter(loader)
    for _ in range(4):
        next(running)
    shorter = DataLoader(range(23), 4, sampler=[1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="4 batches were handed out .* the sampler gives 2"):
        shorter.load_state_dict(loader.state_dict())


def test_what_is_no_state_is_refused():
    with pytest.raises(ValueError, match="not the state of a DataLoader: it lacks 'batches'"):
        in_order().load_state_dict({"pass": 0})


def test_a_sampler_with_a_stream_that_is_not_ours_makes_passes():
    assert len(numbers(DataLoader(range(23), 4, sampler=Foreign()))) == 6


class Foreign(list):
    def __init__(self) -> None:
        super().__init__(range(23))
        self.generator = np.random.default_rng(0)
