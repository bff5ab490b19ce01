import copy
import tracemalloc

import numpy as np
import pytest

import minilm
from minilm.models import DynamicCache
from minilm.nn.dot_product import attention


def part(time: int, batch: int = 2):
    return minilm.randn(batch, 3, time, 4).requires_grad_()


def test_it_grows_by_block():
    cache = DynamicCache()
    assert (len(cache), cache.get_seq_length()) == (0, 0)
    first, second = part(5), part(1)
    cache.update(first, first, 0)
    cache.update(first, first, 1)
    keys, values = cache.update(second, second, 0)
    assert keys.shape == values.shape == (2, 3, 6, 4)
    assert (len(cache), cache.get_seq_length()) == (2, 6)
    expected = np.concatenate([first.detach().numpy(), second.detach().numpy()], axis=2)
    np.testing.assert_array_equal(keys.detach().numpy(), expected)


def test_gradients_flow_to_the_new_part_only():
    cache = DynamicCache()
    first, second = part(5), part(1)
    cache.update(first, first, 0)
    keys, _ = cache.update(second, second, 0)
    keys.sum().backward()
    assert first.grad is None
    np.testing.assert_array_equal(second.grad.numpy(), np.ones((2, 3, 1, 4), np.float32))


def test_another_batch_is_refused():
    cache = DynamicCache()
    cache.update(part(5), part(5), 0)
    with pytest.raises(ValueError, match="of 2 texts, input_ids of 3"):
        cache.update(part(1, 3), part(1, 3), 0)


# --- how it grows ---------------------------------------------------------------------------------


def array(time: int, batch: int = 2):
    return minilm.randn(batch, 3, time, 4)


def addresses(cache: DynamicCache) -> list[int]:
    """Where keys and values of the first block lie."""
    return [part.numpy().__array_interface__["data"][0] for part in cache.layers[0]]


def test_memory_is_taken_a_few_times_for_a_thousand_tokens():
    cache, parts, blocks, positions = DynamicCache(), [array(5)], [], 0
    cache.update(parts[0], parts[0], 0)
    for _ in range(1000):
        parts.append(array(1))
        keys, values = cache.update(parts[-1], parts[-1], 0)
        assert keys.shape[2] == cache.get_seq_length()
        if not blocks or blocks[-1] is not keys.numpy().base:
            blocks.append(keys.numpy().base)
            positions += keys.shape[2]  # that were copied into the new block
    assert 4 <= len(blocks) <= 8
    assert positions <= 2 * 1005  # one by one it would be half a million
    expected = np.concatenate([part.numpy() for part in parts], axis=2)
    for part in (keys, values, *cache.layers[0]):
        np.testing.assert_array_equal(part.numpy(), expected)


def test_what_was_returned_before_stays_as_it_is():
    cache = DynamicCache()
    cache.update(array(5), array(5), 0)
    seen = [cache.update(array(1), array(1), 0) for _ in range(100)]
    copies = [keys.numpy().copy() for keys, _ in seen]
    cache.reorder_cache(np.array([1, 1]))
    for _ in range(100):
        cache.update(array(1), array(1), 0)
    for (keys, _), expected in zip(seen, copies, strict=True):
        np.testing.assert_array_equal(keys.numpy(), expected)


def test_rows_are_picked_and_go_on_growing():
    cache, first, new = DynamicCache(), array(5, 3), array(1, 4)
    cache.update(first, first, 0)
    cache.update(array(1, 3), array(1, 3), 0)
    before = addresses(cache)
    cache.reorder_cache(np.array([0, 1, 2]))
    assert addresses(cache) == before  # as they were: nothing to do
    cache.reorder_cache(np.array([2, 0, 2, 1]))
    block = cache.layers[0][0].numpy().base
    keys, _ = cache.update(new, new, 0)
    assert keys.numpy().base is block  # the room came with them
    np.testing.assert_array_equal(keys.numpy()[:, :, :5], first.numpy()[[2, 0, 2, 1]])
    np.testing.assert_array_equal(keys.numpy()[:, :, 6:], new.numpy())


def test_a_copy_goes_its_own_way():
    cache = DynamicCache()
    for time in (5, 1):
        cache.update(array(time), array(time), 0)
    other = copy.deepcopy(cache)
    ours, theirs = array(1), array(1)
    cache.update(ours, ours, 0)
    other.update(theirs, theirs, 0)
    np.testing.assert_array_equal(cache.layers[0][0].numpy()[:, :, 6:], ours.numpy())
    np.testing.assert_array_equal(other.layers[0][0].numpy()[:, :, 6:], theirs.numpy())


def test_a_recorded_call_keeps_its_gradient_when_the_cache_grows_on():
    cache, new = DynamicCache(), part(1)
    cache.update(array(5), array(5), 0)
    keys, values = cache.update(new, new, 0)
    loss = (keys * keys).sum() + values.sum()
    for _ in range(40):
        cache.update(array(1), array(1), 0)
    loss.backward()
    np.testing.assert_allclose(new.grad.numpy(), 2 * new.detach().numpy() + 1, rtol=1e-6)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("queries", [1, 4])
def test_attention_reads_it_where_it_lies(batch, queries):
    """A part of an array is no block of memory, which the core would be given a copy of."""
    cache = DynamicCache()
    cache.update(array(2000, batch), array(2000, batch), 0)
    keys, values = cache.update(array(queries, batch), array(queries, batch), 0)
    query = minilm.randn(batch, 6, queries, 4)
    options = {"causal": True, "aligned_to_end": True}
    mask = np.ones((batch, keys.shape[2]), np.int64)
    mask[-1, 3:900] = 0
    expected, _ = attention(
        query, minilm.tensor(keys.numpy()), minilm.tensor(values.numpy()), key_mask=mask, **options
    )
    tracemalloc.start()
    got, _ = attention(query, keys, values, key_mask=mask, **options)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(got.numpy(), expected.numpy())
    assert peak < keys.numpy().nbytes / 3


def test_where_a_gradient_is_wanted_keys_of_a_cache_are_read_as_well():
    cache = DynamicCache()
    for time in (5, 1):
        keys, values = cache.update(array(time), array(time), 0)
    query = part(1)
    attention(query, keys, values)[0].sum().backward()
    other = query.detach().requires_grad_()
    attention(other, minilm.tensor(keys.numpy()), minilm.tensor(values.numpy()))[0].sum().backward()
    np.testing.assert_array_equal(query.grad.numpy(), other.grad.numpy())


def test_other_parts_of_arrays_are_read_right():
    whole = minilm.randn(2, 3, 9, 4)
    query, same = minilm.randn(2, 3, 1, 4), slice(None)
    for place in (slice(0, 5), slice(2, 7), slice(0, 9, 2)):
        for heads in (same, slice(0, 1)):
            keys = whole[:, heads, place]
            values = whole[:, heads, place.start : 9 : place.step or 1][:, :, : keys.shape[2]]
            got, _ = attention(query, keys, values)
            fresh = [minilm.tensor(np.ascontiguousarray(x.numpy())) for x in (keys, values)]
            np.testing.assert_array_equal(got.numpy(), attention(query, *fresh)[0].numpy())
