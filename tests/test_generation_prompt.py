import numpy as np
import pytest

import minilm
from minilm.generation.prompt import by_length, prompt_of


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_brought_to_the_left(side):
    ids, mask = ([[9, 1, 2], [3, 4, 5]], [[0, 1, 1], [1, 1, 1]])
    if side == "right":
        ids, mask = ([[1, 2, 9], [3, 4, 5]], [[1, 1, 0], [1, 1, 1]])
    prompt = prompt_of(ids, mask)
    assert prompt.ids.tolist() == [[-1, 1, 2], [3, 4, 5]]
    assert prompt.given.tolist() == ids
    assert prompt.is_padded and len(prompt) == 2
    assert prompt.repeated(2).ids.tolist() == [[-1, 1, 2]] * 2 + [[3, 4, 5]] * 2


def test_columns_of_padding_alone_are_dropped():
    prompt = prompt_of(minilm.tensor([[0, 0, 1], [0, 2, 3]]), np.array([[0, 0, 1], [0, 1, 1]]))
    assert prompt.ids.tolist() == [[-1, 1], [2, 3]]


def test_a_text_of_one_axis_is_a_batch_of_one():
    prompt = prompt_of([1, 2], [1, 1])
    assert prompt.ids.tolist() == [[1, 2]] and not prompt.is_padded
    assert prompt_of([], may_be_empty=True).ids.shape == (1, 0)


def test_rows_are_grouped_by_length():
    rows = [np.array(row) for row in ([1, 2], [3], [4, 5])]
    groups = [(places, ids.tolist()) for places, ids in by_length(rows)]
    assert groups == [([1], [[3]]), ([0, 2], [[1, 2], [4, 5]])]


@pytest.mark.parametrize(
    ("ids", "mask", "error", "message"),
    [
        ([[1], [2, 3]], None, ValueError, "differ in length.*padding=True"),
        ([[1, 2]], [[1]], ValueError, r"attention_mask has the shape \(1, 1\), expected \(1, 2\)"),
        ([[1, 2]], [[1, 2]], ValueError, "1 for a token and 0 for padding"),
        ([[1, 2], [3, 4]], [[1, 1], [0, 0]], ValueError, "text 1 is all padding"),
        ([[1, -100]], None, IndexError, "id -100 is negative; padding needs an attention_mask"),
        ([[1.5]], None, TypeError, "token ids are integers; got float64"),
        ([], None, ValueError, "prompt is empty"),
    ],
)
def test_what_is_no_prompt(ids, mask, error, message):
    with pytest.raises(error, match=message):
        prompt_of(ids, mask)
