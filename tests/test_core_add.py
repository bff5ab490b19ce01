"""Sums in the core: NumPy's to the bit, for arrays that lie as it wants them."""

import numpy as np
import pytest

import minilm
from minilm import _core
from minilm.rules.sums import LARGE, add_to, new_sum


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (7, 5), (300, 1000)], ids=str)
def test_it_is_numpys_sum(shape):
    a, b = draw(*shape), np.asarray(2 * draw(*shape))
    expected = a + b
    np.testing.assert_array_equal(_core.add(a, b), expected)
    np.testing.assert_array_equal(_core.add(a, b, out=np.empty_like(a)), expected)
    assert _core.add(a, b, b) is b
    np.testing.assert_array_equal(b, expected)
    np.testing.assert_array_equal(_core.add(a, a, a), 2 * draw(*shape))


def test_what_does_not_fit_is_refused():
    a = draw(4, 6)
    with pytest.raises(ValueError, match=r"b: expected .*\(4, 6\)"):
        _core.add(a, a[:2].copy())
    with pytest.raises(ValueError, match="a: .*C-contiguous"):
        _core.add(a.T, a.T)
    with pytest.raises(TypeError, match="b: expected a float32"):
        _core.add(a, a.astype(np.float64))
    frozen = a.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="out: .*read-only"):
        _core.add(a, a, frozen)
    _core.add(frozen, a)


LAYOUTS = {
    "alike": lambda x: x,
    "transposed": lambda x: x.T.copy().T,
    "strided": lambda x: np.repeat(x, 2, 1)[:, ::2],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "unaligned": lambda x: np.frombuffer(b"x" + x.tobytes(), np.float32, offset=1).reshape(x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_arrays_may_lie_as_they_like(layout):
    a, b = draw(LARGE // 64, 128), layout(draw(LARGE // 64, 128) * 2)
    np.testing.assert_array_equal(new_sum(a, b), a + b)
    np.testing.assert_array_equal(new_sum(b, a), a + b)
    expected = a + b
    add_to(a, b)
    np.testing.assert_array_equal(a, expected)


def test_a_residual_stream_and_its_gradients():
    x, y = (minilm.tensor(draw(LARGE // 64, 64), requires_grad=True) for _ in range(2))
    z = x + y
    ((z * z).sum() + (z * 3).sum() + z.sum()).backward()
    expected = 2 * z.detach().numpy() + 4
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)
    np.testing.assert_array_equal(x.grad.numpy(), y.grad.numpy())
    assert not np.shares_memory(x.grad.numpy(), y.grad.numpy())
