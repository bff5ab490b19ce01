"""MinGRU and MinLSTM: both forms agree, in outputs and gradients; extremes, mistakes, learning.

The step form is also compared with its twin and with the paper's log-space form, test_layers.py.
"""

from __future__ import annotations

import numpy as np
import pytest

import minilm
from minilm import nn
from minilm.nn.functional import parallel_scan

LAYERS = [nn.MinGRU, nn.MinLSTM]
B, T, E, H = 3, 11, 5, 18

kinds = pytest.mark.parametrize("kind", LAYERS)


def close(ours: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    assert np.abs(ours - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-3)


def results(run, layer, x, h0, starts) -> list[np.ndarray]:
    """Outputs, last states, and the gradients of everything under random weights of them."""
    leaves = [t.detach().clone().requires_grad_() for t in (x, h0) if t is not None]
    output, h_n = run(leaves[0], leaves[1] if len(leaves) > 1 else None, starts)
    rng = np.random.default_rng(5)
    layer.zero_grad()
    total = minilm.tensor(0.0)
    for part in (output, h_n):
        total = total + (part * minilm.tensor(rng.normal(size=part.shape).astype("f"))).sum()
    total.backward()
    wanted = [*leaves, *layer.parameters()]
    return [output.detach().numpy(), h_n.detach().numpy(), *(t.grad.numpy() for t in wanted)]


@kinds
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"batch_first": True},
        {"num_layers": 3},
        {"bidirectional": True, "num_layers": 2},
        {"num_layers": 2, "batch_first": True, "bidirectional": True, "bias": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("started", [False, True])
def test_all_steps_at_once_are_one_after_the_other(kind, options, state, started) -> None:
    if started and options.get("bidirectional"):
        pytest.skip("layers of both directions take no starts")
    minilm.manual_seed(4)
    layer = kind(E, H, **options)
    lead = (B, T) if layer.batch_first else (T, B)
    x = minilm.randn(*lead, E)
    directions = 2 if layer.bidirectional else 1
    h0 = minilm.randn(layer.num_layers * directions, B, H) if state else None
    starts = np.random.default_rng(6).integers(0, 4, lead) == 0 if started else None
    by_steps = results(layer, layer, x, h0, starts)
    at_once = results(layer.parallel, layer, x, h0, starts)
    assert len(by_steps) == len(at_once)
    for one, other in zip(by_steps, at_once, strict=True):
        close(one, other)


@kinds
@pytest.mark.parametrize("time", [1, 2, 64, 1000])
def test_the_forms_agree_whatever_the_time(kind, time) -> None:
    minilm.manual_seed(1)
    layer, x = kind(E, H), minilm.randn(time, 2, E)
    for one, other in zip(
        results(layer, layer, x, None, None),
        results(layer.parallel, layer, x, None, None),
        strict=True,
    ):
        close(one, other)


@kinds
def test_one_step_at_a_time_with_the_state_carried(kind) -> None:
    layer, x, state = kind(E, H, 2), minilm.randn(T, B, E), None
    whole, last = layer(x)
    for t in range(T):
        y, state = layer(x[t : t + 1], state)
        close(y[0].detach().numpy(), whole[t].detach().numpy())
    close(state.detach().numpy(), last.detach().numpy())


@kinds
def test_ids_of_an_embedding_in_both_forms(kind) -> None:
    embedding, layer = nn.Embedding(4, E), kind(E, H, batch_first=True)
    ids = np.random.default_rng(0).integers(0, 4, (B, T))
    gradients = []
    for run in (layer, layer.parallel):
        embedding.zero_grad()
        run(embedding(ids))[0].sum().backward()
        gradients.append(embedding.weight.grad.numpy().copy())
    close(*gradients)


def test_the_equations_of_a_mingru() -> None:
    layer, x, h = nn.MinGRU(E, H), minilm.randn(1, B, E), minilm.randn(1, B, H)
    a = x.numpy()[0].astype(float) @ layer.weight_ih_l0.detach().numpy().T
    a_z, a_n = np.split(a + layer.bias_ih_l0.detach().numpy(), 2, axis=1)
    z, low = 1 / (1 + np.exp(-a_z)), 1 / (1 + np.exp(-a_n))
    n = np.where(a_n >= 0, a_n + 0.5, low)
    close(layer(x, h)[1].detach().numpy()[0], (1 - z) * h.numpy()[0] + z * n)


def test_the_equations_of_a_minlstm() -> None:
    layer, x, h = nn.MinLSTM(E, H), minilm.randn(1, B, E), minilm.randn(1, B, H)
    a = x.numpy()[0].astype(float) @ layer.weight_ih_l0.detach().numpy().T
    a_f, a_i, a_n = np.split(a + layer.bias_ih_l0.detach().numpy(), 3, axis=1)
    f, i, low = (1 / (1 + np.exp(-part)) for part in (a_f, a_i, a_n))
    n = np.where(a_n >= 0, a_n + 0.5, low)
    close(layer(x, h)[1].detach().numpy()[0], (f * h.numpy()[0] + i * n) / (f + i))


@pytest.mark.parametrize(
    ("a_f", "a_i"), [(-200, -190), (-190, -200), (-300, 300), (300, -300), (300, 300), (0, -95)]
)
@pytest.mark.parametrize("form", ["forward", "parallel"])
def test_gates_of_a_minlstm_may_both_be_next_to_nothing(form, a_f, a_i) -> None:
    """Where sigmoid underflows, the share f / (f + i) still depends on which is the smaller."""
    layer = nn.MinLSTM(1, 1)
    layer.weight_ih_l0.detach().numpy()[:] = 0
    layer.bias_ih_l0.detach().numpy()[:] = a_f, a_i, 1.5  # the candidate is 2
    h0 = minilm.full((1, 1, 1), 4.0).requires_grad_()
    _, h_n = getattr(layer, form)(minilm.zeros(1, 1, 1), h0)
    f = -np.logaddexp(0, -float(a_f))  # their logarithms
    i = -np.logaddexp(0, -float(a_i))
    share = 1 / (1 + np.exp(i - f))
    assert h_n.item() == pytest.approx(4 * share + 2 * (1 - share), rel=1e-5)
    h_n.backward()
    slope = 2 * share * (1 - share)
    expected = slope * -np.expm1(f), -slope * -np.expm1(i), 1 - share
    # The tape takes the quotient's gradient as a difference of numbers near 1; the core does not.
    rounding = 1e-6 if form == "parallel" else 1e-30
    np.testing.assert_allclose(layer.bias_ih_l0.grad.numpy(), expected, rtol=1e-4, atol=rounding)
    assert h0.grad.item() == pytest.approx(share, rel=1e-5, abs=1e-30)


@kinds
@pytest.mark.parametrize("form", ["forward", "parallel"])
def test_the_slope_of_the_candidate_where_its_two_halves_meet(kind, form) -> None:
    """At 0 it is 1, as above it: all weights 0 must learn the same in both forms."""
    layer = kind(1, 1)
    for parameter in layer.parameters():
        parameter.detach().numpy()[:] = 0
    getattr(layer, form)(minilm.zeros(1, 1, 1))[0].sum().backward()
    assert layer.bias_ih_l0.grad.numpy()[-1] == 0.5  # the share of the new, times the slope


@kinds
def test_a_sequence_that_diverged_stays_nan(kind) -> None:
    x = np.ones((T, 1, E), np.float32)
    x[4] = np.nan
    y = kind(E, H)(minilm.tensor(x))[0].detach().numpy()
    assert np.isfinite(y[:4]).all() and np.isnan(y[4:]).all()


@kinds
def test_states_that_begin_at_zero_are_never_below_it(kind) -> None:
    assert (kind(E, H, 2)(minilm.randn(T, B, E) * 5)[0] >= 0).all()


@kinds
def test_parameters(kind) -> None:
    gates = {nn.MinGRU: 2, nn.MinLSTM: 3}[kind]
    layer = kind(100, 40, 2, bidirectional=True)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {
        f"{name}_l{level}{end}": shape
        for level, width in ((0, 100), (1, 80))
        for end in ("", "_reverse")
        for name, shape in (
            ("weight_ih", (gates * 40, width)),
            ("bias_ih", (gates * 40,)),
        )
    }
    for name, parameter in layer.named_parameters():
        bound = (100 if "l0" in name else 80) ** -0.5
        values = np.abs(parameter.detach().numpy())
        assert 0.9 * bound < values.max() <= bound, name


def test_dropout_between_layers_acts_in_training_only_in_both_forms() -> None:
    layer, x = nn.MinGRU(E, H, 2, dropout=0.5), minilm.randn(T, B, E)
    for run in (layer, layer.parallel):
        layer.train()
        assert not run(x)[0].equal(run(x)[0])
        layer.eval()
        assert run(x)[0].equal(run(x)[0])


@kinds
@pytest.mark.parametrize("form", ["forward", "parallel"])
def test_mistakes(kind, form) -> None:
    run = getattr(kind(E, H), form)
    with pytest.raises(ValueError, match=r"\(time, batch, input_size=5\), got shape \(11, 3, 6\)"):
        run(minilm.zeros(T, B, E + 1))
    with pytest.raises(TypeError, match="expected one state h0, got 2"):
        run(minilm.zeros(T, B, E), (minilm.zeros(1, B, H), minilm.zeros(1, B, H)))
    with pytest.raises(ValueError, match=r"h0 \(layers=1, batch=3, hidden_size=18\)"):
        run(minilm.zeros(T, B, E), minilm.zeros(2, B, H))
    both = getattr(kind(E, H, bidirectional=True), form)
    with pytest.raises(ValueError, match="starts: a layer of both directions"):
        both(minilm.zeros(T, B, E), starts=np.zeros((T, B), bool))


# --- the scan -------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", [0, 1, 2, 7, 8, 9])
def test_parallel_scan(time) -> None:
    rng = np.random.default_rng(time)
    decay, update = rng.uniform(-1, 1, (2, time, 3, 2)).astype(np.float32)
    expected, h = np.zeros_like(update), 0.0
    for t in range(time):
        expected[t] = h = decay[t] * h + update[t]
    np.testing.assert_allclose(parallel_scan(decay, update).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_what_parallel_scan_refuses() -> None:
    with pytest.raises(ValueError, match=r"one shape \(time, ...\), got \(2, 3\) and \(3, 2\)"):
        parallel_scan(minilm.zeros(2, 3), minilm.zeros(3, 2))
    with pytest.raises(ValueError, match="one shape"):
        parallel_scan(minilm.tensor(1.0), minilm.tensor(1.0))
    with pytest.raises(TypeError, match="decay.*float64"):
        parallel_scan(minilm.zeros(2).double(), minilm.zeros(2))
