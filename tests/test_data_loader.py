import time
from collections import namedtuple

import numpy as np
import pytest

import minilm
from minilm.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    SequentialSampler,
    Subset,
    TextDataset,
    TokenDataset,
    UnevenItemsError,
    default_collate,
)


class Squares(Dataset):
    """Written by a user: samples one by one."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return (
            minilm.tensor([index, index], dtype=minilm.long),
            minilm.tensor(float(index * index)),
        )


def numbers(loader) -> list[list[int]]:
    return [batch.tolist() for batch in loader]


# --- passes ---------------------------------------------------------------------------------------


def test_batches_of_a_users_own_dataset() -> None:
    batches = list(DataLoader(Squares(), batch_size=2))
    assert [inputs.tolist() for inputs, _ in batches] == [
        [[0, 0], [1, 1]],
        [[2, 2], [3, 3]],
        [[4, 4]],
    ]
    assert [targets.tolist() for _, targets in batches] == [[0, 1], [4, 9], [16]]
    assert batches[0][0].dtype == minilm.int64
    assert batches[0][1].dtype == minilm.float32


def test_the_tutorials_loop() -> None:
    dataset = TextDataset("Hello world. Hello again. Good bye, world.")
    loader = DataLoader(dataset, batch_size=2, shuffle=True)
    seen = []
    for inputs, targets in loader:
        assert inputs.shape == targets.shape
        assert inputs.shape[1] == 5
        assert inputs[:, 1:].tolist() == targets[:, :-1].tolist()
        seen += inputs.tolist()
    assert len(loader) == 3
    assert sorted(seen) == sorted(dataset[i][0].tolist() for i in range(len(dataset)))


def test_shuffling_is_seeded_and_new_in_each_pass() -> None:
    def passes(seed: int) -> list:
        loader = DataLoader(range(30), 7, shuffle=True, generator=minilm.Generator(seed))
        return [numbers(loader), numbers(loader)]

    first, second = passes(0)
    assert passes(0) == [first, second]
    assert first != second
    assert passes(1)[0] != first
    assert sorted(sum(first, [])) == list(range(30))
    minilm.manual_seed(5)
    first = numbers(DataLoader(range(30), 7, shuffle=True))
    minilm.manual_seed(5)
    assert numbers(DataLoader(range(30), 7, shuffle=True)) == first


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_the_last_batch(drop_last: bool, sizes: list[int]) -> None:
    loader = DataLoader(range(10), 4, drop_last=drop_last)
    assert [len(batch) for batch in numbers(loader)] == sizes
    assert len(loader) == len(sizes)


def test_given_samplers() -> None:
    assert numbers(DataLoader(range(9), 2, sampler=[8, 1, 3])) == [[8, 1], [3]]
    batches = BatchSampler(SequentialSampler(range(5)), 3, drop_last=False)
    loader = DataLoader(range(5), batch_sampler=batches)
    assert numbers(loader) == [[0, 1, 2], [3, 4]]
    assert len(loader) == 2


def test_collate_fn_gets_the_samples() -> None:
    assert list(DataLoader(Squares(), 3, collate_fn=len)) == [3, 2]
    windows = DataLoader(TokenDataset(range(6), 2), 2, collate_fn=lambda samples: samples)
    samples = next(iter(windows))
    assert [inputs.tolist() for inputs, _ in samples] == [[0, 1], [1, 2]]


def test_workers_and_pinned_memory_change_nothing() -> None:
    plain = numbers(DataLoader(range(6), 2))
    assert numbers(DataLoader(range(6), 2, num_workers=4, pin_memory=True)) == plain


def test_a_dataset_that_fetches_many_samples_at_once() -> None:
    class Many(list):
        def __getitems__(self, indices):
            return [self[i] * 10 for i in indices]

    assert numbers(DataLoader(Many(range(4)), 3)) == [[0, 10, 20], [30]]


def test_our_windows_are_never_fetched_one_by_one(monkeypatch) -> None:
    dataset = TokenDataset(np.arange(1000), 10)
    expected = Dataset.fetch_batch(dataset, range(7))
    monkeypatch.setattr(TokenDataset, "__getitem__", None)
    for source in (dataset, Subset(dataset, range(100))):
        for made, wanted in zip(next(iter(DataLoader(source, 7))), expected, strict=True):
            assert made.tolist() == wanted.tolist()


def test_a_step_does_not_wait_for_the_loader() -> None:
    # A batch takes about 10 microseconds; made sample by sample it would take several hundred.
    dataset = TokenDataset(np.arange(1_000_000) % 65, 35)
    batches = iter(DataLoader(dataset, 32, shuffle=True))
    next(batches)
    times = []
    for _ in range(200):
        start = time.perf_counter()
        next(batches)
        times.append(time.perf_counter() - start)
    assert min(times) < 100e-6  # the best of many: other programs may be running


# --- bad input ------------------------------------------------------------------------------------


def test_arguments_that_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="sampler excludes shuffle"):
        DataLoader(range(3), shuffle=True, sampler=[0])
    for more in ({"batch_size": 2}, {"shuffle": True}, {"sampler": [0]}, {"drop_last": True}):
        with pytest.raises(ValueError, match="excludes"):
            DataLoader(range(3), batch_sampler=[[0]], **more)


def test_bad_sizes() -> None:
    with pytest.raises(ValueError, match="batch_size must be .* got 0"):
        DataLoader(range(3), batch_size=0)
    with pytest.raises(ValueError, match="num_workers must not be negative, got -1"):
        DataLoader(range(3), num_workers=-1)


def test_no_dataset() -> None:
    with pytest.raises(TypeError, match="__getitem__ and __len__; generator has no"):
        DataLoader(x for x in "abc")
    with pytest.raises(ValueError, match="no samples"):
        DataLoader([], shuffle=True)
    assert list(DataLoader([])) == []


def test_uneven_samples_are_named() -> None:
    samples = [(np.zeros(n), "s") for n in (4, 4, 3, 4)]
    with pytest.raises(UnevenItemsError) as error:
        list(DataLoader(samples, 2, sampler=[0, 1, 3, 2]))
    message = str(error.value)
    assert message.startswith(
        "cannot stack a batch: item 1[0] has shape (3,), but item 0[0] has shape (4,)"
    )
    assert "pad" in message
    assert "collate_fn" in message
    assert error.value.__notes__ == ["Item 1 of this batch is dataset[2]."]


# --- collating ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "expected", "dtype"),
    [
        ([1, 2], [1, 2], minilm.int64),
        ([True, False], [True, False], minilm.bool),
        ([0.5, 2.0], [0.5, 2.0], minilm.float32),
        ([np.float64(1), np.float64(2)], [1.0, 2.0], minilm.float64),
        ([np.array([1, 2], np.int32)] * 2, [[1, 2], [1, 2]], np.int32),
        ([minilm.tensor([0.5])] * 3, [[0.5]] * 3, minilm.float32),
        ([minilm.tensor(1), minilm.tensor(2)], [1, 2], minilm.int64),
    ],
)
def test_numbers_arrays_and_tensors(samples: list, expected: list, dtype) -> None:
    batch = default_collate(samples)
    assert isinstance(batch, minilm.Tensor)
    assert batch.tolist() == expected
    assert batch.dtype == dtype


def test_strings_stay_a_list() -> None:
    assert default_collate(["a", "b"]) == ["a", "b"]


def test_containers() -> None:
    Point = namedtuple("Point", "x y")
    samples = [{"at": Point(i, [i, -i]), "name": str(i)} for i in range(2)]
    batch = default_collate(samples)
    assert batch["name"] == ["0", "1"]
    assert isinstance(batch["at"], Point)
    assert batch["at"].x.tolist() == [0, 1]
    assert [field.tolist() for field in batch["at"].y] == [[0, 1], [0, -1]]


def test_gradients_pass_through_a_batch() -> None:
    weights = [minilm.tensor([1.0, 2.0], requires_grad=True) for _ in range(2)]
    (default_collate(weights) * minilm.tensor([[1.0], [3.0]])).sum().backward()
    assert [weight.grad.tolist() for weight in weights] == [[1, 1], [3, 3]]


def test_samples_of_different_length() -> None:
    with pytest.raises(UnevenItemsError, match=r"item 1\['a'\] has length 1, but item 0\['a'\]"):
        default_collate([{"a": [1, 2]}, {"a": [1]}])


def test_samples_that_cannot_be_joined() -> None:
    with pytest.raises(TypeError, match=r"batch of NoneType \(item 0\[1\]\).*collate_fn"):
        default_collate([(1, None)])
