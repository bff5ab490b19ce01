import copy
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minilm
from minilm import training
from minilm.data import StreamLoader, Window

IDS = np.random.default_rng(0).integers(0, 9, 400)


def rows(loader) -> list[list]:
    """A pass as plain lists, with all that a window says."""
    return [
        [
            window.inputs.tolist(),
            window.targets.tolist(),
            None if window.starts is None else window.starts.tolist(),
            window.cuts,
            window.carry,
        ]
        for window in loader
    ]


# --- lanes ----------------------------------------------------------------------------------------


def test_it_is_where_it_was_too():
    assert training.StreamLoader is StreamLoader


def test_targets_are_the_inputs_one_further():
    for inputs, targets in StreamLoader(IDS, batch_size=3, bptt=7):
        assert inputs.shape == targets.shape == (3, 7)
        assert inputs.dtype == targets.dtype == np.int64
        np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])


def test_rows_go_on_where_they_ended():
    batches = list(StreamLoader(np.arange(1000), batch_size=4, bptt=10))
    assert len(batches) == len(StreamLoader(np.arange(1000), 4, 10)) == 24
    for (_, ended), (begins, _) in zip(batches, batches[1:], strict=False):
        np.testing.assert_array_equal(ended[:, -1], begins[:, 0])


def test_a_pass_sees_no_token_twice_and_misses_few():
    ids = np.arange(1000)
    seen = np.concatenate([inputs.ravel() for inputs, _ in StreamLoader(ids, 4, 10)])
    assert len(set(seen.tolist())) == len(seen) == 960


def test_what_one_pass_leaves_over_another_sees():
    loader = StreamLoader(np.arange(1000), 4, 10)
    seen = {int(i) for _ in range(200) for inputs, _ in loader for i in inputs.ravel()}
    assert seen == set(range(999))


def test_a_short_text_gets_fewer_lanes():
    loader = StreamLoader(np.arange(36), batch_size=32, bptt=10)
    assert (loader.lanes, len(loader)) == (3, 1)


def test_the_shortest_text_is_one_window():
    ((inputs, targets),) = StreamLoader(np.arange(11), 32, 10)
    assert inputs.tolist() == [list(range(10))]
    assert targets.tolist() == [list(range(1, 11))]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_batches_are_int64_and_the_readers_own(dtype):
    ids = np.arange(40).astype(dtype)
    ids.flags.writeable = False
    inputs, targets = next(iter(StreamLoader(ids, 3, 5, shuffle_offset=False)))
    assert inputs.dtype == targets.dtype == np.int64
    inputs[:] = targets[:] = 0
    assert ids.tolist() == list(range(40))


def test_a_list_and_a_tensor_will_do():
    expected = rows(StreamLoader(IDS, 3, 5))
    assert rows(StreamLoader(IDS.tolist(), 3, 5)) == expected
    assert rows(StreamLoader(minilm.tensor(IDS), 3, 5)) == expected


def test_a_file_is_read_window_by_window(tmp_path):
    IDS.astype(np.uint16).tofile(tmp_path / "ids.bin")
    ids = np.memmap(tmp_path / "ids.bin", np.uint16, "r")
    options = {"document_start": 3, "k1": 4}
    loader = StreamLoader(ids, 3, 5, **options)
    assert np.shares_memory(loader.ids, ids)
    assert rows(loader) == rows(StreamLoader(IDS, 3, 5, **options))


def test_a_huge_file_takes_no_memory(tmp_path):
    """Of a file with a hole of 2 TiB, only what windows show is ever touched."""
    path = tmp_path / "ids.bin"
    try:
        with path.open("wb") as file:
            file.truncate(2 << 40)
        ids = np.memmap(path, np.uint16, "r")
    except OSError:
        pytest.skip("no sparse files of this size here")
    tracemalloc.start()
    loader = StreamLoader(ids, 4, 8, document_starts=np.array([0, 1 << 39]))
    inputs, _ = next(iter(loader))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert inputs.shape == (4, 8)
    assert peak < 1 << 20


# --- passes ---------------------------------------------------------------------------------------


def test_passes_start_at_other_offsets_by_the_seed():
    def starts(seed):
        loader = StreamLoader(np.arange(1000), 4, 10, seed=seed)
        return [next(iter(loader))[0][0, 0] for _ in range(8)]

    assert starts(1) == starts(1)
    assert starts(1) != starts(2)
    assert starts(-1) == starts(2**64 - 1)
    assert len(set(starts(1))) > 1


def test_the_offset_of_a_pass_does_not_depend_on_those_before():
    whole = StreamLoader(IDS, 4, 10)
    passes = [rows(whole) for _ in range(3)]
    jumping = StreamLoader(IDS, 4, 10)
    jumping.load_state_dict({**jumping.state_dict(), "pass": 2})
    assert rows(jumping) == passes[2]
    peeking = StreamLoader(IDS, 4, 10)
    iter(peeking)  # nothing is asked for: no pass begins
    next(iter(peeking))
    assert rows(peeking) == passes[1]


def test_the_offset_can_be_kept():
    loader = StreamLoader(IDS, 4, 10, shuffle_offset=False)
    assert rows(loader) == rows(loader)
    assert next(iter(loader))[0][0].tolist() == IDS[:10].tolist()


def test_two_passes_side_by_side():
    loader = StreamLoader(IDS, 4, 10)
    first, second = rows(StreamLoader(IDS, 4, 10)), rows(loader)
    assert first == second
    pairs = list(zip(loader, loader, strict=True))
    again = StreamLoader(IDS, 4, 10)
    passes = [rows(again) for _ in range(3)]
    assert rows(one for one, _ in pairs) == passes[1]
    assert rows(other for _, other in pairs) == passes[2]


def test_the_end_of_one_pass_is_not_that_of_another():
    loader = StreamLoader(IDS, 4, 10)
    ending, running = iter(loader), iter(loader)
    for _ in range(len(loader)):
        next(ending)
    next(running)
    assert next(ending, None) is None
    assert (loader.state_dict()["pass"], loader.state_dict()["windows"]) == (1, 1)


# --- k1 and k2 ------------------------------------------------------------------------------------


def lanes_of(k1: int, k2: int) -> list[tuple[list[int], list[int]]]:
    loader = StreamLoader(np.arange(13), 1, 4, k1=k1, k2=k2, shuffle_offset=False)
    return [(inputs[0].tolist(), targets[0].tolist()) for inputs, targets in loader]


def test_windows_overlap_where_k2_is_larger():
    assert lanes_of(2, 4) == [
        ([0, 1, 2, 3], [1, 2, 3, 4]),
        ([2, 3, 4, 5], [-100, -100, 5, 6]),
        ([4, 5, 6, 7], [-100, -100, 7, 8]),
        ([6, 7, 8, 9], [-100, -100, 9, 10]),
        ([8, 9, 10, 11], [-100, -100, 11, 12]),
    ]
    windows = list(StreamLoader(IDS, 3, 4, k1=1))
    assert {(window.cuts, window.carry) for window in windows} == {((), 1)}


def test_gradients_are_cut_where_k2_is_smaller():
    assert lanes_of(4, 2) == lanes_of(4, 4)
    windows = list(StreamLoader(IDS, 3, 4, k1=7, k2=3))
    assert {(window.cuts, window.carry) for window in windows} == {((3, 6), 7)}


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(7, 60))
def test_every_token_of_a_lane_is_predicted_once(k1, k2, batch_size, tokens):
    loader = StreamLoader(np.arange(tokens), batch_size, 3, k1=k1, k2=k2)
    windows = list(loader)
    assert len(windows) == len(loader)
    for lane in range(loader.lanes):
        predicted = np.concatenate([window.targets[lane] for window in windows])
        predicted = predicted[predicted != -100]
        first = windows[0].inputs[lane, 0]
        assert predicted.tolist() == list(range(first + 1, first + 1 + len(predicted)))
        assert len(predicted) == (len(loader) - 1) * k1 + max(k1, k2)
    # Another step would not fit.
    assert loader.lanes * (len(predicted) + k1) > tokens - 1


# --- documents ------------------------------------------------------------------------------------


def test_a_separator_opens_a_document_and_is_predicted_before():
    ids = [9, 1, 2, 9, 3, 9, 9, 4, 5]
    (window,) = StreamLoader(ids, 1, 8, document_start=9)
    assert window.starts.tolist() == [[True, False, False, True, False, True, True, False]]
    assert window.targets.tolist() == [ids[1:]]


def test_positions_open_a_document_that_nothing_announces():
    ids = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    (window,) = StreamLoader(ids, 1, 8, document_starts=[0, 3, 4, 8])
    assert window.starts.tolist() == [[True, False, False, True, True, False, False, False]]
    assert window.targets.tolist() == [[2, 3, -100, -100, 6, 7, 8, -100]]


def test_a_window_without_a_start_says_none():
    for documents in ({"document_start": 77}, {"document_starts": [0]}):
        assert [w.starts for w in StreamLoader(IDS, 1, 8, **documents)][1:] == [None] * 48


@given(st.data())
def test_starts_are_those_of_the_text(data):
    """Against a mask of the whole text, cut as the ids are."""
    tokens = data.draw(st.integers(20, 80))
    starts = sorted(data.draw(st.sets(st.integers(0, tokens - 1))) | {0})
    k1, k2 = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    loader = StreamLoader(np.arange(tokens), 3, 4, k1=k1, k2=k2, document_starts=starts)
    plain = StreamLoader(np.arange(tokens), 3, 4, k1=k1, k2=k2)
    for window, other in zip(loader, plain, strict=True):
        expected = np.isin(window.inputs, starts)
        actual = np.zeros_like(expected) if window.starts is None else window.starts
        np.testing.assert_array_equal(actual, expected)
        crossing = np.isin(other.targets, starts)
        np.testing.assert_array_equal(
            window.targets, np.where(crossing, -100, other.targets), strict=True
        )


# --- going on -------------------------------------------------------------------------------------


@given(st.data())
def test_it_goes_on_where_it_stood(data):
    options = {
        "k1": data.draw(st.integers(1, 6)),
        "k2": data.draw(st.integers(1, 6)),
        "seed": data.draw(st.integers(0, 5)),
        "document_start": data.draw(st.sampled_from([None, 3])),
    }

    def loader() -> StreamLoader:
        return StreamLoader(IDS[:70], 4, 5, **options)

    passes, windows = data.draw(st.integers(0, 3)), data.draw(st.integers(0, len(loader())))
    whole = loader()
    for _ in range(passes):
        rows(whole)
    running = iter(whole)
    for _ in range(windows):
        next(running)
    state = json.loads(json.dumps(whole.state_dict()))
    expected = [rows(running), *([rows(whole), rows(whole)] if windows else [rows(whole)])]

    resumed = loader()
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert [rows(resumed) for _ in expected] == expected


def test_the_last_window_is_not_the_end():
    """In the last step of an epoch the pass still has its end to come; after it, it has not."""
    loader, other = StreamLoader(IDS, 4, 10), StreamLoader(IDS, 4, 10)
    for _ in loader:
        state = loader.state_dict()
    assert (state["pass"], state["windows"]) == (0, len(loader))
    other.load_state_dict(state)
    assert rows(other) == []
    assert other.state_dict() == loader.state_dict() == {**state, "pass": 1, "windows": 0}


def test_a_pass_that_was_left_is_followed_by_the_next():
    loader = StreamLoader(IDS, 4, 10)
    next(iter(loader))
    loader.end_pass()
    other = StreamLoader(IDS, 4, 10)
    other.load_state_dict(loader.state_dict())
    twin = StreamLoader(IDS, 4, 10)
    _, second = rows(twin), rows(twin)
    assert rows(loader) == rows(other) == second


def test_one_loader_may_go_back():
    loader = StreamLoader(IDS, 4, 10)
    running = iter(loader)
    next(running)
    state = loader.state_dict()
    rest = rows(running)
    rows(loader)
    loader.load_state_dict(state)
    assert rows(loader) == rest


def test_the_seed_is_that_of_the_state():
    loader, other = StreamLoader(IDS, 4, 10, seed=7), StreamLoader(IDS, 4, 10, seed=1)
    other.load_state_dict(loader.state_dict())
    assert [rows(other) for _ in range(3)] == [rows(loader) for _ in range(3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": IDS[:300]}, "with tokens 400; this one has tokens 300"),
        ({"batch_size": 5}, "with lanes 4; this one has lanes 5"),
        ({"k1": 3}, "with k1 10; this one has k1 3"),
        ({"k2": 3}, "with k2 10; this one has k2 3"),
        ({"document_start": 3}, "with document_start None; this one has document_start 3"),
        ({"document_starts": [0, 9]}, "with documents None; this one has documents 2"),
        ({"shuffle_offset": False}, "shuffle_offset True; this one has shuffle_offset False"),
    ],
)
def test_the_state_of_another_stream_is_refused(change, message):
    state = StreamLoader(IDS, 4, 10).state_dict()
    other = StreamLoader(**{"ids": IDS, "batch_size": 4, "bptt": 10, **change})
    before = other.state_dict()
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(state)
    assert other.state_dict() == before


def test_what_is_no_state_is_refused():
    with pytest.raises(ValueError, match="not the state of a StreamLoader: it lacks 'pass'"):
        StreamLoader(IDS, 4, 10).load_state_dict({"batches": 3})
    loader = StreamLoader(IDS, 4, 10)
    for wrong in ({"windows": len(loader) + 1}, {"windows": -1}, {"pass": -1}):
        with pytest.raises(ValueError, match="between 0 and"):
            loader.load_state_dict({**loader.state_dict(), **wrong})


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 10])
def test_a_text_shorter_than_a_window_is_refused(length):
    message = f"has {length} tokens, but a window takes 11"
    with pytest.raises(ValueError, match=message):
        StreamLoader(np.arange(length), 2, 10)
    with pytest.raises(ValueError, match=message):
        StreamLoader(np.arange(length), 2, 3, k2=10)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([], ValueError, "the text is empty"),
        ([[1, 2], [3, 4]], ValueError, "one axis .* shape \\(2, 2\\)"),
        ([0.5, 1.5], TypeError, "whole numbers; got float64"),
    ],
)
def test_ids_that_are_no_stream(ids, error, message):
    with pytest.raises(error, match=message):
        StreamLoader(ids, 1, 1)


@pytest.mark.parametrize("name", ["batch_size", "bptt", "k1", "k2"])
@pytest.mark.parametrize("value", [0, -1, 2.0])
def test_lengths_are_positive(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1 on, got {value}"):
        StreamLoader(**{"ids": IDS, "batch_size": 2, "bptt": 5, name: value})


@pytest.mark.parametrize(
    ("starts", "error", "message"),
    [
        ([], ValueError, "must start with 0, .* but is empty"),
        ([3, 7], ValueError, "must start with 0, .* starts with 3. Are these the ends"),
        ([0, 7, 5], ValueError, r"must ascend, but document_starts\[2\] is 5 after 7"),
        ([0, 7, 7], ValueError, r"document_starts\[2\] is 7 after 7: .* no tokens"),
        ([0, 400], ValueError, r"document_starts\[1\] is 400, outside the text of 400"),
        ([0, -1], ValueError, "is -1 after 0"),
        (np.array([0, 7, 5], np.uint64), ValueError, "is 5 after 7"),
        ([0.0, 4.0], TypeError, "whole numbers; got float64"),
        ([[0, 4]], TypeError, r"shape \(1, 2\)"),
    ],
)
def test_positions_that_cannot_be(starts, error, message):
    with pytest.raises(error, match=message):
        StreamLoader(IDS, 2, 5, document_starts=starts)


def test_documents_are_given_once():
    with pytest.raises(ValueError, match="document_start excludes document_starts"):
        StreamLoader(IDS, 2, 5, document_start=0, document_starts=[0])
    with pytest.raises(TypeError, match="float"):
        StreamLoader(IDS, 2, 5, document_start=0.5)


def test_a_window_is_a_pair():
    inputs = np.zeros((2, 3), np.int64)
    window = Window(inputs, inputs + 1)
    assert isinstance(window, tuple)
    assert len(window) == 2
    assert window.inputs is window[0]
    assert window.targets is window[1]
    assert (window.starts, window.cuts, window.carry) == (None, (), 3)
    window = Window(inputs, inputs + 1, cuts=(1,), carry=2)
    again = copy.deepcopy(window)
    assert isinstance(again, Window)
    assert (again.cuts, again.carry) == ((1,), 2)
    assert again.targets.tolist() == window.targets.tolist()
