import pytest

import minilm
from minilm.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
)


def test_in_order() -> None:
    sampler = SequentialSampler("abcd")
    assert len(sampler) == 4
    assert list(sampler) == list(sampler) == [0, 1, 2, 3]


def test_in_random_order() -> None:
    sampler = RandomSampler(range(100), generator=minilm.Generator(0))
    first, second = list(sampler), list(sampler)
    assert len(sampler) == sampler.num_samples == 100
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second != list(range(100))
    assert all(type(number) is int for number in first)
    assert list(RandomSampler(range(100), generator=minilm.Generator(0))) == first
    assert list(RandomSampler(range(100), generator=minilm.Generator(1))) != first


def test_the_default_stream_is_seeded_by_manual_seed() -> None:
    minilm.manual_seed(1)
    first = list(RandomSampler(range(50)))
    minilm.manual_seed(1)
    assert list(RandomSampler(range(50))) == first
    assert list(RandomSampler(range(50))) != first


def test_more_and_fewer_samples_than_there_are() -> None:
    assert len(set(RandomSampler(range(9), num_samples=4))) == 4
    drawn = list(RandomSampler(range(3), num_samples=7))
    assert len(drawn) == 7
    assert sorted(drawn[:3]) == sorted(drawn[3:6]) == [0, 1, 2]


def test_with_replacement() -> None:
    sampler = RandomSampler(range(5), replacement=True, num_samples=200)
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == 200
    assert set(drawn) == set(range(5))
    assert any(len(set(drawn[i : i + 5])) < 5 for i in range(0, 200, 5))


def test_a_subset_in_random_order() -> None:
    sampler = SubsetRandomSampler([7, 3, 5], generator=minilm.Generator(2))
    orders = [tuple(sampler) for _ in range(50)]
    assert len(sampler) == 3
    assert {tuple(sorted(order)) for order in orders} == {(3, 5, 7)}
    assert len(set(orders)) == 6  # all there are


@pytest.mark.parametrize(
    ("count", "drop_last", "expected"),
    [
        (5, False, [[0, 1], [2, 3], [4]]),
        (5, True, [[0, 1], [2, 3]]),
        (4, True, [[0, 1], [2, 3]]),
        (0, False, []),
    ],
)
def test_batches(count: int, drop_last: bool, expected: list) -> None:
    sampler = BatchSampler(range(count), 2, drop_last)
    assert list(sampler) == list(sampler) == expected
    assert len(sampler) == len(expected)


@pytest.mark.parametrize("size", [0, -2, 1.5])
def test_sizes_are_positive(size) -> None:
    with pytest.raises(ValueError, match=f"batch_size must be .* got {size}"):
        BatchSampler(range(3), size, False)
    with pytest.raises(ValueError, match=f"num_samples must be .* got {size}"):
        RandomSampler(range(3), num_samples=size)


def test_nothing_to_draw_from() -> None:
    with pytest.raises(ValueError, match="no samples"):
        RandomSampler([])


def test_a_sampler_says_what_is_missing() -> None:
    class Lazy(Sampler):
        pass

    with pytest.raises(NotImplementedError, match="Lazy must define __iter__"):
        iter(Lazy())


def test_an_order_does_not_depend_on_who_draws_meanwhile() -> None:
    def order(interrupted: bool) -> list[int]:
        generator = minilm.Generator(0)
        samples = iter(RandomSampler(range(4), num_samples=10, generator=generator))
        first = next(samples)
        if interrupted:
            generator.permutation(9)
        return [first, *samples]

    assert order(interrupted=True) == order(interrupted=False)
