"""Deferred linear outputs: whoever reads them, and whenever, sees what PyTorch would show."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest

import minilm
import minilm.nn.functional as F
from minilm import Tensor, nn, optim
from minilm.nn.deferred import MIN_DEFERRED_BYTES, MIN_DEFERRED_CLASSES

B, T, H, V = 3, 4, 5, 7


@pytest.fixture(autouse=True)
def defer_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "MIN_DEFERRED_BYTES", 0)
    monkeypatch.setattr(F, "MIN_DEFERRED_CLASSES", 0)


@pytest.fixture
def eagerly(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable], object]:
    """Run something with all outputs computed at once."""

    def run(function: Callable) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(F, "MIN_DEFERRED_BYTES", 1 << 60)
            return function()

    return run


class Head:
    """Inputs, a linear head, targets; made anew from one seed."""

    def __init__(self, bias: bool = True, trained_input: bool = True) -> None:
        minilm.manual_seed(0)
        self.source = minilm.randn(B, T, H, requires_grad=trained_input)
        self.x = self.source * 1
        self.linear = nn.Linear(H, V, bias)
        self.targets = minilm.randint(0, V, (B, T))
        self.outputs = self.linear(self.x)

    def loss(self, **settings: object) -> Tensor:
        return F.cross_entropy(self.outputs.transpose(1, 2), self.targets, **settings)

    def grads(self) -> list[np.ndarray | None]:
        leaves = [self.source, *self.linear.parameters()]
        return [None if leaf.grad is None else leaf.grad.numpy() for leaf in leaves]


def is_deferred(tensor: Tensor) -> bool:
    return tensor._deferred is not None


def assert_same_gradients(ours: Head, theirs: Head) -> None:
    for a, b in zip(ours.grads(), theirs.grads(), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# --- when it happens ------------------------------------------------------------------------------


def test_only_large_outputs_are_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "MIN_DEFERRED_BYTES", MIN_DEFERRED_BYTES)
    monkeypatch.setattr(F, "MIN_DEFERRED_CLASSES", MIN_DEFERRED_CLASSES)
    layer = nn.Linear(2, 1024)
    assert not is_deferred(layer(minilm.ones(256, 2)))
    assert is_deferred(layer(minilm.ones(257, 2)))
    assert not is_deferred(nn.Linear(2, 65)(minilm.ones(10_000, 2)))


def test_shape_and_dtype_are_known_before() -> None:
    outputs = Head().outputs
    assert outputs.shape == (B, T, V) and outputs.dtype == "float32" and outputs.requires_grad
    assert len(outputs) == B and outputs.numel() == B * T * V
    assert is_deferred(outputs)


def test_errors_come_at_once() -> None:
    linear = nn.Linear(H, V)
    with pytest.raises(ValueError, match="in_features"):
        linear(minilm.ones(2, H + 1))
    linear.weight.data = minilm.ones(H, V).T
    with pytest.raises(ValueError, match="contiguous"):
        linear(minilm.ones(2, H))


# --- values and gradients -------------------------------------------------------------------------


READERS = {
    "numpy": lambda outputs: outputs.detach().numpy(),
    "item": lambda outputs: np.array(outputs[0, 0, 0].item()),
    "list": lambda outputs: np.array(outputs.tolist()),
    "repr": lambda outputs: np.array(repr(outputs.detach())),
    "rows": lambda outputs: outputs[:, -1].detach().numpy(),
    "argmax": lambda outputs: outputs.argmax(-1).numpy(),
    "softmax": lambda outputs: outputs.softmax(-1).detach().numpy(),
    "transpose": lambda outputs: outputs.transpose(1, 2).detach().numpy(),
    "transpose_rows": lambda outputs: outputs.transpose(0, 1).detach().numpy(),
    "permute": lambda outputs: outputs.permute(2, 0, 1).detach().numpy(),
    "permute_rows": lambda outputs: outputs.permute(2, 1, 0).detach().numpy(),
    "view": lambda outputs: outputs.view(-1, V).detach().numpy(),
    "flatten": lambda outputs: outputs.flatten().detach().numpy(),
    "flatten_rows": lambda outputs: outputs.flatten(0, 1).detach().numpy(),
    "there_and_back": lambda outputs: (
        outputs.transpose(1, 2).permute(0, 2, 1).reshape(B * T, V).detach().numpy()
    ),
    "loss": lambda outputs: outputs.exp().sum().detach().numpy(),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_reading_gives_what_an_eager_output_gives(read, eagerly) -> None:
    expected = eagerly(lambda: read(Head().outputs))
    got = read(Head().outputs)
    assert got.shape == expected.shape
    assert got.tolist() == expected.tolist()


REACH = {
    "transpose": lambda outputs, targets, **k: F.cross_entropy(
        outputs.transpose(1, 2), targets, **k
    ),
    "permute": lambda outputs, targets, **k: F.cross_entropy(
        outputs.permute(0, 2, 1), targets, **k
    ),
    "view": lambda outputs, targets, **k: F.cross_entropy(
        outputs.view(-1, V), targets.view(-1), **k
    ),
    "reshape": lambda outputs, targets, **k: F.cross_entropy(
        outputs.reshape(B * T, V), targets.flatten(), **k
    ),
    "flatten": lambda outputs, targets, **k: F.cross_entropy(
        outputs.flatten(0, 1), targets.flatten(), **k
    ),
}


@pytest.mark.parametrize("reach", REACH.values(), ids=REACH)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("trained_input", [True, False])
def test_the_loss_runs_with_its_head(reach, bias, trained_input, eagerly) -> None:
    def run() -> tuple[Head, float]:
        head = Head(bias, trained_input)
        loss = reach(head.outputs, head.targets)
        loss.backward()
        return head, loss.item()

    (head, loss), (eager, eager_loss) = run(), eagerly(run)
    assert is_deferred(head.outputs) and not is_deferred(eager.outputs)
    assert abs(loss - eager_loss) < 1e-6
    assert_same_gradients(head, eager)


SETTINGS = [
    {"reduction": "sum"},
    {"reduction": "none"},
    {"label_smoothing": 0.3},
    {"ignore_index": 2},
    {"weight": np.linspace(0.5, 2, V, dtype=np.float32)},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_settings_of_the_loss(settings, eagerly) -> None:
    def run() -> tuple[Head, np.ndarray]:
        head = Head()
        loss = head.loss(**settings)
        (loss * loss).sum().backward()
        return head, loss.detach().numpy()

    (head, loss), (eager, eager_loss) = run(), eagerly(run)
    np.testing.assert_allclose(loss, eager_loss, rtol=1e-5)
    assert_same_gradients(head, eager)


def test_the_fused_node_is_used() -> None:
    head = Head()
    assert repr(head.loss().grad_fn) == "<linear_cross_entropy>"
    head.outputs.tolist()
    assert repr(head.loss().grad_fn) == "<cross_entropy>"


def test_a_single_row() -> None:
    linear = nn.Linear(H, V)
    x = minilm.randn(H, requires_grad=True)
    loss = F.cross_entropy(linear(x), minilm.tensor(3))
    loss.backward()
    expected = -(x.detach() @ linear.weight.T + linear.bias).log_softmax(0)[3]
    assert abs(loss - expected) < 1e-6 and x.grad.shape == (H,)


def test_targets_that_do_not_fit_are_refused_as_always() -> None:
    head = Head()
    with pytest.raises(ValueError, match=r"transpose\(1, 2\)"):
        F.cross_entropy(head.outputs, head.targets)
    head.targets[1, 2] = V
    with pytest.raises(IndexError, match=rf"target {V} at position \(1, 2\)"):
        head.loss()


# --- loss and logits both -------------------------------------------------------------------------


@pytest.mark.parametrize("read_first", [True, False])
def test_gradients_of_the_loss_and_of_the_logits_add_up(read_first, eagerly) -> None:
    def run() -> Head:
        head = Head()
        parts = [lambda: head.loss(), lambda: (head.outputs**2).mean()]
        order = parts[::-1] if read_first else parts
        total = order[0]() + order[1]()
        total.backward()
        return head

    assert_same_gradients(run(), eagerly(run))


def test_two_losses_of_one_output(eagerly) -> None:
    def run() -> Head:
        head = Head()
        (head.loss() + 2 * head.loss(label_smoothing=0.5)).backward()
        return head

    assert_same_gradients(run(), eagerly(run))


def test_retain_grad_of_the_logits() -> None:
    head = Head()
    head.outputs.retain_grad()
    head.loss().backward()
    assert head.outputs.grad.shape == (B, T, V)
    assert np.abs(head.outputs.grad.numpy().sum(-1)).max() < 1e-6  # softmax - one hot


def test_logits_that_were_made_a_leaf(eagerly) -> None:
    def run() -> np.ndarray:
        with minilm.no_grad():
            head = Head()
        head.outputs.requires_grad_()
        head.loss().backward()
        return head.outputs.grad.numpy()

    np.testing.assert_allclose(run(), eagerly(run), rtol=1e-5, atol=1e-7)


def test_logits_whose_data_is_replaced() -> None:
    head = Head()
    head.outputs.data = minilm.zeros(B, T, V)
    assert abs(head.loss().item() - np.log(V)) < 1e-6
    assert not head.outputs.detach().numpy().any()


def test_logits_after_backward_have_a_freed_past() -> None:
    head = Head()
    head.loss().backward()
    with pytest.raises(RuntimeError, match="second time"):
        head.outputs.exp().sum().backward()


def test_writing_into_the_logits_reaches_the_loss() -> None:
    head = Head()
    view = head.outputs.transpose(1, 2)
    with minilm.no_grad():
        head.outputs.zero_()
    assert abs(F.cross_entropy(view, head.targets).item() - np.log(V)) < 1e-6


# --- recording ------------------------------------------------------------------------------------


def test_made_under_no_grad() -> None:
    with minilm.no_grad():
        head = Head()
        loss = head.loss()
    assert not loss.requires_grad and not head.loss().requires_grad
    assert not head.outputs.requires_grad and not head.outputs.exp().requires_grad


def test_read_under_no_grad() -> None:
    head = Head()
    with minilm.no_grad():
        view = head.outputs.transpose(1, 2)
        hits = head.outputs.argmax(-1) == head.targets
        assert not view.requires_grad and not head.loss().requires_grad
    assert hits.shape == (B, T)
    head.loss().backward()
    assert head.linear.weight.grad is not None and head.source.grad is not None


def test_a_view_from_no_grad_is_off_the_tape() -> None:
    head = Head()
    with minilm.no_grad():
        view = head.outputs.transpose(1, 2)
    assert not F.cross_entropy(view, head.targets).requires_grad
    assert is_deferred(head.outputs) or head.outputs.requires_grad


def test_the_loss_under_no_grad_makes_no_gradients() -> None:
    head = Head()
    with minilm.no_grad():
        loss = head.loss()
    assert not loss.requires_grad and is_deferred(head.outputs)


def test_a_view_read_under_no_grad_stays_on_the_tape(eagerly) -> None:
    def run() -> Head:
        head = Head()
        view = head.outputs.transpose(1, 2)
        with minilm.no_grad():
            view.argmax(1)
        assert not view.is_leaf
        view.exp().sum().backward()
        return head

    assert_same_gradients(run(), eagerly(run))


def test_detached_logits() -> None:
    head = Head()
    assert not head.outputs.detach().requires_grad
    assert not F.cross_entropy(head.outputs.detach().transpose(1, 2), head.targets).requires_grad


# --- what is overwritten before they are read -----------------------------------------------------


WRITERS = {
    "optimizer": lambda head: sgd_step(head),
    "load_state_dict": lambda head: head.linear.load_state_dict(
        {"weight": minilm.ones(V, H), "bias": minilm.ones(V)}
    ),
    "init": lambda head: nn.init.normal_(head.linear.weight),
    "copy_": lambda head: head.linear.weight.data.copy_(minilm.ones(V, H)),
    "data": lambda head: setattr(head.linear.weight, "data", minilm.ones(V, H)),
    "item": lambda head: head.linear.bias.data.__setitem__(0, 9.0),
    "view": lambda head: head.linear.weight.detach().T[0].zero_(),
    "input": lambda head: head.x.detach().zero_(),
}


def sgd_step(head: Head) -> None:
    parameters = list(head.linear.parameters())
    for parameter in parameters:
        parameter.grad = minilm.ones_like(parameter)
    optim.SGD(parameters, lr=0.1).step()
    for parameter in parameters:
        parameter.grad = None


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_are_those_of_the_old_values(write, bias, eagerly) -> None:
    if not bias and write in (WRITERS["item"], WRITERS["load_state_dict"]):
        pytest.skip("writes a bias")
    head = Head(bias)
    expected = eagerly(lambda: Head(bias).outputs.tolist())
    view = head.outputs.transpose(1, 2)
    with minilm.no_grad():
        write(head)
    assert is_deferred(head.outputs)
    loss = head.loss()
    assert head.outputs.tolist() == expected
    assert view.transpose(1, 2).tolist() == expected
    eager = eagerly(lambda: Head(bias).loss().item())
    assert abs(loss.item() - eager) < 1e-6


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("use", [Head.loss, lambda head: head.outputs.exp().sum()])
def test_backward_after_a_write_does_what_an_eager_output_does(write, use, eagerly) -> None:
    def run() -> str | Head:
        head = Head()
        with minilm.no_grad():
            write(head)
        try:
            use(head).backward()
        except RuntimeError as error:
            return str(error).partition(":")[0]
        return head

    ours, theirs = run(), eagerly(run)
    if isinstance(theirs, Head):
        assert_same_gradients(ours, theirs)
    else:
        assert ours == theirs


def test_several_steps_with_one_old_output(eagerly) -> None:
    head = Head()
    expected = eagerly(lambda: Head().outputs.tolist())
    for _ in range(3):
        sgd_step(head)
    assert head.outputs.tolist() == expected


def test_only_living_outputs_copy() -> None:
    head = Head()
    dependents = head.linear.weight._memory.dependents
    assert len(dependents) == 1
    head.outputs = None
    gc.collect()
    assert len(dependents) == 0
    head.outputs = head.linear(head.x)
    head.outputs.tolist()
    gc.collect()
    assert len(dependents) == 0


def test_a_recorded_write_into_the_input(eagerly) -> None:
    def run() -> tuple[list, object]:
        head = Head()
        head.x.mul_(2)
        outputs = head.outputs
        loss = (head.linear(head.x) ** 2).sum()
        loss.backward()
        return outputs.tolist(), [grad.tolist() for grad in head.grads()]

    assert run() == eagerly(run)


def test_the_tutorials_loop_reading_old_outputs(eagerly) -> None:
    """Outputs of each step are read only after the optimizer's step."""

    def run() -> list:
        minilm.manual_seed(1)
        model = minilm.RNNModel(V, 4, H)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        ids = minilm.randint(0, V, (5, B, T + 1))
        seen = []
        for batch in ids:
            outputs = model(batch[:, :-1])
            loss = F.cross_entropy(outputs.transpose(1, 2), batch[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append((loss.item(), outputs.detach().numpy().copy()))
        return seen

    for (loss, outputs), (eager_loss, eager_outputs) in zip(run(), eagerly(run), strict=True):
        assert abs(loss - eager_loss) < 1e-5
        np.testing.assert_allclose(outputs, eager_outputs, atol=1e-5)
