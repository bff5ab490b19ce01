"""The functions of the core beneath the optimizers: which arrays they take, and gradients."""

import numpy as np
import pytest
from reference.slow import optimizers as slow

SHAPES = [(3, 5), (), (0, 4), (127,), (2, 20001)]


def numbers(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def arrays(*shapes):
    return [numbers(shape, i) for i, shape in enumerate(shapes)]


# --- arrays ---


def test_lists_of_different_lengths(core):
    with pytest.raises(ValueError, match="grads: expected 2 arrays, one for each of params, got 1"):
        core.sgd_step(arrays((3,), (4,)), arrays((3,)), None, lr=0.1)


@pytest.mark.parametrize("given", [None, 3, numbers((2, 3), 0)])
def test_what_is_no_list_of_arrays(core, given):
    with pytest.raises(TypeError, match="grads: expected a sequence of arrays"):
        core.sgd_step(arrays((2, 3), (2, 3)), given, None, lr=0.1)


def test_what_is_no_array(core):
    with pytest.raises(TypeError, match=r"grads\[1\]: expected a NumPy array, got list"):
        core.grad_norm([numbers((3,), 0), [1.0]])


def test_a_read_only_array(core):
    grads = arrays((3,))
    grads[0].flags.writeable = False
    assert core.grad_norm(grads) > 0
    with pytest.raises(ValueError, match=r"grads\[0\].*writable"):
        core.scale_grads(grads, 2.0)


def test_arrays_in_foreign_byte_order(core):
    swapped = numbers((3,), 0).astype(np.dtype(np.float32).newbyteorder())
    with pytest.raises(TypeError, match=r"grads\[0\]"):
        core.grad_norm([swapped])


@pytest.mark.parametrize("shift", [0, 1, 9])
def test_arrays_that_share_memory(core, shift):
    memory = np.zeros(20, np.float32)
    param, grad = memory[:10], memory[shift : shift + 10]
    with pytest.raises(ValueError, match=r"params\[1\] and grads\[1\] share memory"):
        core.sgd_step([numbers(2, 0), param], [numbers(2, 0), grad], None, lr=0.1)


def test_overlap_is_found_behind_a_long_array(core):
    memory = np.zeros(30, np.float32)
    whole, early, late = memory[:], memory[1:3], memory[20:22]
    with pytest.raises(ValueError, match="share memory"):
        core.sgd_step([late], [early], [whole[20:22]], lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match=r"grads\[0\] and grads\[1\] share memory"):
        core.scale_grads([whole, late], 2.0)


def test_neighbours_in_memory_do_not_overlap(core):
    memory = np.ones(20, np.float32)
    core.sgd_step([memory[:10]], [memory[10:]], None, lr=0.5)
    np.testing.assert_array_equal(memory, [0.5] * 10 + [1] * 10)


def test_arrays_that_are_only_read_may_share_memory(core):
    grad = numbers((3,), 0)
    params = arrays((3,), (3,))
    core.sgd_step(params, [grad, grad], None, lr=0.1)
    assert core.grad_norm([grad, grad]) == pytest.approx(np.sqrt(2) * np.linalg.norm(grad))


@pytest.mark.parametrize("step", [0, -1])
def test_steps_count_from_one(core, step):
    three = arrays((3,), (3,), (3,), (3,))
    with pytest.raises(ValueError, match=f"expected .*got {step}"):
        core.adam_step(*([a] for a in three), step=step, lr=0.1)


# --- gradients ---


@pytest.mark.kernels
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, 0.5, np.inf])
def test_grad_norm(core, norm_type):
    grads = arrays(*SHAPES)
    expected = slow.grad_norm([g.astype(np.float64) for g in grads], norm_type)
    assert core.grad_norm(grads, norm_type) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_grad_norm_does_not_hide_what_is_not_finite(core, norm_type, bad):
    grads = arrays(*SHAPES)
    grads[4][1, 70] = bad
    np.testing.assert_equal(core.grad_norm(grads, norm_type), abs(bad))


@pytest.mark.parametrize("norm_type", [0.0, -1.0, np.nan])
def test_grad_norm_of_no_norm(core, norm_type):
    with pytest.raises(ValueError, match="norm_type"):
        core.grad_norm(arrays((3,)), norm_type)


def test_grad_norm_of_nothing(core):
    assert core.grad_norm([]) == 0.0


@pytest.mark.kernels
def test_scale_and_clip(core):
    grads, kept = arrays(*SHAPES), arrays(*SHAPES)
    core.scale_grads(grads, 0.3)
    for grad, old in zip(grads, kept, strict=True):
        np.testing.assert_array_equal(grad, old * np.float32(0.3))
    grads = arrays(*SHAPES)
    core.clip_grads(grads, 0.5)
    for grad, old in zip(grads, kept, strict=True):
        np.testing.assert_array_equal(grad, np.clip(old, -0.5, 0.5))


def test_clip_keeps_nan(core):
    grad = np.array([np.nan, np.inf, -np.inf], np.float32)
    core.clip_grads([grad], 2.0)
    np.testing.assert_array_equal(grad, [np.nan, 2, -2])


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_clip_at_no_value(core, value):
    with pytest.raises(ValueError, match="value: expected 0 or more"):
        core.clip_grads(arrays((3,)), value)
