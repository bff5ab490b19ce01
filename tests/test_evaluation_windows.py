import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.data.stream import IGNORED
from minilm.evaluation.windows import CONTEXT_SHOWN, Rows, Stream, StreamPlan

sizes = st.integers(1, 40)


def check_stream(length: int, plan: StreamPlan, batch_size: int) -> None:
    """Check that each target comes once, after the context that the plan promises."""
    ids = 1000 + np.arange(length)  # an id tells its position
    counted = []
    for run in Stream(ids, plan, batch_size).runs():
        windows = list(run)
        read = np.concatenate([window.inputs for window in windows], axis=1)
        targets = np.concatenate([window.targets for window in windows], axis=1)
        assert max(window.inputs.shape[1] for window in windows) <= plan.window
        assert len(read) <= batch_size
        for row, column in np.argwhere(targets != IGNORED).tolist():
            target = targets[row, column]
            assert read[row, column] == target - 1
            seen = read[row, : column + 1]
            assert (np.diff(seen) == 1).all()
            position = target - 1000
            assert len(seen) > min(plan.context, position - 1)
            counted.append(position)
        for window in windows:
            for row, column in np.argwhere(window.targets != IGNORED)[:5].tolist():
                place, position = window.place(row, column)
                assert place is None and ids[position] == window.targets[row, column]
                expected = ids[max(position - CONTEXT_SHOWN, 0) : position]
                assert window.context(row, column).tolist() == expected.tolist()
    assert sorted(counted) == list(range(1, length))


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 400), sizes, sizes, sizes)
def test_lanes_count_each_token_once(length, context, lanes, batch_size):
    plan = StreamPlan.of_lanes(length - 1, context, lanes)
    assert 1 <= plan.lanes <= lanes
    check_stream(length, plan, batch_size)


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 400), st.integers(0, 40), sizes, sizes)
def test_windows_count_each_token_once(length, context, stride, batch_size):
    check_stream(length, StreamPlan.of_windows(length - 1, context, stride), batch_size)


def test_what_is_said_of_a_plan():
    assert StreamPlan.of_windows(9, 5, 5).seen == "in one window"
    assert StreamPlan.of_windows(11, 5, 5).seen == "stride 5 after 5 tokens of context or more"
    assert StreamPlan.of_lanes(99, 100, 32).seen == "state carried through the whole text"
    assert StreamPlan.of_lanes(300, 100, 32).seen.startswith("state carried along 2 lanes after")


@pytest.mark.parametrize("window", [None, 2, 3, 7])
def test_rows_come_whole_whatever_is_read_in_one_go(window):
    inputs = np.arange(15).reshape(3, 5)
    batches = [(inputs, inputs + 1), (inputs[:1], inputs[:1] + 1)]
    source = Rows(iter(batches), window)
    seen = []
    for run, (rows, targets) in zip(source.runs(), batches, strict=True):
        windows = list(run)
        np.testing.assert_array_equal(np.concatenate([w.inputs for w in windows], 1), rows)
        np.testing.assert_array_equal(np.concatenate([w.targets for w in windows], 1), targets)
        seen += [w.place(0, 0) for w in windows]
        row, position = windows[-1].place(0, windows[-1].inputs.shape[1] - 1)
        assert position == 5
        assert windows[-1].context(0, windows[-1].inputs.shape[1] - 1).tolist() == [0, 1, 2, 3, 4]
    assert seen[0] == (0, 1) and {row for row, _ in seen} == {0, 3}
    assert source.terms[0] == "4 rows, each read on its own"
