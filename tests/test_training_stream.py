import numpy as np
import pytest

from minilm.training import StreamLoader


def test_targets_are_the_inputs_one_further():
    ids = np.random.default_rng(0).integers(0, 50, 300)
    for inputs, targets in StreamLoader(ids, batch_size=3, seq_len=7):
        assert inputs.shape == targets.shape == (3, 7)
        np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])


def test_rows_go_on_where_they_ended():
    batches = list(StreamLoader(np.arange(1000), batch_size=4, seq_len=10))
    assert len(batches) == len(StreamLoader(np.arange(1000), 4, 10)) == 24
    for (_, ended), (begins, _) in zip(batches, batches[1:], strict=False):
        np.testing.assert_array_equal(ended[:, -1], begins[:, 0])


def test_a_pass_sees_no_token_twice_and_misses_few():
    ids = np.arange(1000)
    seen = np.concatenate([inputs.ravel() for inputs, _ in StreamLoader(ids, 4, 10)])
    assert len(set(seen.tolist())) == len(seen) == 960


def test_passes_start_at_other_offsets_by_the_seed():
    def starts(seed):
        loader = StreamLoader(np.arange(1000), 4, 10, seed)
        return [next(iter(loader))[0][0, 0] for _ in range(8)]

    assert starts(1) == starts(1)
    assert starts(1) != starts(2)
    assert len(set(starts(1))) > 1


def test_a_short_text_gets_fewer_lanes():
    loader = StreamLoader(np.arange(36), batch_size=32, seq_len=10)
    assert (loader.lanes, len(loader)) == (3, 1)


def test_the_shortest_text_is_one_window():
    ((inputs, targets),) = StreamLoader(np.arange(11), 32, 10)
    assert inputs.tolist() == [list(range(10))]
    assert targets.tolist() == [list(range(1, 11))]


@pytest.mark.parametrize("length", [0, 1, 10])
def test_a_text_shorter_than_a_window_is_refused(length):
    with pytest.raises(ValueError, match=f"has {length} tokens, but a window takes 11"):
        StreamLoader(np.arange(length), 2, 10)
