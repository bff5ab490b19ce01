"""Who is compared when, and who goes on."""

import pytest

from minilm.tuning.rungs import rungs, survivors


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1, 2, 10), [1, 2, 4, 8, 10]),
        ((1, 3, 9), [1, 3, 9]),
        ((2, 3, 10), [2, 6, 10]),
        ((4, 2, 3), [3]),
        ((1, 2, 1), [1]),
        ((1, 0, 5), [5]),
    ],
)
def test_rungs(arguments, expected):
    assert rungs(*arguments) == expected


def test_the_best_go_on():
    losses = {0: 3.0, 1: 1.0, 2: 2.0, 3: 4.0, 4: 0.5}
    assert survivors(losses, 2) == {4, 1}
    assert survivors(losses, 3) == {4}
    assert survivors({7: 9.0}, 3) == {7}


def test_of_equal_trials_the_first_is_better():
    assert survivors({3: 1.0, 1: 1.0, 2: 1.0}, 3) == {1}
