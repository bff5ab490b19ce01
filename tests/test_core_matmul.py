"""The core's product of stacks of matrices: every layout, every size, the same bits."""

import numpy as np
import pytest

import minilm
from minilm import _core

SHAPES = [
    (1, 1, 1, 1),
    (3, 2, 3, 4),
    (1, 70, 33, 65),
    (5, 17, 1, 16),
    (7, 1, 40, 1),
    (2, 300, 90, 40),
]
EMPTY = [(0, 2, 3, 4), (2, 0, 3, 4), (2, 3, 0, 4), (2, 3, 4, 0)]


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


LAYOUTS = {
    "in order": lambda x: x,
    "transposed": lambda x: x.swapaxes(1, 2).copy().swapaxes(1, 2),
    "batch last": lambda x: np.moveaxis(np.moveaxis(x, 0, 2).copy(), 2, 0),
    "heads apart": lambda x: np.stack([x, x + 1], 2)[:, :, 0],
    "a part of wider rows": lambda x: np.concatenate([x, x], 2)[:, :, : x.shape[2]],
    "backward": lambda x: x[:, ::-1].copy()[:, ::-1],
    "the same for all": lambda x: np.broadcast_to(x[:1], x.shape),
    "unaligned": lambda x: np.frombuffer(b"x" + x.tobytes(), np.float32, offset=1).reshape(x.shape),
}


@pytest.mark.kernels
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES + EMPTY, ids=str)
def test_it_is_the_product_however_operands_lie(layout, shape):
    count, m, k, n = shape
    a, b = draw(count, m, k), draw(count, k, n)
    for p, q in ((layout(a), b), (a, layout(b)), (layout(a), layout(b))):
        expected = p.astype(np.float64) @ q.astype(np.float64)
        got = _core.matmul(p, q)
        assert got.shape == (count, m, n)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * max(k, 1) ** 0.5)


@pytest.mark.kernels
@pytest.mark.parametrize("shape", [*SHAPES, (3, 200, 200, 200)], ids=str)
def test_bits_do_not_depend_on_threads(shape):
    count, m, k, n = shape
    a, b = draw(count, m, k), draw(count, k, n)
    before = _core.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            _core.set_num_threads(threads)
            results.append(_core.matmul(a, b).tobytes())
    finally:
        _core.set_num_threads(before)
    assert len(set(results)) == 1


def test_what_is_no_stack_is_refused():
    a = draw(2, 3, 4)
    for wrong in (a[0], a.astype(np.float64), a.tolist(), a.astype(">f4")):
        with pytest.raises(TypeError, match="a: expected a float32 array of three axes"):
            _core.matmul(wrong, a)
    with pytest.raises(TypeError, match="b: expected"):
        _core.matmul(a, None)
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) and \(2, 3, 4\)"):
        _core.matmul(a, a)
    with pytest.raises(ValueError, match=r"got \(2, 3, 4\) and \(1, 4, 3\)"):
        _core.matmul(a, a[:1].swapaxes(1, 2))


def test_the_gradient_of_a_shared_matrix_is_one_product(monkeypatch):
    """And not one for each matrix of the stack, which are summed up afterwards."""
    calls = []
    multiply = _core.matmul
    monkeypatch.setattr(_core, "matmul", lambda a, b: calls.append(a.shape) or multiply(a, b))
    x, weight = (minilm.tensor(draw(*shape), requires_grad=True) for shape in ((8, 5, 3), (3, 2)))
    (x @ weight).sum().backward()
    assert sorted(calls) == [(1, 3, 40), (1, 40, 2), (1, 40, 3)]
    np.testing.assert_allclose(
        weight.grad.numpy(), np.repeat(draw(8, 5, 3).sum((0, 1))[:, None], 2, 1), rtol=1e-5
    )
