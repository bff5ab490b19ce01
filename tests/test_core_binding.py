"""What ``_core`` accepts and refuses: arrays of every kind, settings, gradients."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from minilm import _core

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


LINEAR = _core.Layer("linear", in_features=3, out_features=2)
WEIGHT, BIAS = numbers(2, 3), numbers(2)
X = numbers(4, 3)

EMBEDDING = _core.Layer("embedding", num_embeddings=5, embedding_dim=2)
TABLE = numbers(5, 2)


def linear(x=X, weight=WEIGHT, bias=BIAS, **options):
    return LINEAR.forward((x,), (weight, bias), **options)


def embed(ids, **options):
    return EMBEDDING.forward((ids,), (TABLE,), **options)


def misaligned(array: np.ndarray) -> np.ndarray:
    """Return a copy that begins one byte off."""
    memory = np.empty(array.nbytes + 1, np.uint8)
    shifted = memory[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    assert not shifted.flags.aligned
    return shifted


def strided(array: np.ndarray) -> np.ndarray:
    """Return a copy with a gap behind each number."""
    wide = np.repeat(array[..., np.newaxis], 2, axis=-1)
    wide[..., 1] = 99
    return wide[..., 0]


def swapped(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder())


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


FOREIGN_LAYOUTS = [misaligned, strided, swapped, read_only, np.asfortranarray, np.ndarray.tolist]


# --- inputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", FOREIGN_LAYOUTS[:-1])
def test_inputs_of_any_layout_are_taken(layout) -> None:
    [expected], _ = linear()
    given = layout(X)
    [output], _ = linear(given)
    np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(given, X)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (X.astype(np.float64), "float64: convert it with .float()"),
        (X.tolist(), "float64"),
        (X.astype(np.float16), "float16"),
        (X.astype(np.int64), "int64: these look like ids; an embedding turns ids into vectors"),
        (X > 0, "bool"),
        (X.astype(np.complex64), "complex64"),
        (object(), "object"),
        ("text", "<U4"),
    ],
)
def test_inputs_of_another_type_are_refused(given, hint) -> None:
    with pytest.raises(TypeError, match=r"linear: input: expected float32 \(\.\.\., in_features\)"):
        linear(given)
    with pytest.raises(TypeError, match=hint):
        linear(given)


def test_inputs_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"linear: input: .* in_features=3\), got \(4, 2\)"):
        linear(numbers(4, 2))
    with pytest.raises(ValueError, match=r"got \(\)"):
        linear(np.float32(1))
    with pytest.raises(ValueError, match="linear: input: at most 8 axes, got 9"):
        linear(numbers(1, 1, 1, 1, 1, 1, 1, 1, 3))


def test_inputs_that_are_missing_or_too_many() -> None:
    with pytest.raises(TypeError, match=r"linear: input: expected an array .*, got None"):
        linear(None)
    with pytest.raises(TypeError, match="linear: input: .*, got None"):
        LINEAR.forward((), (WEIGHT, BIAS))
    with pytest.raises(TypeError, match="expected at most 1 inputs, got 2"):
        LINEAR.forward((X, X), (WEIGHT, BIAS))
    with pytest.raises(TypeError, match="must be tuple, not list"):
        LINEAR.forward([X], (WEIGHT, BIAS))


# --- parameters ---------------------------------------------------------------------------------


def test_parameters_may_be_read_only() -> None:
    np.testing.assert_array_equal(linear(weight=read_only(WEIGHT))[0], linear()[0])


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (WEIGHT.astype(np.float64), TypeError, "expected a float32 array, got float64"),
        (swapped(WEIGHT), TypeError, "expected a float32 array, got [<>]f4"),
        (WEIGHT.tolist(), TypeError, "expected a NumPy array, got list"),
        (None, TypeError, "expected a NumPy array, got None"),
        (numbers(3, 2), ValueError, r"expected shape \(2, 3\), got \(3, 2\)"),
        (numbers(6), ValueError, r"expected shape \(2, 3\), got \(6,\)"),
        (np.asfortranarray(WEIGHT), ValueError, "C-contiguous"),
        (strided(WEIGHT), ValueError, "C-contiguous"),
        (misaligned(WEIGHT), ValueError, "aligned"),
    ],
)
def test_parameters_are_used_in_place_or_refused(weight, error, message) -> None:
    with pytest.raises(error, match=f"linear: weight: .*{message}"):
        linear(weight=weight)


def test_parameters_of_another_number_are_refused() -> None:
    with pytest.raises(TypeError, match="expected 2 parameters, got 1"):
        LINEAR.forward((X,), (WEIGHT,))


# --- ids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.uint8, np.uint32, ">i8"])
def test_ids_of_any_whole_type(dtype) -> None:
    ids = np.array([[0, 4], [2, 2]])
    [output], _ = embed(ids.astype(dtype))
    np.testing.assert_array_equal(output, TABLE[ids])


@pytest.mark.parametrize("layout", FOREIGN_LAYOUTS)
def test_ids_of_any_layout(layout) -> None:
    ids = np.array([[0, 4, 1], [2, 2, 3]])
    np.testing.assert_array_equal(embed(layout(ids))[0][0], TABLE[ids])


@pytest.mark.parametrize(
    ("ids", "hint"),
    [
        (np.array([1.0]), "float64: ids are whole numbers; convert them with .long()"),
        (np.array([], np.float32), "float32"),
        (np.array([1], np.uint64), "uint64"),
        (np.array([True]), "bool"),
        (np.array([None]), "object"),
        ("text", "<U4"),
    ],
)
def test_what_are_no_ids(ids, hint) -> None:
    with pytest.raises(TypeError, match=f"embedding: ids: expected int64 ids .* got {hint}"):
        embed(ids)


@pytest.mark.parametrize("value", [5, -1, 2**62, -(2**63)])
def test_ids_outside_the_table(value) -> None:
    ids = np.zeros((3, 4), np.int64)
    ids[1, 2] = value
    with pytest.raises(IndexError, match=rf"ids: id {value} at position \(1, 2\) .* 0\.\.4"):
        embed(ids)


def test_targets_outside_the_classes() -> None:
    loss = _core.Layer("cross_entropy", ignore_index=-1)
    logits = numbers(3, 4)
    with pytest.raises(IndexError, match=r"target: id 4 at position \(1,\) is outside 0\.\.3"):
        loss.forward((logits, np.array([-1, 4, 0]), None), ())
    with pytest.raises(ValueError, match=r"target: expected one class a row, \(3,\), got \(2,\)"):
        loss.forward((logits, np.array([0, 1]), None), ())


def test_ids_may_change_after_forward() -> None:
    ids = np.array([0, 4, 2, 2])
    grad = numbers(4, 2)

    def gradient(meanwhile):
        _, saved = embed(ids, need_grad=True)
        meanwhile()
        return saved.backward((grad,), (False,), (None,))[1][0]

    expected = gradient(lambda: None)
    np.testing.assert_array_equal(gradient(lambda: ids.fill(10**12)), expected)


# --- empty --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_no_rows_at_all(shape) -> None:
    [output], saved = linear(np.zeros(shape, np.float32), need_grad=True)
    assert output.shape == (*shape[:-1], 2)
    (dx,), grads = saved.backward((output,), (True,), (None, None))
    assert dx.shape == shape
    assert all(not grad.any() for grad in grads)


def test_no_ids_at_all() -> None:
    [output], saved = embed(np.zeros((0, 7), np.int64), need_grad=True)
    assert output.shape == (0, 7, 2)
    assert not saved.backward((output,), (False,), (None,))[1][0].any()


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru", "mingru", "minlstm"])
def test_an_empty_batch(kind) -> None:
    layer = _core.Layer(kind, input_size=3, hidden_size=4, num_layers=2, bidirectional=True)
    params = tuple(numbers(*shape) for _, shape in layer.params)
    outputs, saved = layer.forward((np.zeros((5, 0, 3), np.float32),), params, need_grad=True)
    assert outputs[0].shape == (5, 0, 8)
    assert all(state.shape == (4, 0, 4) for state in outputs[1:])
    _, grads = saved.backward(outputs, (True,), (None,) * len(params))
    assert all(not grad.any() for grad in grads)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru", "mingru", "minlstm"])
def test_a_sequence_without_time_is_refused(kind) -> None:
    layer = _core.Layer(kind, input_size=3, hidden_size=4)
    params = tuple(numbers(*shape) for _, shape in layer.params)
    with pytest.raises(ValueError, match=r"time of at least 1, got \(0, 2, 3\)"):
        layer.forward((np.zeros((0, 2, 3), np.float32),), params)


def test_the_loss_of_nothing_is_nan() -> None:
    loss = _core.Layer("cross_entropy")
    [value], _ = loss.forward((np.zeros((0, 4), np.float32), np.zeros(0, np.int64), None), ())
    assert value.shape == () and np.isnan(value)


# --- settings -----------------------------------------------------------------------------------


def test_unknown_kind_lists_those_there_are() -> None:
    with pytest.raises(ValueError) as error:
        _core.Layer("lst")
    assert all(f"'{kind}'" in str(error.value) for kind in _core.LAYERS)


def test_unknown_setting_lists_those_there_are() -> None:
    with pytest.raises(ValueError) as error:
        _core.Layer("linear", in_features=3, out_features=2, biass=1)
    assert all(name in str(error.value) for name in ["'biass'", *LINEAR.config])


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, TypeError, "linear: the setting 'in_features' is missing"),
        ({"in_features": 3}, TypeError, "'out_features' is missing"),
        ({"in_features": "3"}, TypeError, "in_features: expected a number, got '3'"),
        ({"in_features": None}, TypeError, "in_features: expected a number, got None"),
        ({"in_features": 0}, ValueError, "at least 1, got 0"),
        ({"in_features": -3}, ValueError, "at least 1, got -3"),
        ({"in_features": 2.5}, ValueError, "whole number of at least 1, got 2.5"),
        ({"in_features": float("nan")}, ValueError, "got nan"),
        ({"in_features": float("inf")}, ValueError, "got inf"),
        ({"in_features": 2**60}, ValueError, "whole number"),
        ({"in_features": 2**2000}, (TypeError, OverflowError, ValueError), "in_features"),
        ({"bias": 2}, ValueError, "bias: expected True or False, got 2"),
    ],
)
def test_settings_that_are_refused(settings, error, message) -> None:
    with pytest.raises(error, match=message):
        _core.Layer("linear", **settings)


def test_settings_come_back_with_their_types() -> None:
    layer = _core.Layer("lstm", input_size=np.int32(3), hidden_size=4.0, dropout=True, bias=False)
    assert layer.kind == "lstm"
    assert repr(layer.config) == repr(
        {
            "input_size": 3,
            "hidden_size": 4,
            "num_layers": 1,
            "bias": False,
            "batch_first": False,
            "bidirectional": False,
            "dropout": 1.0,
        }
    )


def test_huge_settings() -> None:
    layer = _core.Layer("linear", in_features=2**50, out_features=2**50)  # no memory yet
    with pytest.raises(ValueError, match="weight: expected shape"):
        layer.forward((X,), (WEIGHT, BIAS))
    with pytest.raises(ValueError, match="parameters are more than"):
        _core.Layer("lstm", input_size=3, hidden_size=2, num_layers=2**50)


def test_layers_are_not_to_be_changed() -> None:
    with pytest.raises(AttributeError):
        LINEAR.kind = "lstm"
    with pytest.raises(TypeError, match="immutable"):
        _core.Layer.kind = "lstm"
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Derived", (_core.Layer,), {})
    with pytest.raises(TypeError, match="cannot create"):
        _core.Saved()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_layers_are_not_copied(duplicate) -> None:
    with pytest.raises(TypeError):
        duplicate(LINEAR)


# --- backward -----------------------------------------------------------------------------------


GRAD = numbers(4, 2)


def backward(grads=(GRAD,), need=(True,), params=(None, None)):
    _, saved = linear(need_grad=True)
    return saved.backward(grads, need, params)


def test_nothing_is_saved_unless_asked_for() -> None:
    assert linear()[1] is None


def test_backward_twice() -> None:
    _, saved = linear(need_grad=True)
    first, again = (saved.backward((GRAD,), (True,), (None, None)) for _ in range(2))
    for grads, others in zip(first, again, strict=True):
        for grad, other in zip(grads, others, strict=True):
            assert grad is not other
            np.testing.assert_array_equal(grad, other)


def test_saved_outlives_all_that_made_it() -> None:
    layer = _core.Layer("linear", in_features=3, out_features=2)
    _, saved = layer.forward((X.copy(),), (WEIGHT.copy(), BIAS.copy()), need_grad=True)
    del layer
    _ = [np.full((4, 3), np.nan, np.float32) for _ in range(100)]  # into memory that is free
    (dx,), _ = saved.backward((GRAD,), (True,), (None, None))
    np.testing.assert_allclose(dx, GRAD @ WEIGHT, rtol=1e-5)


@pytest.mark.parametrize("layout", FOREIGN_LAYOUTS[:-1])
def test_gradients_of_any_layout_are_taken(layout) -> None:
    (expected,), _ = backward()
    (dx,), _ = backward((layout(GRAD),))
    np.testing.assert_array_equal(dx, expected)


def test_gradients_go_where_they_are_wanted() -> None:
    weight = np.ones((2, 3), np.float32)
    inputs, params = backward(need=(False,), params=(weight, False))
    assert inputs == (None,)
    assert params[0] is weight and params[1] is None
    np.testing.assert_allclose(weight, 1 + GRAD.T @ X, rtol=1e-5)


def test_no_gradient_goes_to_ids_and_class_weights() -> None:
    loss = _core.Layer("cross_entropy")
    inputs = (numbers(3, 4), np.array([0, 3, 1]), np.ones(4, np.float32))
    [value], saved = loss.forward(inputs, (), need_grad=True)
    (logits, targets, weight), _ = saved.backward((np.ones_like(value),), (True, True, True), ())
    assert logits.shape == (3, 4) and targets is None and weight is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"grads": ()}, TypeError, "expected 1 gradients of outputs, got 0"),
        ({"grads": (None,)}, TypeError, "gradient of output: expected float32"),
        ({"grads": (GRAD.astype(np.float64),)}, TypeError, "got float64"),
        ({"grads": (GRAD[:3],)}, ValueError, r"expected shape \(4, 2\), got \(3, 2\)"),
        ({"params": (None,)}, TypeError, "expected 2 gradients of parameters, got 1"),
        ({"params": (True, None)}, TypeError, "gradient of weight: .* got bool"),
        ({"params": (read_only(WEIGHT), None)}, ValueError, "gradient of weight: .*writable"),
        ({"params": (None, strided(BIAS))}, ValueError, "gradient of bias: .*C-contiguous"),
        ({"params": (None, numbers(3))}, ValueError, r"gradient of bias: .* \(2,\), got \(3,\)"),
        ({"need": [True]}, TypeError, "must be tuple"),
    ],
)
def test_gradients_that_are_refused(arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        backward(**arguments)


@pytest.mark.parametrize("kind", ["linear", "linear_cross_entropy"])
def test_an_empty_batch_has_gradients_of_zero(kind):
    dirty = [_core.empty((64, 64)) for _ in range(4)]
    for array in dirty:
        array.fill(7)
    del dirty, array  # their memory is what comes next
    reduction = {"reduction": _core.REDUCTIONS["sum"]} if kind != "linear" else {}
    layer = _core.Layer(kind, in_features=64, out_features=64, **reduction)
    x, weight, bias = np.empty((0, 64), np.float32), numbers(64, 64), numbers(64)
    inputs = (x,) if kind == "linear" else (x, np.empty(0, np.int64))
    (y,), saved = layer.forward(inputs, (weight, bias), need_grad=True)
    _, grads = saved.backward((np.ones_like(y),), (True,), (None, None))
    assert all(np.array_equal(grad, np.zeros_like(grad)) for grad in grads)
