from collections import namedtuple

import numpy as np
import pytest
from training_helpers import CYCLE, Bigram, WithOutput

import minilm
import minilm.nn.functional as F
from minilm import nn, optim
from minilm.data import StreamLoader, Window
from minilm.models import AWDLSTM, LanguageModel, RNNModel, window_loss
from minilm.models.base import detach_state

CELLS = ["rnn", "lstm", "gru"]
VOCAB = 7
IDS = np.random.default_rng(0).integers(0, VOCAB, 500)


def model_of(cell: str, **options) -> RNNModel:
    minilm.manual_seed(0)
    return RNNModel(VOCAB, 3, 4, cell, **options)


def parts_of(state) -> list[np.ndarray]:
    return [part.detach().numpy() for part in (state if isinstance(state, tuple) else (state,))]


def lane_of(state, lane: int):
    if state is None or isinstance(state, minilm.Tensor):
        return None if state is None else state[:, lane : lane + 1]
    return tuple(part[:, lane : lane + 1] for part in state)


def gradients(model, loss) -> list[np.ndarray]:
    model.zero_grad()
    loss.backward()
    return [parameter.grad.numpy().copy() for parameter in model.parameters()]


def same_gradients(model, loss, expected) -> None:
    for ours, theirs in zip(gradients(model, loss), gradients(model, expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6)


def a_state(model, batch: int):
    """A state that is not zero."""
    return model.forward_with_state(IDS[: 3 * batch].reshape(batch, 3))[1]


def summed(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="sum")


# --- slow twins: one document, or one token, at a time --------------------------------------------


def documents_one_by_one(model, window, state):
    """Read each document of each lane alone; return the summed loss and the states at the end."""
    total, ends = minilm.tensor(0.0), []
    for lane, starts in enumerate(window.starts):
        ids, targets = window.inputs[lane : lane + 1], window.targets[lane : lane + 1]
        bounds = sorted({0, *np.flatnonzero(starts).tolist(), len(starts)})
        here = None if starts[0] else lane_of(state, lane)
        for begin, end in zip(bounds, bounds[1:], strict=False):
            logits, last = model.forward_with_state(ids[:, begin:end], here)
            total, here = total + summed(logits, targets[:, begin:end]), None
        ends.append(parts_of(last))
    return total, [np.concatenate(parts, axis=1) for parts in zip(*ends, strict=True)]


def token_by_token(model, window, state):
    """Unroll by hand: one call a time step, the state cut where the window says."""
    total = minilm.tensor(0.0)
    for step in range(window.inputs.shape[1]):
        if step in window.cuts:
            state = detach_state(state)
        ids, targets = window.inputs[:, [step]], window.targets[:, [step]]
        logits, state = model.forward_with_state(ids, state, detach=False)
        total = total + summed(logits, targets)
        if step + 1 == window.carry:
            carried = detach_state(state)
    return total, carried


def elman_by_hand(model, window, state):
    """Unroll an RNN with operations on tensors, in the equation's own words."""
    w_ih, w_hh = model.rnn.weight_ih_l0, model.rnn.weight_hh_l0
    bias = model.rnn.bias_ih_l0 + model.rnn.bias_hh_l0
    h, total = state[0], minilm.tensor(0.0)
    for step in range(window.inputs.shape[1]):
        if step in window.cuts:
            h = h.detach()
        x = model.embedding.weight[window.inputs[:, step]]
        h = (x @ w_ih.transpose(0, 1) + h @ w_hh.transpose(0, 1) + bias).tanh()
        logits = h @ model.fc.weight.transpose(0, 1) + model.fc.bias
        total = total + F.cross_entropy(logits, window.targets[:, step], reduction="sum")
    return total


# --- documents ------------------------------------------------------------------------------------


class InPieces(nn.Module):
    """A model that cannot be told of starts."""

    def __init__(self, model) -> None:
        super().__init__()
        self.model = model

    def forward_with_state(self, x, state=None, *, detach=True):
        return self.model.forward_with_state(x, state, detach=detach)


@pytest.mark.parametrize("wrap", [lambda model: model, InPieces])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}])
def test_a_window_of_documents_is_each_document_read_alone(cell, options, wrap):
    model = wrap(model_of(cell, **options))
    loader = StreamLoader(IDS, 3, 9, document_start=6, shuffle_offset=False)
    windows = [window for window in loader if window.starts is not None]
    assert any(window.starts[:, 0].any() for window in windows)
    for window in windows[:8]:
        state = a_state(model, 3)
        loss, count, after = window_loss(model, window, state)
        expected, ends = documents_one_by_one(model, window, state)
        assert count == window.targets.size
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        for ours, theirs in zip(parts_of(after), ends, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        assert not any(part.requires_grad for part in (after if cell == "lstm" else (after,)))
        same_gradients(model, loss, expected)


@pytest.mark.parametrize(("k1", "k2"), [(9, 9), (4, 9), (9, 4), (2, 7)])
def test_starts_within_a_piece_and_where_it_begins(k1, k2):
    model = model_of("lstm", num_layers=2)
    for window in list(StreamLoader(IDS, 3, 9, k1=k1, k2=k2, document_start=6))[1:6]:
        state = a_state(model, 3)
        loss, count, after = window_loss(model, window, state)
        expected, same_count, carried = window_loss(InPieces(model), window, state)
        assert count == same_count
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        for ours, theirs in zip(parts_of(after), parts_of(carried), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        same_gradients(model, loss, expected)


def test_a_state_of_many_layers_is_reset_too():
    minilm.manual_seed(0)
    model = AWDLSTM(VOCAB, 6, 5, num_layers=3).eval()
    for window in list(StreamLoader(IDS, 3, 9, document_start=6))[:6]:
        state = a_state(model, 3)
        loss, _, after = window_loss(model, window, state)
        expected, ends = documents_one_by_one(model, window, state)
        for ours, theirs in zip(parts_of(after), ends, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        same_gradients(model, loss, expected)


def test_a_lane_that_starts_a_document_sends_no_gradient_back():
    model = model_of("gru")
    starts = np.zeros((3, 5), bool)
    starts[1, 0] = starts[2, 3] = True
    state = a_state(model, 3).requires_grad_()
    window = Window(IDS[:15].reshape(3, 5), IDS[1:16].reshape(3, 5), starts=starts)
    loss, _, _ = window_loss(model, window, state)
    loss.backward()
    reached = np.abs(state.grad.numpy()).sum(axis=(0, 2))
    assert reached[1] == 0
    assert reached[0] > 0 < reached[2]  # lane 2 reads three tokens from the state


def test_a_bad_state_does_not_pass_a_document_start():
    """Zeros are put there, rather than multiplied."""
    model = model_of("rnn")
    starts = np.array([[True, False], [False, False]])
    state = minilm.full((1, 2, 4), float("nan"))
    window = Window(IDS[:4].reshape(2, 2), IDS[1:5].reshape(2, 2), starts=starts)
    _, _, (after,) = window_loss(model, window, state)
    assert np.isnan(after.numpy()).any(axis=1).tolist() == [False, True]


def test_targets_across_documents_do_not_count():
    loader = StreamLoader(IDS, 1, 10, document_starts=[0, 4, 8], shuffle_offset=False)
    window = next(iter(loader))
    model = model_of("lstm")
    loss, count, _ = window_loss(model, window)
    assert count == 8
    same_gradients(model, loss, documents_one_by_one(model, window, None)[0])


# --- k1 and k2 ------------------------------------------------------------------------------------


LENGTHS = [(4, 4), (2, 6), (3, 4), (1, 5), (6, 2), (7, 3), (5, 1)]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("k1", "k2"), LENGTHS)
def test_gradients_flow_back_k2_tokens(cell, k1, k2):
    model = model_of(cell)
    windows = list(StreamLoader(IDS, 3, 4, k1=k1, k2=k2))
    for window, state in [(windows[0], None), (windows[1], a_state(model, 3))]:
        loss, count, after = window_loss(model, window, state)
        expected, carried = token_by_token(model, window, state)
        assert count == (window.targets != -100).sum()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        for ours, theirs in zip(parts_of(after), parts_of(carried), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        same_gradients(model, loss, expected)


@pytest.mark.parametrize(("k1", "k2"), LENGTHS)
def test_an_rnn_learns_what_the_equation_unrolled_by_hand_learns(k1, k2):
    model = model_of("rnn")
    window = list(StreamLoader(IDS, 3, 4, k1=k1, k2=k2))[1]
    state = a_state(model, 3)
    loss, _, _ = window_loss(model, window, state)
    same_gradients(model, loss, elman_by_hand(model, window, state))


@pytest.mark.parametrize("cell", CELLS)
def test_a_cut_is_felt(cell):
    model = model_of(cell)
    whole, cut = (next(iter(StreamLoader(IDS, 3, 8, k2=k2))) for k2 in (8, 4))
    np.testing.assert_array_equal(whole.inputs, cut.inputs)
    of_whole, of_cut = (window_loss(model, window)[0] for window in (whole, cut))
    assert of_whole.item() == pytest.approx(of_cut.item(), rel=1e-6)
    pairs = zip(gradients(model, of_whole), gradients(model, of_cut), strict=True)
    assert not all(np.allclose(ours, theirs, atol=1e-4) for ours, theirs in pairs)


@pytest.mark.parametrize("documents", [{}, {"document_start": 6}])
@pytest.mark.parametrize(("k1", "k2"), LENGTHS)
def test_windows_with_the_state_carried_are_the_lane_in_one_go(k1, k2, documents):
    model = model_of("lstm")
    loader = StreamLoader(IDS, 3, 4, k1=k1, k2=k2, **documents)
    total, tokens, state = 0.0, 0, None
    with minilm.no_grad():
        for window in loader:
            loss, count, state = window_loss(model, window, state)
            total, tokens = total + loss.item(), tokens + count
        whole = StreamLoader(IDS, 3, tokens // 3, **documents)
        whole._offset, loader_first = lambda number: loader_first, loader._offset(0)
        expected, count, _ = window_loss(model, next(iter(whole)))
    assert tokens == count == 3 * ((loader.steps - 1) * k1 + max(k1, k2))
    assert total == pytest.approx(expected.item(), rel=1e-5)


# --- one call where one is enough -----------------------------------------------------------------


@pytest.fixture
def scored(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes of all logits that a loss is computed of."""
    shapes = []

    def counting(logits, *args, **more):
        shapes.append(logits.shape)
        return original(logits, *args, **more)

    original = F.cross_entropy
    monkeypatch.setattr("minilm.models.reading.F.cross_entropy", counting)
    return shapes


def test_a_plain_window_is_one_call(scored):
    model = model_of("lstm")
    state, calls = a_state(model, 3), []
    reading = model.forward_with_state
    model.forward_with_state = lambda x, state=None: calls.append(x.shape) or reading(x, state)
    window_loss(model, next(iter(StreamLoader(IDS, 3, 10))), state)
    assert calls == [(3, 10)]
    assert scored == [(3, VOCAB, 10)]


def test_a_window_of_documents_is_one_call(scored):
    window = next(w for w in StreamLoader(IDS, 3, 10, document_start=6) if w.starts is not None)
    window_loss(model_of("lstm"), window)
    assert scored == [(3, VOCAB, 10)]


def test_head_and_loss_run_as_one_where_they_did(scored, monkeypatch):
    """No logits are held: the tape has one node for head and loss together."""
    monkeypatch.setattr("minilm.nn.functional.MIN_DEFERRED_BYTES", 0)
    monkeypatch.setattr("minilm.nn.functional.MIN_DEFERRED_CLASSES", 1)
    model = model_of("lstm")
    loss, _, _ = window_loss(model, next(iter(StreamLoader(IDS, 3, 10))))
    assert loss.grad_fn.name == "linear_cross_entropy"


def test_context_needs_no_loss(scored):
    """What is read again for its state alone is not scored."""
    window_loss(model_of("lstm"), list(StreamLoader(IDS, 3, 9, k1=2))[1])
    assert scored == [(3, VOCAB, 2)]


@pytest.mark.parametrize("options", [{}, {"k1": 2}])
def test_options_of_the_loss(options):
    model = model_of("gru")
    window = list(StreamLoader(IDS, 3, 4, **options))[1]
    weight = minilm.arange(VOCAB).float()
    loss, count, _ = window_loss(model, window, weight=weight, label_smoothing=0.1)
    logits, targets = model(window.inputs).transpose(1, 2), window.targets
    expected = F.cross_entropy(logits, targets, weight, reduction="sum", label_smoothing=0.1)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert count == (targets != -100).sum()


@pytest.mark.parametrize("kind", [Bigram, WithOutput])
def test_models_without_state(kind):
    model = kind()
    for options in ({}, {"k1": 2}, {"k2": 2}, {"document_start": 0}):
        window = list(StreamLoader(CYCLE, 3, 4, **options))[1]
        loss, count, state = window_loss(model, window)
        assert state is None
        expected = summed(model.table(window.inputs), window.targets)
        assert loss.item() == expected.item()
        assert count == (window.targets != -100).sum()


def test_a_window_of_which_nothing_counts_has_no_loss_and_no_gradient():
    model = model_of("lstm")
    ignored = np.full((2, 4), -100)
    starts = np.eye(2, 4, dtype=bool)
    for window in (Window(IDS[:8].reshape(2, 4), ignored, starts=starts), (ignored * 0, ignored)):
        loss, count, _ = window_loss(model, window)
        assert (loss.item(), count) == (0, 0)
        assert not any(grad.any() for grad in gradients(model, loss))


# --- models of a user's own -----------------------------------------------------------------------


class Own(nn.Module):
    """Carries a state, and knows nothing of `detach`."""

    def __init__(self) -> None:
        super().__init__()
        self.model = model_of("gru")

    def forward_with_state(self, x, state=None):
        return self.model.forward_with_state(x, state)


def test_a_model_without_detach_is_told_where_it_needs_one():
    own = Own()
    for options in ({}, {"k2": 2}):
        window_loss(own, next(iter(StreamLoader(IDS, 3, 4, **options))))
    # A single lane passes nothing on where a document starts.
    window_loss(own, next(iter(StreamLoader(IDS, 1, 30, document_start=6))))
    for options in ({"k1": 2}, {"document_start": 6}):
        window = list(StreamLoader(IDS, 3, 8, **options))[1]
        with pytest.raises(TypeError, match=r"Own.forward_with_state must take .* detach=True"):
            window_loss(own, window)
        with minilm.no_grad():
            window_loss(own, window)


class OtherState(nn.Module):
    def __init__(self, state) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCAB, VOCAB)
        self.state = state

    def forward_with_state(self, x, state=None, **more):
        return self.table(x), self.state


@pytest.mark.parametrize(
    ("state", "found"),
    [("text", "returned str"), (minilm.zeros(3, 2, 4), r"shape \(3, 2, 4\)")],
)
def test_a_state_that_cannot_be_reset_is_refused(state, found):
    window = Window(IDS[:12].reshape(3, 4), IDS[1:13].reshape(3, 4), starts=np.eye(3, 4) > 0)
    with pytest.raises(TypeError, match=f"3 lanes.*layers, batch.*{found}"):
        window_loss(OtherState(state), window, state)


def test_any_state_can_be_left_out():
    """Where every lane starts a document, nothing need be known of the state before."""
    seen = []

    class Watching(OtherState):
        def forward_with_state(self, x, state=None):
            seen.append(state)
            return super().forward_with_state(x)

    starts = np.array([[False, True, False, False]] * 2)
    window = Window(IDS[:8].reshape(2, 4), IDS[1:9].reshape(2, 4), starts=starts)
    assert window_loss(Watching("text"), window, "text")[2] == "text"
    assert seen == ["text", None]


def test_states_of_many_parts():
    Pair = namedtuple("Pair", "a b")
    state = [Pair(minilm.ones(1, 3, 2), (minilm.ones(2, 3), None))]
    assert detach_state(state)[0].b[1] is None
    full = [Pair(minilm.ones(1, 3, 2), (minilm.ones(2, 3),))]
    window = Window(IDS[:12].reshape(3, 4), IDS[1:13].reshape(3, 4), starts=np.eye(3, 4) > 0)
    seen = []

    class Watching(OtherState):
        def forward_with_state(self, x, state=None, **more):
            seen.append(state)
            return super().forward_with_state(x)

    window_loss(Watching(full), window, full)
    assert isinstance(seen[0][0], Pair)
    assert seen[0][0].a.tolist() == [[[0, 0], [1, 1], [1, 1]]]
    assert seen[0][0].b[0].tolist() == [[0, 1, 1], [0, 1, 1]]


def test_a_quantized_model_reads_documents_too():
    model = model_of("lstm")
    window = list(StreamLoader(IDS, 3, 8, document_start=6))[1]
    loss, _, _ = window_loss(model.quantize(), window)
    assert loss.item() == pytest.approx(window_loss(model, window)[0].item(), rel=0.02)


# --- learning, then writing -----------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"k1": 3}, {"k2": 3}])
def test_trained_with_64_lanes_it_writes_with_one(options):
    minilm.manual_seed(0)
    model: LanguageModel = RNNModel(5, 8, 16, "lstm")
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    loader = StreamLoader(np.arange(2600) % 5, 64, 6, **options)
    assert loader.lanes == 64
    for _ in range(12):
        state = None
        for window in loader:
            loss, count, state = window_loss(model, window, state)
            optimizer.zero_grad()
            (loss / count).backward()
            optimizer.step()
    assert loss.item() / count < 0.2
    written = model.generate(np.array([[0, 1, 2]]), 12, do_sample=False)
    assert written.tolist() == [(np.arange(15) % 5).tolist()]
