"""The C layers: against the slow twins, against PyTorch's stored answers, and through ``nn``."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from reference import stored
from reference.case import run_twin
from reference.cases import CASES
from reference.cases import RECURRENT as KINDS
from reference.check import assert_close
from reference.modules import run_modules
from reference.native import as_float32, forward, make_layer, run_native
from reference.seeded import digest

import minilm
from minilm import _core

FORWARD, GRADIENT = 1e-5, 1e-4  # relative to the largest value
TYPICAL = [case for case in CASES if case.name.endswith("-17") and case.params]
RECURRENT = [case for case in TYPICAL if case.kind in KINDS]

TESTS = Path(__file__).parent

kernels = pytest.mark.kernels


def assert_results(results: dict, expected: dict, what: str) -> None:
    assert results.keys() == expected.keys()
    for name, value in results.items():
        tolerance = FORWARD if name.startswith("output") else GRADIENT
        assert value.dtype == np.float32
        assert_close(value, expected[name], tolerance, f"{what} {name}")


@kernels
@pytest.mark.parametrize("case", CASES, ids=str)
def test_layer_gives_the_twins_and_pytorch_results(core, case):
    results = run_native(core, case)
    assert_results(results, run_twin(case), f"{case.name} and its twin:")
    for name, expected in stored.load_case(case).items():
        tolerance = FORWARD if name.startswith("output") else GRADIENT
        assert_close(digest(results[name]), expected, tolerance, f"{case.name} and torch: {name}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layer_lists_parameters_in_order(core, case):
    layer = make_layer(core, case)
    assert layer.kind == case.kind
    assert list(layer.params) == list(case.params.items())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_outputs_are_the_same_without_gradients(core, case):
    layer = make_layer(core, case)
    expected, _ = forward(layer, case)
    outputs, saved = forward(layer, case, need_grad=False)
    assert saved is None
    for output, value in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(output, value)


@pytest.mark.parametrize("case", TYPICAL, ids=str)
def test_backward_adds_to_gradients_that_it_is_given(core, case):
    expected = run_native(core, case)
    outputs, saved = forward(make_layer(core, case), case)
    given = tuple(np.full(shape, 2.0, np.float32) for shape in case.params.values())
    grads = tuple(as_float32(grad) for grad in case.make_grads(outputs))
    _, added = saved.backward(grads, case.needs_grad(), given)
    for name, array, result in zip(case.params, given, added, strict=True):
        assert result is array
        assert_close(array - 2.0, expected[f"grad_{name}"], 1e-5, f"{case.name} {name}")


@pytest.mark.parametrize("case", TYPICAL, ids=str)
def test_backward_leaves_out_what_is_not_wanted(core, case):
    outputs, saved = forward(make_layer(core, case), case)
    grads = tuple(as_float32(grad) for grad in case.make_grads(outputs))
    no = (False,) * len(case.inputs)
    inputs, params = saved.backward(grads, no, (False,) * len(case.params))
    assert all(grad is None for grad in (*inputs, *params))


def spread_out(array: np.ndarray | None) -> np.ndarray | None:
    """The same values as every second element of a larger array; integers narrowed too."""
    if array is None:
        return None
    narrow = array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
    return np.repeat(narrow, 2, axis=-1)[..., ::2]


@pytest.mark.parametrize("case", TYPICAL, ids=str)
def test_inputs_in_another_layout_give_the_same(core, case):
    layer = make_layer(core, case)
    expected, _ = forward(layer, case)
    outputs, _ = forward(layer, case, convert=spread_out)
    for output, value in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(output, value)


@pytest.mark.parametrize("case", RECURRENT, ids=str)
def test_an_output_without_gradient_counts_as_zero(core, case):
    outputs, saved = forward(make_layer(core, case), case)
    first, *others = (as_float32(grad) for grad in case.make_grads(outputs))
    all_params = (None,) * len(case.params)
    zeros = tuple(np.zeros_like(grad) for grad in others)
    expected = saved.backward((first, *zeros), case.needs_grad(), all_params)

    _, saved = forward(make_layer(core, case), case)
    actual = saved.backward((first, *(None for _ in others)), case.needs_grad(), all_params)
    for grads, values in zip(actual, expected, strict=True):
        for grad, value in zip(grads, values, strict=True):
            np.testing.assert_array_equal(grad, value)


@pytest.mark.parametrize("case", [case for case in CASES if not case.training], ids=str)
def test_modules_give_the_twins_results(case):
    assert_results(run_modules(minilm, case), run_twin(case), case.name)


def test_the_instruction_set_is_the_one_asked_for(core):
    asked = os.environ.get("MINILM_ISA")
    if asked:
        assert core.config()["isa"] == asked


@pytest.mark.parametrize("isa", _core.config()["isa_available"])
def test_every_instruction_set(core, run_python, isa):
    """Run all tests of kernels again in a new process: the set is chosen at import."""
    if isa == core.config()["isa"] or "MINILM_ISA" in os.environ:
        pytest.skip("this very process tests it")
    run_python("-m", "pytest", "-q", "-m", "kernels", TESTS, MINILM_ISA=isa)
