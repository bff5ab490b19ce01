"""Deferred embeddings: whoever reads the vectors, and whenever, sees what PyTorch would show."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

import minilm
import minilm.nn.functional as F
from minilm import Tensor, nn

B, T, H, V = 3, 4, 5, 7


@pytest.fixture
def eagerly(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable], object]:
    """Run something with all vectors looked up at once."""

    def run(function: Callable) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(F, "defer_embedding", lambda call, operands: call.run(operands)[0])
            return function()

    return run


class Reader:
    """An embedding and a recurrent layer that reads it; made anew from one seed."""

    def __init__(self, kind: str = "GRU", ids: object = None, **settings: object) -> None:
        minilm.manual_seed(0)
        self.embedding = nn.Embedding(V, H)
        self.rnn = getattr(nn, kind)(H, 6, **{"batch_first": True, **settings})
        self.ids = minilm.randint(0, V, (B, T)) if ids is None else ids
        self.vectors = self.embedding(self.ids)

    def loss(self) -> Tensor:
        return (self.rnn(self.vectors)[0] ** 2).sum()

    def grads(self) -> list[np.ndarray | None]:
        leaves = [self.embedding.weight, *self.rnn.parameters()]
        return [None if leaf.grad is None else leaf.grad.numpy() for leaf in leaves]


def is_deferred(tensor: Tensor) -> bool:
    return tensor._deferred is not None


def assert_same_gradients(ours: Reader, theirs: Reader) -> None:
    for a, b in zip(ours.grads(), theirs.grads(), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def trained(use: Callable[[Reader], object] = lambda reader: None, **settings: object) -> Reader:
    """Return a reader after `use` of it and one backward pass of its loss."""
    reader = Reader(**settings)
    use(reader)
    reader.loss().backward()
    return reader


RECURRENT = {
    "rnn": {"kind": "RNN"},
    "relu": {"kind": "RNN", "nonlinearity": "relu"},
    "lstm": {"kind": "LSTM"},
    "gru": {"kind": "GRU"},
    "time_first": {"batch_first": False},
    "no_bias": {"kind": "LSTM", "bias": False},
    "layers": {"kind": "LSTM", "num_layers": 2, "bidirectional": True},
}


@pytest.mark.parametrize("settings", RECURRENT.values(), ids=RECURRENT)
def test_a_recurrent_layer_reads_the_table_itself(settings, eagerly) -> None:
    def run() -> tuple[Reader, list]:
        reader = Reader(**settings)
        y, state = reader.rnn(reader.vectors)
        states = state if isinstance(state, tuple) else (state,)
        sum(((part**2).sum() for part in states), (y**3).sum()).backward()
        return reader, [part.detach().numpy() for part in (y, *states)]

    (reader, outputs), (eager, eager_outputs) = run(), eagerly(run)
    assert is_deferred(reader.vectors) and not is_deferred(eager.vectors)
    for ours, theirs in zip(outputs, eager_outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert_same_gradients(reader, eager)


def write_table(reader: Reader) -> None:
    with minilm.no_grad():
        reader.embedding.weight.zero_()


def without_grad(reader: Reader) -> None:
    with minilm.no_grad():
        assert not reader.loss().requires_grad


USES = {
    "write_the_table": write_table,
    "edit_the_ids": lambda reader: reader.ids.zero_(),
    "replace_the_table": lambda reader: setattr(reader.embedding.weight, "data", minilm.ones(V, H)),
    "read_the_vectors": lambda reader: reader.vectors.tolist(),
    "train_with_the_vectors": lambda reader: reader.vectors.exp().sum().backward(retain_graph=True),
    "use_them_twice": lambda reader: reader.loss().backward(retain_graph=True),
    "run_without_grad": without_grad,
    "freeze_the_table": lambda reader: reader.embedding.weight.requires_grad_(False),
    "freeze_the_layer": lambda reader: reader.rnn.requires_grad_(False),
    "retain_the_gradient": lambda reader: reader.vectors.retain_grad(),
    "write_into_the_vectors": lambda reader: reader.vectors.mul_(2),
    "copy_the_layers": lambda reader: copy.deepcopy([reader.embedding, reader.rnn]),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_happens_between_lookup_and_layer(use, eagerly) -> None:
    def run() -> Reader | str:
        try:
            return trained(use)
        except RuntimeError as error:
            return str(error).partition(":")[0]

    ours, theirs = run(), eagerly(run)
    if isinstance(theirs, str):
        assert ours == theirs
    else:
        assert_same_gradients(ours, theirs)
        np.testing.assert_allclose(
            ours.vectors.detach().numpy(), theirs.vectors.detach().numpy(), rtol=1e-6
        )


def test_backward_twice(eagerly) -> None:
    def run() -> Reader:
        reader = Reader()
        loss = reader.loss()
        loss.backward(retain_graph=True)
        loss.backward()
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
        return reader

    assert_same_gradients(run(), eagerly(run))


def test_a_write_into_the_table_before_backward_is_refused() -> None:
    reader = Reader()
    loss = reader.loss()
    write_table(reader)
    with pytest.raises(RuntimeError, match="gru saved it"):
        loss.backward()


def test_vectors_looked_up_without_grad(eagerly) -> None:
    def run() -> Reader:
        reader = Reader()
        with minilm.no_grad():
            reader.vectors = reader.embedding(reader.ids)
        reader.loss().backward()
        return reader

    ours = run()
    assert ours.embedding.weight.grad is None and ours.rnn.weight_ih_l0.grad is not None
    assert_same_gradients(ours, eagerly(run))


def test_vectors_that_were_made_a_leaf(eagerly) -> None:
    def run() -> np.ndarray:
        reader = Reader()
        reader.embedding.weight.requires_grad_(False)
        reader.vectors = reader.embedding(reader.ids).requires_grad_()
        reader.loss().backward()
        return reader.vectors.grad.numpy()

    np.testing.assert_allclose(run(), eagerly(run), rtol=1e-5, atol=1e-6)


IDS = [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0]]


@pytest.mark.parametrize(
    "ids", [IDS, np.array(IDS), np.array(IDS, np.int32), np.array(IDS)[:, ::-1]], ids=str
)
def test_ids_of_every_kind(ids, eagerly) -> None:
    assert_same_gradients(trained(ids=ids), eagerly(lambda: trained(ids=ids)))


def test_an_array_of_ids_may_be_used_again() -> None:
    ids = np.array(IDS)
    reader = Reader(ids=ids)
    ids[:] = V + 1
    expected = Reader(ids=np.array(IDS))
    assert reader.loss().item() == expected.loss().item()
    assert reader.vectors.tolist() == expected.vectors.tolist()


def test_few_ids_and_padding_are_looked_up_at_once() -> None:
    embedding = nn.Embedding(V, H)
    assert not is_deferred(embedding(minilm.zeros(V - 1, dtype=minilm.long)))
    assert is_deferred(embedding(minilm.zeros(V, dtype=minilm.long)))
    assert embedding(minilm.zeros((0, T), dtype=minilm.long)).shape == (0, T, H)
    padded = nn.Embedding(V, H, padding_idx=0)
    vectors = padded(minilm.zeros(2 * V, dtype=minilm.long))
    assert not is_deferred(vectors)
    vectors.sum().backward()
    assert not padded.weight.grad.numpy().any()
    with pytest.raises(IndexError, match=rf"{V}"):
        embedding(minilm.full((2 * V,), V))


class Tied(nn.Module):
    """A table that reads and writes, and positions beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(V, H)
        self.wpe = nn.Embedding(T, H)
        self.block = nn.Linear(H, H)

    def forward(self, ids: minilm.Tensor) -> minilm.Tensor:
        hidden = self.wte(ids) + self.wpe(minilm.arange(ids.shape[1]))
        return F.linear(self.block(hidden), self.wte.weight)


def test_a_tied_head_is_fused_and_its_table_collects_both_gradients(monkeypatch) -> None:
    monkeypatch.setattr(F, "MIN_DEFERRED_CLASSES", 0)

    def run(smallest: int) -> tuple[str, list[np.ndarray]]:
        monkeypatch.setattr(F, "MIN_DEFERRED_BYTES", smallest)
        minilm.manual_seed(0)
        model = Tied()
        ids = minilm.tensor(np.resize(np.arange(V), (3, T)))
        loss = F.cross_entropy(model(ids).view(-1, V), ids.flip(1).reshape(-1))
        loss.backward()
        return repr(loss.grad_fn), [parameter.grad.numpy() for parameter in model.parameters()]

    fused, ours = run(0)
    apart, expected = run(1 << 60)
    assert (fused, apart) == ("<linear_cross_entropy>", "<cross_entropy>")
    for grad, value in zip(ours, expected, strict=True):
        np.testing.assert_allclose(grad, value, rtol=1e-5, atol=1e-6)
