import math

import pytest

from minilm.models.checks import not_negative, positive, share


def test_what_fits_is_returned_as_a_number_of_python():
    assert (positive("n", 3), share("p", 0), not_negative("a", 2)) == (3, 0.0, 2.0)
    assert isinstance(share("p", 0), float) and isinstance(not_negative("a", 2), float)


@pytest.mark.parametrize("value", [0, -1])
def test_sizes_are_positive(value):
    with pytest.raises(ValueError, match=f"n must be at least 1; got {value}"):
        positive("n", value)


def test_sizes_are_integers():
    with pytest.raises(TypeError):
        positive("n", 2.0)


@pytest.mark.parametrize("value", [-0.1, 1, math.nan])
def test_a_share_leaves_something(value):
    with pytest.raises(ValueError, match=r"p is a share in \[0, 1\); got"):
        share("p", value)


@pytest.mark.parametrize("value", [-1, math.inf, math.nan])
def test_penalties_do_not_reward(value):
    with pytest.raises(ValueError, match="a must be a number from 0 up; got"):
        not_negative("a", value)
