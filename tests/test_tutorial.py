"""The tutorial runs on minilm with nothing changed but its imports, and so do its variations."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minilm
from minilm import nn
from minilm.data import DataLoader
from minilm.data.stories import stories

SNIPPETS = (Path(__file__).parent / "tutorial.txt").read_text(encoding="utf-8")

# What a reader writes in place of the imports.
IMPORTS = """
import minilm as torch
import minilm.nn as nn
import minilm.optim as optim
from minilm.data import Dataset, DataLoader, word_tokenize
"""

# The snippets' own imports, and the download that minilm has no need of.
THEIR_IMPORTS = re.compile(r"^(import|from) .*\n|^nltk\.download\(.*\n", re.MULTILINE)

STORIES = stories(2500)
SEED = 3


def snippets(replacing: dict[str, str] | None = None) -> dict[str, str]:
    """Return the snippets by name, without imports, some of their text replaced."""
    text = THEIR_IMPORTS.sub("", SNIPPETS)
    for old, new in (replacing or {}).items():
        assert old in text, f"no {old!r} in the tutorial"
        text = text.replace(old, new)
    parts = re.split(r"^# --- (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def run(
    names: str, given: dict[str, object] | None = None, replacing: dict[str, str] | None = None
) -> SimpleNamespace:
    """Run the snippets of these names in one namespace, and return it."""
    space: dict[str, object] = dict(given or {})
    exec(IMPORTS, space)
    parts = snippets(replacing)
    for name in names.split():
        exec(compile(parts[name], f"tutorial: {name}", "exec"), space)
    return SimpleNamespace(**space)


def make_model(
    replacing: dict[str, str] | None = None, given: dict[str, object] | None = None
) -> SimpleNamespace:
    """Run all that defines something, on a text long enough to learn from."""
    minilm.manual_seed(SEED)
    data = run("dataset", {"text": STORIES, "print": lambda *_: None})
    loader = DataLoader(data.dataset, batch_size=16, shuffle=True)
    sizes = {"vocab_size": len(data.dataset.vocab), "embed_size": 12, "hidden_size": 24}
    minilm.manual_seed(SEED)
    made = run("model optimizer train validate", sizes | (given or {}), replacing)
    return SimpleNamespace(**vars(made) | {"dataset": data.dataset, "loader": loader})


def epoch_losses(capsys: pytest.CaptureFixture[str]) -> list[float]:
    """Return what ``train`` printed."""
    return [float(x) for x in re.findall(r"Average Loss: (\S+)", capsys.readouterr().out)]


# --- as it stands -------------------------------------------------------------------------------


def test_every_import_is_replaced() -> None:
    assert "import" not in "".join(snippets().values())
    assert list(snippets()) == ["text", "dataset", "model", "optimizer", "train", "validate"]


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    space = run("text")
    assert space.tokens == ["hello", "world", ".", "hello", "again", "."]
    assert space.vocab["<unk>"] == 0
    assert sorted(space.vocab.values()) == [0, 1, 2, 3, 4]
    assert space.encoded_texts == [space.vocab[token] for token in space.tokens]
    assert capsys.readouterr().out.startswith("Tokens: ['hello', 'world', '.', 'hello', 'again'")


def test_dataset_and_loader(capsys: pytest.CaptureFixture[str]) -> None:
    space = run("text dataset")
    assert len(space.dataset) == 1
    ids = space.dataset.encoded
    inputs, targets = space.dataset[0]
    assert inputs.dtype == targets.dtype == minilm.long
    assert (inputs.tolist(), targets.tolist()) == (ids[:5], ids[1:])
    assert (space.input.tolist(), space.target.tolist()) == ([ids[:5]], [ids[1:]])
    assert capsys.readouterr().out.splitlines()[-1].startswith("Input: tensor([[")


def test_loader_gives_every_window_once_in_another_order() -> None:
    data = run("dataset", {"text": STORIES, "print": lambda *_: None}).dataset
    loader = DataLoader(data, batch_size=2, shuffle=True)
    batches = [(inputs.tolist(), targets.tolist()) for inputs, targets in loader]
    assert len(batches) == len(loader) == math.ceil(len(data) / 2)
    seen = [pair for batch in batches for pair in zip(*batch, strict=True)]
    samples = [data[index] for index in range(len(data))]
    expected = [(inputs.tolist(), targets.tolist()) for inputs, targets in samples]
    assert seen != expected
    assert sorted(seen) == sorted(expected)


def test_the_tutorials_own_shape_trains(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"vocab_size": 5, "embed_size": 16, "hidden_size": 32}
    space = run("text dataset model optimizer train validate", sizes)
    before = space.validate(space.model, space.loader, space.criterion)
    space.train(space.model, space.loader, space.criterion, space.optimizer, num_epochs=20)
    losses = epoch_losses(capsys)
    assert len(losses) == 20
    assert losses[0] == pytest.approx(before, abs=1e-5)
    assert space.validate(space.model, space.loader, space.criterion) < losses[-1] < before - 0.2


# --- its variations -----------------------------------------------------------------------------

RECURRENT = "nn.RNN(embed_size, hidden_size, batch_first=True)"
STEP = "            optimizer.step()\n"
ADAM = "optim.Adam(model.parameters(), lr=0.001)"


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_every_cell_learns(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    space = make_model({"nn.RNN(": f"nn.{cell}(", "lr=0.001": "lr=0.01"})
    assert type(space.model.rnn).__name__ == cell
    space.train(space.model, space.loader, space.criterion, space.optimizer, num_epochs=3)
    losses = epoch_losses(capsys)
    assert losses[0] < math.log(len(space.dataset.vocab)) + 0.3
    assert losses[0] > losses[1] > losses[2]
    assert losses[2] < losses[0] - 1
    reached = space.validate(space.model, space.loader, space.criterion)
    assert reached < losses[-1]
    assert not space.model.training


def test_dropout_acts_in_training_only() -> None:
    deep = "nn.LSTM(embed_size, hidden_size, num_layers=2, dropout=0.4, batch_first=True)"
    space = make_model({RECURRENT: deep})
    inputs = next(iter(space.loader))[0]

    def outputs() -> np.ndarray:
        return space.model(inputs).detach().numpy()

    assert not np.array_equal(outputs(), outputs())
    space.model.eval()
    np.testing.assert_array_equal(outputs(), outputs())


def test_weight_decay_keeps_weights_small() -> None:
    sizes = []
    for decay in (0.0, 0.1):
        decayed = f"{ADAM[:-1]}, weight_decay={decay})"
        space = make_model({ADAM: decayed}, {"print": lambda *_: None})
        space.train(space.model, space.loader, space.criterion, space.optimizer, num_epochs=1)
        sizes.append(sum(float((p**2).sum().item()) for p in space.model.parameters()))
    assert sizes[1] < 0.95 * sizes[0]


def test_clipping_bounds_the_norm() -> None:
    norms: list[tuple[float, float]] = []

    def clip(parameters: object) -> None:
        parameters = list(parameters)
        before = nn.utils.clip_grad_norm_(parameters, max_norm=0.1).item()
        norms.append((before, nn.utils.get_total_norm([p.grad for p in parameters]).item()))

    step = f"            clip(model.parameters())\n{STEP}"
    space = make_model({STEP: step}, {"clip": clip, "print": lambda *_: None})
    space.train(space.model, space.loader, space.criterion, space.optimizer, num_epochs=1)
    assert len(norms) == len(space.loader)
    assert min(before for before, _ in norms) > 0.1
    assert all(after == pytest.approx(0.1, rel=1e-3) for _, after in norms)


# --- ready-made ---------------------------------------------------------------------------------


def test_ready_made_dataset_holds_the_same_text() -> None:
    theirs = make_model().dataset
    ours = minilm.TextDataset(STORIES)
    assert ours.tokens == theirs.tokens
    assert len(ours) == len(theirs)
    assert isinstance(ours.vocab, minilm.Vocab)
    assert set(ours.vocab) == set(theirs.vocab)
    assert ours.vocab["<unk>"] == ours.vocab["a word that is not there"] == 0
    words = {index: word for word, index in theirs.vocab.items()}
    for index in (0, 7, len(ours) - 1):
        for our_ids, their_ids in zip(ours[index], theirs[index], strict=True):
            assert our_ids.dtype == their_ids.dtype
            assert ours.vocab.lookup_tokens(our_ids.tolist()) == [
                words[i] for i in their_ids.tolist()
            ]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_ready_made_model_and_loops_do_the_same(
    cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = make_model({"nn.RNN(": f"nn.{cell.upper()}("})
    minilm.manual_seed(SEED)
    model = minilm.RNNModel(theirs.vocab_size, 12, 24, cell=cell)
    optimizer = minilm.optim.Adam(model.parameters(), lr=0.001)

    def run_both_epochs(loops: object, trained: nn.Module, its_optimizer: object) -> float:
        minilm.manual_seed(SEED)  # of the shuffling
        loops.train(trained, theirs.loader, theirs.criterion, its_optimizer, 2)
        return loops.validate(trained, theirs.loader, theirs.criterion)

    expected = run_both_epochs(theirs, theirs.model, theirs.optimizer)
    printed = capsys.readouterr().out
    assert run_both_epochs(minilm, model, optimizer) == expected
    assert capsys.readouterr().out == printed
    state = model.state_dict()
    assert list(state) == list(theirs.model.state_dict())
    for name, value in theirs.model.state_dict().items():
        np.testing.assert_array_equal(state[name].numpy(), value.numpy())
