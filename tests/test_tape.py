"""The tape: where gradients go, and when backward refuses."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import minilm
from minilm.tape import Node
from minilm.tensor import Tensor, record


def leaf(*values: float) -> Tensor:
    return minilm.tensor(list(values), requires_grad=True)


# --- flow -----------------------------------------------------------------------------------------


def test_gradients_of_all_uses_add_up() -> None:
    x = leaf(2.0, 3.0)
    y = x * x + x
    (y * y).sum().backward()
    # d (x^2 + x)^2 = 2 (x^2 + x) (2 x + 1)
    assert x.grad.tolist() == [60.0, 168.0]


def test_backward_accumulates_until_the_gradient_is_forgotten() -> None:
    x = leaf(1.0)
    (3 * x).sum().backward()
    first = x.grad
    (4 * x).sum().backward()
    assert x.grad is first and x.grad.tolist() == [7.0]
    x.grad = None
    (4 * x).sum().backward()
    assert x.grad.tolist() == [4.0]


def test_gradients_of_two_leaves_do_not_share_memory() -> None:
    a, b = leaf(1.0), leaf(1.0)
    (a + b).sum().backward()
    a.grad.zero_()
    assert b.grad.tolist() == [1.0]


def test_a_gradient_that_was_passed_in_stays_as_it_is() -> None:
    x, gradient = leaf(1.0, 2.0), np.ones(2, np.float32)
    (x + 0).backward(gradient)
    x.grad.fill_(5)
    assert gradient.tolist() == [1.0, 1.0]


def test_a_leaf_is_its_own_gradients_place() -> None:
    x = leaf(2.0)
    x.backward()
    assert x.grad.tolist() == [1.0]


def test_only_what_requires_gradients_gets_them() -> None:
    x, constant = leaf(1.0), minilm.tensor([2.0])
    y = x * constant
    assert y.requires_grad and not constant.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [2.0] and constant.grad is None
    assert not (constant * constant).requires_grad


def test_a_tape_may_be_longer_than_pythons_stack() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(50_000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1.0]
    del y


def test_every_user_of_a_node_comes_before_it() -> None:
    x = leaf(1.0)
    calls = []

    def node(name: str, *parents: Tensor) -> Tensor:
        output = Tensor(np.ones(1, np.float32))

        def backward(grad: np.ndarray) -> tuple[np.ndarray, ...]:
            calls.append(name)
            return tuple(grad for _ in parents)

        record(parents, [output], backward)
        return output

    a = node("a", x)
    b = node("b", a)
    c = node("c", a, b)
    node("d", b, c).backward()
    assert calls == ["d", "c", "b", "a"]
    assert x.grad.tolist() == [3.0]  # d-b-a, d-c-a, d-c-b-a


def test_unused_outputs_of_a_node_pass_none() -> None:
    x = leaf(1.0, 2.0)
    outputs = [Tensor(np.zeros(2, np.float32)), Tensor(np.zeros(2, np.float32))]
    seen = []

    def backward(*grads: np.ndarray | None) -> tuple[np.ndarray | None]:
        seen.append([grad is None for grad in grads])
        return (None,)

    record([x], outputs, backward)
    outputs[1].sum().backward()
    assert seen == [[True, False]]
    assert x.grad is None


def test_retain_grad_keeps_the_gradient_of_a_result() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0]
    plain = x * 3
    plain.sum().backward()
    assert plain.grad is None


def test_the_graph_does_not_outlive_its_result() -> None:
    x = leaf(1.0)
    y = x.exp()
    node = weakref.ref(y._array)
    loss = (y * 2).sum()
    del y
    loss.backward()
    gc.disable()
    try:
        assert node() is None  # freed by backward, without the garbage collector
    finally:
        gc.enable()


# --- refusals -------------------------------------------------------------------------------------


def test_a_second_backward_is_refused() -> None:
    x = leaf(1.0)
    y = x.exp().sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time.*retain_graph=True.*detach"):
        y.backward()


def test_retain_graph_allows_a_second_backward() -> None:
    x = leaf(0.0)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [2.0]


def test_nothing_is_freed_where_nothing_was_saved() -> None:
    x = leaf(1.0)
    y = (x + 2).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [2.0]


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (lambda: minilm.ones(2), "does not require grad"),
        (lambda: leaf(1.0, 2.0) * 2, r"scalar outputs.*\(2,\)"),
    ],
)
def test_backward_needs_a_scalar_that_requires_gradients(tensor, words) -> None:
    with pytest.raises(RuntimeError, match=words):
        tensor().backward()


def test_a_gradient_must_have_the_shape_of_its_tensor() -> None:
    with pytest.raises(RuntimeError, match=r"\(3,\).*\(2,\)"):
        (leaf(1.0, 2.0) * 2).backward(np.ones(3))


@pytest.mark.parametrize(
    ("operation", "reads"),
    [
        (lambda x: x.exp(), "result"),
        (lambda x: x.tanh(), "result"),
        (lambda x: x.log(), "operand"),
        (lambda x: x * x, "operand"),
        (lambda x: x + 1, "nothing"),
        (lambda x: x * 2, "nothing"),
        (lambda x: x.sum(), "nothing"),
    ],
)
def test_what_backward_reads_must_not_be_overwritten(operation, reads) -> None:
    for overwritten in ("operand", "result"):
        x = leaf(1.0, 2.0) + 0
        y = operation(x)
        with minilm.no_grad():
            (x if overwritten == "operand" else y).add_(1)
        if overwritten == reads:
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                y.sum().backward()
        else:
            y.sum().backward()


def test_node_names_its_operation() -> None:
    y = leaf(1.0).exp()
    assert repr(y.grad_fn) == "<exp>"
    assert isinstance(y.grad_fn, Node) and not y.is_leaf and leaf(1.0).grad_fn is None


# --- recording on and off -------------------------------------------------------------------------


def test_no_grad_as_block_and_decorator() -> None:
    x = leaf(1.0)

    @minilm.no_grad()
    def called(v: float) -> Tensor:
        return x * v

    @minilm.no_grad
    def bare() -> Tensor:
        return x * 2

    with minilm.no_grad():
        assert not minilm.is_grad_enabled()
        assert not (x * 2).requires_grad
        with minilm.enable_grad():
            assert (x * 2).requires_grad
        assert not minilm.is_grad_enabled()
    assert not called(2.0).requires_grad and not bare().requires_grad
    assert called.__name__ == "called"
    assert (x * 2).requires_grad


def test_no_grad_ends_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError), minilm.no_grad():
        _ = 1 / 0
    assert minilm.is_grad_enabled()


def test_one_no_grad_can_be_entered_twice() -> None:
    switch = minilm.no_grad()
    with switch, switch:
        pass
    assert minilm.is_grad_enabled()


def test_set_grad_enabled_acts_at_once() -> None:
    minilm.set_grad_enabled(False)
    assert not minilm.is_grad_enabled()
    minilm.set_grad_enabled(True)
    with minilm.set_grad_enabled(False):
        assert not minilm.is_grad_enabled()
    assert minilm.is_grad_enabled()


def test_recording_is_switched_for_one_thread() -> None:
    seen = []
    with minilm.no_grad():
        thread = threading.Thread(target=lambda: seen.append(minilm.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]
