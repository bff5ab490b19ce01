import pytest

from minilm.tokenization.lengths import Lengths, read_lengths, target_length

NO_LIMIT = int(1e30)


@pytest.mark.parametrize(
    ("padding", "truncation", "max_length", "model", "expected"),
    [
        (False, None, None, 8, Lengths(None, None, None)),
        (None, False, None, 8, Lengths(None, None, None)),
        ("do_not_pad", "do_not_truncate", 4, 8, Lengths(None, None, 4)),
        (True, None, None, NO_LIMIT, Lengths("longest", None, None)),
        (False, None, 4, 8, Lengths(None, "longest_first", 4)),
        (False, False, 4, 8, Lengths(None, None, 4)),
        (True, None, 4, 8, Lengths("longest", None, 4)),
        (True, True, None, 8, Lengths("longest", "longest_first", 8)),
        ("max_length", None, None, 8, Lengths("max_length", None, 8)),
        (False, "only_second", 4, 8, Lengths(None, "only_second", 4)),
    ],
)
def test_read_lengths(padding, truncation, max_length, model, expected):
    assert read_lengths(padding, truncation, max_length, model) == expected


@pytest.mark.parametrize(
    ("padding", "truncation", "what"),
    [("max_length", None, "padding='max_length'"), (True, True, "truncation=True")],
)
def test_no_limit_is_known(padding, truncation, what):
    with pytest.warns(UserWarning, match=f"{what} has no effect"):
        found = read_lengths(padding, truncation, None, NO_LIMIT)
    assert found == Lengths("longest" if padding is True else None, None, None)


@pytest.mark.parametrize(
    ("wanted", "multiple", "expected"),
    [
        (Lengths(None, None, 9), 4, None),
        (Lengths("longest", None, 9), None, 5),
        (Lengths("longest", None, 9), 4, 8),
        (Lengths("max_length", None, 9), None, 9),
        (Lengths("max_length", None, 9), 4, 12),
    ],
)
def test_target_length(wanted, multiple, expected):
    assert target_length([3, 5], wanted, multiple) == expected
