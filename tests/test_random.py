"""Streams of random numbers: seeds, states, keys of dropout."""

from __future__ import annotations

import numpy as np
import pytest

import minilm
from minilm.random import Generator, next_dropout_key


def test_a_seed_gives_the_same_numbers() -> None:
    a, b = Generator().manual_seed(5), Generator(5)
    assert np.array_equal(a.normal(0, 1, (4,)), b.normal(0, 1, (4,)))
    assert a.initial_seed() == 5
    assert not np.array_equal(a.normal(0, 1, (4,)), Generator(6).normal(0, 1, (4,)))


def test_known_numbers() -> None:
    """They must not change from one version to the next: runs are repeated by their seed."""
    assert Generator(0).integers(0, 1000, (5,)).tolist() == [135, 14, 937, 257, 386]


def test_manual_seed_starts_the_default_stream() -> None:
    generator = minilm.manual_seed(1)
    first = minilm.randn(3)
    minilm.manual_seed(1)
    assert generator is minilm.default_generator
    assert minilm.randn(3).equal(first) and minilm.initial_seed() == 1


def test_negative_seeds_count_from_the_end() -> None:
    assert Generator(-1).initial_seed() == 2**64 - 1


def test_seed_draws_a_seed() -> None:
    generator = Generator(0)
    assert generator.seed() == generator.initial_seed() != Generator(0).seed()


@pytest.mark.parametrize("drawn", [0, 1, 2, 3])
def test_a_state_continues_the_stream(drawn: int) -> None:
    generator = Generator(7)
    generator.integers(0, 2**20, (drawn,))
    generator.next_dropout_key()
    state = generator.get_state()
    assert state.dtype == "uint8"
    expected = [generator.uniform(0, 1, (5,)), generator.permutation(5)]
    key = generator.next_dropout_key()
    other = Generator(0).set_state(state)
    assert np.array_equal(other.uniform(0, 1, (5,)), expected[0])
    assert np.array_equal(other.permutation(5), expected[1])
    assert other.next_dropout_key() == key == (7, 1)


def test_the_default_streams_state() -> None:
    minilm.manual_seed(2)
    state = minilm.get_rng_state()
    first = minilm.rand(3)
    minilm.set_rng_state(state)
    assert minilm.rand(3).equal(first)


def test_a_state_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes"):
        Generator().set_state(np.zeros(3))


def test_dropout_keys_count_calls() -> None:
    minilm.manual_seed(9)
    assert [next_dropout_key() for _ in range(3)] == [(9, 0), (9, 1), (9, 2)]


def test_ranges() -> None:
    draws = Generator(0).uniform(-2, 3, (10_000,))
    assert draws.dtype == np.float32 and draws.min() >= -2 and draws.max() < 3
    assert abs(draws.mean() - 0.5) < 0.1
