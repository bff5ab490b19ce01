"""The learning rate range test: what it finds, and that it leaves no trace."""

from __future__ import annotations

import copy
import math
import random
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import minilm
from minilm import nn, optim
from minilm.data import DataLoader, TokenDataset
from minilm.training import LRFinding, NonFiniteError, StreamLoader, lr_find

IDS = np.tile(np.random.default_rng(0).integers(0, 11, 40), 20)


@pytest.fixture
def model():
    minilm.manual_seed(0)
    return minilm.RNNModel(11, 8, 16, cell="gru", num_layers=2, dropout=0.3)


@pytest.fixture
def loader():
    return StreamLoader(IDS, 4, 8)


def trace(model) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


class Linear(nn.Module):
    """Logits from one learned number for each token: no state."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 11)

    def forward(self, ids):
        return self.table(ids)


# --- what it finds ---


def test_rates_grow_by_the_same_factor_and_the_loss_falls_then_explodes(model, loader):
    finding = lr_find(model, loader)
    np.testing.assert_allclose(np.diff(np.log10(finding.lrs)), 8 / 99, rtol=1e-9)
    assert finding.lrs[0] == 1e-7
    lowest = int(np.argmin(finding.smoothed))
    assert finding.smoothed[lowest] < finding.losses[0] - 0.1
    assert finding.smoothed[-1] > finding.losses[0]
    assert 1e-4 < finding.suggestion < finding.lrs[lowest]
    assert 1e-7 < finding.valley < finding.lrs[lowest]


def test_a_suggested_rate_trains_better_than_one_a_hundred_times_lower_or_higher(model, loader):
    suggestion = lr_find(model, loader).suggestion
    start = copy.deepcopy(model.state_dict())
    reached = []
    for rate in (suggestion / 100, suggestion, suggestion * 100):
        model.load_state_dict(start)
        optimizer = optim.AdamW(model.parameters(), lr=rate)
        for _ in range(5):
            for inputs, targets in loader:
                loss = nn.functional.cross_entropy(model(inputs).transpose(1, 2), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        reached.append(loss.item())
    assert reached[1] < min(reached[0], reached[2]) - 0.1


def test_a_criterion_and_an_optimizer_of_ones_own_are_used(loader):
    model = Linear()
    weights = model.table.weight.detach().numpy().copy()
    seen = []

    def criterion(logits, targets):
        seen.append((logits.shape, targets.shape))
        return (logits**2).mean()

    optimizer = optim.SGD(model.parameters(), lr=3.0)
    # SGD on a sum of squares: each step shrinks a row by a known share.
    finding = lr_find(
        model, [(np.zeros((2, 3), np.int64),) * 2], criterion, optimizer, end_lr=1, num_iter=5
    )
    assert seen == [((2, 11, 3), (2, 3))] * 5
    row = weights[0].astype(float)
    for rate, loss in zip(finding.lrs, finding.losses, strict=True):
        assert loss == pytest.approx((row**2).mean(), rel=1e-5)
        row *= 1 - rate * 2 / 11


def test_it_stops_when_the_loss_explodes(model, loader):
    finding = lr_find(model, loader, end_lr=1e4, smooth=0.5, stop_factor=2)
    assert len(finding.lrs) == len(finding.losses) == len(finding.running_means) < 100
    assert finding.running_means[-1] > 2 * min(finding.running_means)


def test_it_stops_before_a_loss_that_is_not_finite(loader):
    model = Linear()
    calls = []

    def criterion(logits, targets):
        calls.append(1)
        loss = (logits**2).mean()
        return loss * math.nan if len(calls) == 4 else loss

    before = trace(model)
    assert len(lr_find(model, loader, criterion).losses) == 3
    assert trace(model) == before


def test_running_means_have_no_bias_at_the_start(model, loader):
    finding = lr_find(model, loader, num_iter=3, smooth=0.9)
    a, b, _ = finding.losses
    assert finding.running_means[:2] == pytest.approx([a, (0.9 * a + b) / 1.9])


def test_suggestions_of_a_known_curve():
    lrs = [10.0 ** (k / 10 - 6) for k in range(60)]
    losses = [4.0 - 2 / (1 + math.exp(-(k - 30) / 2)) for k in range(50)]
    losses += [2 + (k - 49) ** 2 for k in range(50, 60)]
    finding = LRFinding(lrs, losses, losses)
    assert finding.suggestion == pytest.approx(lrs[30], rel=0.3)
    assert finding.valley == lrs[(6 + 49) // 2]
    assert finding.smoothed[30] == pytest.approx(3.0, abs=0.01)
    rising = LRFinding(lrs, lrs, lrs)
    assert rising.suggestion is None and rising.valley is None


# --- no trace ---


def ahead(loader) -> list[list[int]]:
    """Return what the next two passes will give, and leave the loader where it is."""
    state, copied = minilm.get_rng_state(), copy.deepcopy(loader)
    inputs = [np.asarray(inputs).tolist() for _ in range(2) for inputs, _ in copied]
    minilm.set_rng_state(state)
    return inputs


PAIRS = [(IDS[k : k + 8], IDS[k + 1 : k + 9]) for k in range(20)]
LOADERS = {
    "stream": lambda: StreamLoader(IDS, 4, 8),
    "shuffled": lambda: DataLoader(PAIRS, 4, shuffle=True),
    "own generator": lambda: DataLoader(PAIRS, 4, shuffle=True, generator=minilm.Generator(3)),
    "list": lambda: [(inputs[None], targets[None]) for inputs, targets in PAIRS],
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", LOADERS)
def test_it_leaves_everything_as_it_was(model, kind, fails):
    loader = LOADERS[kind]()
    next(iter(loader))
    optimizer = optim.Adam(model.parameters(), lr=0.5)
    model(PAIRS[0][0][None]).sum().backward()
    optimizer.step()
    model.eval()
    model.drop.train()
    grads = [param.grad for param in model.parameters()]

    def everything():
        saved = optimizer.state_dict()
        return {
            "weights": trace(model),
            "gradients": [grad.numpy().tobytes() for grad in grads],
            "modes": [module.training for module in model.modules()],
            "optimizer": [v.numpy().tobytes() for s in saved["state"].values() for v in s.values()],
            "groups": saved["param_groups"],
            "streams": (minilm.get_rng_state().tolist(), random.getstate()),
            "numpy": np.random.get_state()[1].tolist(),
            "loader": ahead(loader),
        }

    calls = []

    def criterion(logits, targets):
        random.random()
        np.random.random(700)
        calls.append(model.training and model.rnn.training)
        if fails and len(calls) == 7:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(logits, targets)

    before = everything()
    if fails:
        with pytest.raises(KeyboardInterrupt):
            lr_find(model, loader, criterion, optimizer, num_iter=40)
    else:
        lr_find(model, loader, criterion, optimizer, num_iter=40)
    assert len(calls) >= 7 and all(calls)
    assert everything() == before
    assert all(p.grad is grad for p, grad in zip(model.parameters(), grads, strict=True))


def test_the_data_are_not_copied(model):
    class Data:
        def __getitem__(self, index):
            return IDS[:8], IDS[1:9]

        def __len__(self):
            return 4

        def __deepcopy__(self, memo):
            raise AssertionError("copied")

    assert len(lr_find(model, DataLoader(Data(), 2), num_iter=3).losses) == 3


def test_what_fit_takes_will_do(model):
    windows = TokenDataset(IDS, 8)
    for data in (IDS, windows, StreamLoader(IDS, 2, 8)):
        assert len(lr_find(model, data, num_iter=3).losses) == 3
    pairs = [windows[:2], windows[2:4]]
    by_name = [{"input_ids": windows.ids[None, k : k + 9]} for k in (0, 4)]
    by_name = [batch | {"labels": batch["input_ids"]} for batch in by_name]
    gpt = minilm.GPT2LMHeadModel(
        minilm.GPT2Config(vocab_size=model.embedding.num_embeddings, n_embd=8, n_layer=1, n_head=2)
    )
    assert len(lr_find(model, pairs, num_iter=3).losses) == 3
    assert len(lr_find(gpt, by_name, num_iter=3).losses) == 3


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_lr": 0}, "expected 0 < start_lr < end_lr, got 0 and 10"),
        ({"start_lr": 1, "end_lr": 0.1}, "rates grow from start_lr to end_lr"),
        ({"num_iter": 1}, "num_iter must be at least 2"),
        ({"smooth": 1.0}, r"smooth must be in \[0, 1\), got 1.0"),
        ({"stop_factor": 1}, "stop_factor must be above 1"),
    ],
)
def test_wrong_arguments_are_refused(model, loader, options, message):
    with pytest.raises(ValueError, match=message):
        lr_find(model, loader, **options)


def test_a_loader_for_one_pass_is_refused(model, loader):
    for once in (iter(loader), ((a, b) for a, b in loader)):
        with pytest.raises(TypeError, match="leaves the loader as it was, and a generator cannot"):
            lr_find(model, once)


def test_a_loader_without_batches_is_refused(model):
    with pytest.raises(ValueError, match="the loader has no batches"):
        lr_find(model, [])


def test_a_loss_that_is_nan_at_once_is_refused(model, loader):
    with minilm.no_grad():
        model.fc.bias.fill_(math.nan)
    with pytest.raises(NonFiniteError, match="the loss is nan before any step"):
        lr_find(model, loader)


# --- how it shows ---


class Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(page)

    def handle_data(self, data):
        self.words += [data.strip()]


def test_a_notebook_shows_the_curve_with_rates_below(model, loader):
    finding = lr_find(model, loader)
    page = finding._repr_html_()
    words = Text(page).words
    assert f"Suggested learning rate: {finding.suggestion:.2g}, where the loss falls fastest." in (
        words
    )
    assert {"1e-07", "1e-05", "0.001", "learning rate", "loss"} <= set(words)
    assert page.count("<polyline") == 3
    assert re.search(rf"suggestion \d\.\d{{4}} at {finding.suggestion:.1g}<", page)


def test_what_explodes_is_not_drawn():
    lrs = [10.0 ** (k / 10 - 6) for k in range(70)]
    losses = [3.0] * 20 + [2.0] * 30 + [2.0 + k**3 for k in range(20)]
    finding = LRFinding(lrs, losses, losses)
    drawn = re.findall(r'class="line loss" points="([^"]*)"', finding._repr_html_())[0]
    shown = len(drawn.split())
    assert finding.smoothed[shown - 1] <= 4 < finding.smoothed[shown]


def test_a_curve_that_never_falls_and_a_single_point_show_too():
    assert "never falls" in LRFinding([0.1, 0.2], [1.0, 2.0], [1.0, 1.5])._repr_html_()
    assert "not finite" in LRFinding([0.1], [1.0], [1.0])._repr_html_()
    assert LRFinding([0.1], [1.0], [1.0]).valley is None


def test_plot(model, loader):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    finding = lr_find(model, loader, num_iter=40)
    axes = finding.plot()
    assert axes.get_xscale() == "log"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["loss", "smoothed", f"suggestion {finding.suggestion:.2g}"]
    assert finding.plot(axes) is axes


def test_plot_without_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'minilm\[plots\]'"):
        LRFinding([0.1, 0.2], [2.0, 1.0], [2.0, 1.9]).plot()
