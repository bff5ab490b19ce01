"""Comparing arrays as the tests mean it: by the largest error, relative to the largest value."""

from __future__ import annotations

import numpy as np

SMALLEST = 1e-3  # below this, a largest value may be the rounding of numbers that cancel


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    """Fail with the place and size of the largest error when it exceeds the tolerance.

    ``tolerance`` is relative to the largest magnitude that is expected in the whole array.
    """
    actual, expected = np.asarray(actual, dtype=np.float64), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    error = np.abs(actual - expected)
    largest = np.abs(expected).max(initial=SMALLEST)
    if np.all(error <= tolerance * largest):
        return
    worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
    raise AssertionError(
        f"{what}: at {tuple(map(int, worst))} {actual[worst]!r} instead of {expected[worst]!r}: "
        f"error {error[worst]:.3g}, more than {tolerance:g} of the largest value {largest:.3g}"
    )
