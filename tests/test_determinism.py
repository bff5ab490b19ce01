"""The same bits, however many threads, and from run to run with one seed."""

from __future__ import annotations

import json

import pytest
from reference.cases import CASES
from reference.checksums import TRAINING, checksums

import minilm

# a case at least of each kind that is large enough to be cut into tasks
NAMES = [case.name for case in CASES if "-wide" in case.name] + ["lstm-3-layers-both", TRAINING]


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, str]]:
    """Checksums that one thread gives."""
    return with_threads(1, NAMES)


def with_threads(threads: int, names: list[str]) -> dict[str, dict[str, str]]:
    before = minilm.get_num_threads()
    minilm.set_num_threads(threads)
    try:
        assert minilm.get_num_threads() == threads
        return checksums(names)
    finally:
        minilm.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_threads(expected, name, threads):
    assert with_threads(threads, [name])[name] == expected[name]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_the_process(expected, run_python, threads):
    output = run_python("-m", "reference.checksums", *NAMES, MINILM_NUM_THREADS=str(threads))
    assert json.loads(output) == {"threads": threads} | expected


def test_another_seed_gives_other_bits(expected):
    assert checksums([TRAINING], seed=8)[TRAINING] != expected[TRAINING]
