import numpy as np
import pytest

import minilm
from minilm.models import DynamicCache


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
