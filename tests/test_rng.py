"""Philox: random words as a function of seed, stream and index."""

import numpy as np
import pytest
from reference.slow.philox import philox4x32


@pytest.mark.parametrize(
    ("seed", "stream", "index", "expected"),
    [
        (0, 0, 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            0x299F31D0A4093822,
            0x0370734413198A2E,
            0x85A308D3243F6A88,
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers(core, seed, stream, index, expected):
    assert list(core.philox(seed, stream, index)) == expected


def test_seed_is_the_key_and_stream_and_index_the_counter(core):
    words = [0x01234567, 0x89ABCDEF, 0xFEDCBA98, 0x76543210]
    index, stream = words[0] | words[1] << 32, words[2] | words[3] << 32
    expected = philox4x32(np.array(words), (7, 9))
    assert list(core.philox(7 | 9 << 32, stream, index)) == expected.tolist()


def test_numbers_are_taken_modulo_2_to_the_64(core):
    assert core.philox(-1, 2**64, np.int64(3)) == core.philox(2**64 - 1, 0, 3)


def test_a_float_is_no_seed(core):
    with pytest.raises(TypeError, match="integer"):
        core.philox(0.5, 0, 0)
