import numpy as np
import pytest

import minilm
from minilm.data import (
    Dataset,
    Subset,
    TensorDataset,
    TextDataset,
    TokenDataset,
    UnknownTokenError,
    Vocab,
    random_split,
)

TEXT = "Hello world. Hello again."


def pair(sample) -> tuple[list, list]:
    inputs, targets = sample
    assert inputs.dtype == targets.dtype == minilm.int64
    return inputs.tolist(), targets.tolist()


# --- the tutorial's -------------------------------------------------------------------------------


def test_the_tutorials_text() -> None:
    dataset = TextDataset(TEXT)
    assert dataset.sequence_length == 5
    assert dataset.tokens == ["hello", "world", ".", "hello", "again", "."]
    assert dataset.vocab == {"<unk>": 0, "hello": 1, "world": 2, ".": 3, "again": 4}
    assert dataset.encoded == [1, 2, 3, 1, 4, 3]
    assert len(dataset) == 1
    assert pair(dataset[0]) == ([1, 2, 3, 1, 4], [2, 3, 1, 4, 3])


class TutorialDataset(Dataset):
    """As the tutorial writes it."""

    def __init__(self, text, sequence_length=5):
        self.tokens = minilm.data.word_tokenize(text.lower())
        self.vocab = {word: idx for idx, word in enumerate(set(self.tokens), 1)}
        self.vocab["<unk>"] = 0
        self.encoded = [self.vocab.get(word, self.vocab["<unk>"]) for word in self.tokens]
        self.sequence_length = sequence_length

    def __len__(self):
        return len(self.encoded) - self.sequence_length

    def __getitem__(self, index):
        return (
            minilm.tensor(self.encoded[index : index + self.sequence_length], dtype=minilm.long),
            minilm.tensor(
                self.encoded[index + 1 : index + self.sequence_length + 1], dtype=minilm.long
            ),
        )


def test_samples_are_those_of_the_tutorials_own_class() -> None:
    text = "It is what it is. It was, and it will be: what a day!"
    ours, theirs = TextDataset(text, 4), TutorialDataset(text, 4)
    assert len(ours) == len(theirs)
    assert set(ours.vocab) == set(theirs.vocab)
    assert sorted(ours.vocab.values()) == sorted(theirs.vocab.values())
    words = ours.vocab.get_itos()
    their_words = {index: word for word, index in theirs.vocab.items()}
    for i in range(len(ours)):
        for mine, other in zip(pair(ours[i]), pair(theirs[i]), strict=True):
            assert [words[t] for t in mine] == [their_words[t] for t in other]


def test_a_dataset_to_validate_on_shares_the_vocabulary() -> None:
    train = TextDataset(TEXT, 2)
    valid = TextDataset("Again, hello.", 2, vocab=train.vocab)
    assert valid.vocab is train.vocab
    assert valid.encoded == [4, 0, 1, 3]
    with pytest.raises(UnknownTokenError, match="','"):
        TextDataset("Again, hello.", 2, vocab=Vocab(["again", "hello", "."]))


def test_another_tokenizer() -> None:
    dataset = TextDataset("abab", 2, tokenizer=list)
    assert dataset.tokens == ["a", "b", "a", "b"]
    assert pair(dataset[1]) == ([2, 1], [1, 2])


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 3, 9])
def test_windows(length: int, stride: int) -> None:
    ids = list(range(100, 110))
    dataset = TokenDataset(ids, length, stride)
    starts = range(0, len(ids) - length, stride)
    assert len(dataset) == len(starts)
    for i, start in enumerate(starts):
        assert pair(dataset[i]) == (ids[start : start + length], ids[start + 1 :][:length])
    assert pair(dataset[-1]) == pair(dataset[len(dataset) - 1])
    assert [pair(sample) for sample in dataset] == [pair(dataset[i]) for i in range(len(dataset))]
    with pytest.raises(IndexError):
        dataset[len(dataset)]


@pytest.mark.parametrize("stride", [1, 4])
def test_a_batch_is_its_samples(stride: int) -> None:
    dataset = TokenDataset(np.arange(50), 6, stride)
    numbers = [3, 0, 3, len(dataset) - 1]
    batch = dataset.fetch_batch(numbers)
    slow = Dataset.fetch_batch(dataset, numbers)
    for made, expected in zip(batch, slow, strict=True):
        assert made.shape == (4, 6)
        assert made.dtype == minilm.int64
        assert made.numpy().flags.c_contiguous
        assert made.tolist() == expected.tolist()


def test_samples_are_copies() -> None:
    ids = np.arange(10)
    dataset = TokenDataset(ids, 3)
    for inputs, targets in (dataset[0], dataset.fetch_batch([0, 1])):
        inputs.numpy()[...] = targets.numpy()[...] = -1
    assert dataset.ids.tolist() == list(range(10))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64])
def test_any_integers(dtype) -> None:
    dataset = TokenDataset(np.arange(9, dtype=dtype), 2)
    assert pair(dataset[3]) == ([3, 4], [4, 5])
    assert pair(dataset.fetch_batch([3])) == ([[3, 4]], [[4, 5]])


def test_ids_may_be_a_tensor() -> None:
    assert pair(TokenDataset(minilm.arange(4), 3)[0]) == ([0, 1, 2], [1, 2, 3])


def test_changed_samples_make_changed_batches() -> None:
    class Reversed(TokenDataset):
        def __getitem__(self, index):
            inputs, targets = super().__getitem__(index)
            return targets, inputs

    dataset = Reversed(range(5), 2)
    assert pair(dataset.fetch_batch([0])) == ([[1, 2]], [[0, 1]])


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the text is empty"):
        TextDataset(text)


def test_short_text_is_refused() -> None:
    with pytest.raises(ValueError, match="6 tokens, but sequence_length=6 takes at least 7"):
        TextDataset(TEXT, 6)
    assert len(TokenDataset(range(7), 6)) == 1


@pytest.mark.parametrize("size", [0, -1, 2.0, "5", None])
def test_sizes_are_positive_whole_numbers(size) -> None:
    with pytest.raises(ValueError, match=f"sequence_length must be .* got {size!r}"):
        TokenDataset(range(9), size)
    with pytest.raises(ValueError, match=f"stride must be .* got {size!r}"):
        TextDataset(TEXT, stride=size)


def test_bad_ids_are_refused() -> None:
    with pytest.raises(TypeError, match="whole numbers; got float64"):
        TokenDataset(np.arange(9.0), 2)
    with pytest.raises(ValueError, match=r"\(tokens,\); got the shape \(3, 3\)"):
        TokenDataset(np.zeros((3, 3), int), 2)


def test_a_dataset_without_samples_says_what_is_missing() -> None:
    class Empty(Dataset):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define __getitem__"):
        Empty()[0]


# --- rows of tensors, parts -----------------------------------------------------------------------


def test_rows_of_tensors() -> None:
    dataset = TensorDataset(minilm.arange(4), np.arange(8.0).reshape(4, 2))
    assert len(dataset) == 4
    number, row = dataset[2]
    assert (number.item(), row.tolist()) == (2, [4.0, 5.0])
    numbers, rows = dataset.fetch_batch([3, 1])
    assert (numbers.tolist(), rows.tolist()) == ([3, 1], [[6.0, 7.0], [2.0, 3.0]])


@pytest.mark.parametrize("shapes", [(), ((3,), (4,)), ((),)])
def test_rows_must_match(shapes: tuple) -> None:
    with pytest.raises(ValueError, match="same number of samples"):
        TensorDataset(*map(np.zeros, shapes))


def test_a_subset_is_the_samples_it_names() -> None:
    whole = TokenDataset(range(20), 3)
    part = Subset(Subset(whole, [9, 4, 7]), [2, 0])
    assert len(part) == 2
    assert [pair(part[i]) for i in range(2)] == [pair(whole[7]), pair(whole[9])]
    assert pair(part.fetch_batch([1, 0])) == pair(whole.fetch_batch([9, 7]))
    assert Subset("abc", [2, 1]).fetch_batch([0, 1]) == ["c", "b"]


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([7, 3], [7, 3]),
        ([0.7, 0.3], [7, 3]),
        ([0.5, 0.25, 0.25], [6, 2, 2]),
        ([1 / 3, 1 / 3, 1 / 3], [4, 3, 3]),
        ([0.25] * 4, [3, 3, 2, 2]),
        ([1.0], [10]),
    ],
)
def test_random_split(lengths: list, sizes: list[int]) -> None:
    parts = random_split(range(10), lengths, minilm.Generator(0))
    assert [len(part) for part in parts] == sizes
    assert sorted(sample for part in parts for sample in part) == list(range(10))
    again = random_split(range(10), lengths, minilm.Generator(0))
    assert [part.indices for part in parts] == [part.indices for part in again]
    other = random_split(range(10), lengths, minilm.Generator(1))
    assert [part.indices for part in parts] != [part.indices for part in other]


def test_random_split_draws_from_the_default_stream() -> None:
    minilm.manual_seed(3)
    first = random_split(range(50), [25, 25])[0].indices
    assert random_split(range(50), [25, 25])[0].indices != first
    minilm.manual_seed(3)
    assert random_split(range(50), [25, 25])[0].indices == first


@pytest.mark.parametrize("lengths", [[5, 4], [0.5, 0.4], [2.5, 7.5], [11, -1], []])
def test_lengths_must_add_up(lengths: list) -> None:
    with pytest.raises(ValueError, match="lengths"):
        random_split(range(10), lengths)


def test_an_empty_part_is_worth_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"a part is empty, the lengths are \[3, 0\]"):
        random_split(range(3), [0.99, 0.01])


@pytest.mark.parametrize("text", [None, ["a b"], b"a b"])
def test_a_text_that_is_no_string_is_refused(text):
    with pytest.raises(TypeError, match="expected one string, got"):
        TextDataset(text)
