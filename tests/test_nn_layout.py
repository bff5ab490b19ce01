"""Layouts: what they say of a tensor must be true of an array."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from minilm.nn.layout import Layout

LAYOUTS = [
    Layout(lead, 5, class_axis)
    for lead in ((), (6,), (2, 3), (2, 3, 4))
    for class_axis in range(len(lead) + 1)
]


def rows_of(layout: Layout) -> np.ndarray:
    """The array that this layout describes: rows of numbers in their order."""
    rows = np.arange(np.prod(layout.lead, dtype=int) * 5).reshape(*layout.lead, 5)
    return np.moveaxis(rows, -1, layout.class_axis)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_permuted_layout_describes_the_permuted_array(layout: Layout) -> None:
    array = rows_of(layout)
    assert array.shape == layout.shape
    for dims in itertools.permutations(range(array.ndim)):
        permuted = layout.permuted(tuple(dim - array.ndim for dim in dims))
        if permuted is not None:
            assert np.array_equal(rows_of(permuted), array.transpose(dims))
    assert layout.permuted(tuple(range(array.ndim))) == layout


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(
    "shape", [(-1, 5), (30,), (6, 5), (3, 2, 5), (5, 6), (1, -1, 5), (-1,), (7, 5), (2, -1, -1)]
)
def test_a_reshaped_layout_describes_the_reshaped_array(layout: Layout, shape) -> None:
    array = rows_of(layout)
    reshaped = layout.reshaped(shape)
    if reshaped is not None:
        assert np.array_equal(rows_of(reshaped), array.reshape(shape))
    elif layout.class_axis == len(layout.lead) and shape in ((-1, 5), (1, -1, 5)):
        raise AssertionError("these keep the rows whole")
