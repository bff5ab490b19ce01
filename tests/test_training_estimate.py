import gc
import re

import numpy as np
import pytest
from training_helpers import CYCLE, same_weights, tiny_model, weights

import minilm
from minilm import memory
from minilm.data import DataLoader, StreamLoader, TokenDataset
from minilm.models import RNNModel
from minilm.training import Recipe, Settings, Trainer, TrainingArguments
from minilm.training.batch import batch_loss
from minilm.training.estimate import MIB, DoesNotFitError, estimate
from minilm.training.run import Run

ARGS = TrainingArguments(learning_rate=0.01)
KINDS = {
    "stream": lambda: StreamLoader(CYCLE, 8, 10),
    "documents": lambda: StreamLoader(CYCLE, 8, 10, document_start=0),
    "pairs": lambda: DataLoader(TokenDataset(CYCLE, 10), 8, shuffle=True),
}


@pytest.fixture
def free(monkeypatch):
    """Say how much memory there is."""

    def say(amount: int | None) -> None:
        monkeypatch.setattr("minilm.training.estimate.available_memory", lambda: amount)

    return say


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_it_measures_and_changes_nothing(make):
    def trained(estimated: bool):
        model, loader = tiny_model(dropout=0.3), make()
        args = TrainingArguments(max_steps=5, learning_rate=0.05, disable_tqdm=True, seed=1)
        trainer = Trainer(model, args, train_dataset=loader)
        if estimated:
            found = trainer.estimate()
            assert found.fits
            assert found.batch_size == found.largest_batch_size == 8
            assert found.seconds_per_epoch == found.seconds_per_step * found.steps_per_epoch > 0
        trainer.train()
        return weights(model)

    assert same_weights(trained(True), trained(False))


def test_memory_grows_with_the_batch_as_it_says():
    minilm.manual_seed(0)
    model = RNNModel(50, 32, 64, "lstm")
    ids = np.random.default_rng(0).integers(0, 50, 20000)
    found = {
        lanes: estimate(model, StreamLoader(ids, lanes, 64), ARGS, timed=False)
        for lanes in (4, 8, 16)
    }
    small, middle, large = (found[lanes].activations for lanes in (4, 8, 16))
    assert large - middle == pytest.approx(2 * (middle - small), rel=0.02)
    parameters = sum(4 * p.numel() for p in model.parameters())
    assert found[4].weights == found[4].optimizer == 2 * parameters


def test_what_others_have_let_go_of_is_not_taken_for_less(monkeypatch):
    """Memory that waits for Python's collector is not found, and used, in the midst of a step."""
    ids = np.random.default_rng(0).integers(0, 50, 20000)

    def collecting(model, batch):
        gc.collect()
        return batch_loss(model, batch)

    def measured(garbage: int) -> int:
        model = RNNModel(50, 32, 64, "lstm")
        gc.collect()
        for _ in range(garbage):
            cycle = [minilm.zeros(64, 1024) + minilm.zeros(64, 1024)]
            cycle.append(cycle)
        return estimate(model, StreamLoader(ids, 8, 64), ARGS, timed=False).activations

    monkeypatch.setattr("minilm.training.estimate.batch_loss", collecting)
    assert measured(20) == pytest.approx(measured(0), rel=0.01)


def test_a_run_that_cannot_fit_is_refused_with_the_batch_that_can(free):
    model = RNNModel(50, 32, 64, "lstm")
    ids = np.random.default_rng(0).integers(0, 50, 20000)
    loader = StreamLoader(ids, 32, 64)
    whole = estimate(model, loader, ARGS, timed=False)
    free(whole.memory - whole.activations // 2)
    found = estimate(model, loader, ARGS)
    assert not found.fits
    assert found.seconds_per_step is None
    assert 10 < found.largest_batch_size < 20
    with pytest.raises(
        DoesNotFitError, match=f"from 32 to at most {found.largest_batch_size} .gradient accum"
    ):
        found.require_fit()
    smaller = StreamLoader(ids, found.largest_batch_size, 64)
    estimate(model, smaller, ARGS, timed=False).require_fit()


def test_a_model_that_is_too_large_is_told_so(free):
    free(MIB // 8)
    with pytest.raises(DoesNotFitError, match="not even one sequence .* A smaller model"):
        estimate(tiny_model(), StreamLoader(np.tile(CYCLE, 50), 2, 8000), ARGS).require_fit()


def test_fit_and_trainer_refuse_before_the_first_step_what_no_batch_size_can_help(free):
    model = tiny_model()
    before, parameters = weights(model), sum(4 * p.numel() for p in model.parameters())
    message = "a smaller model is needed"
    free(3 * parameters - 1)  # gradients, and two moments of Adam
    with pytest.raises(DoesNotFitError, match=message):
        model.fit(CYCLE, verbose=0)
    with pytest.raises(DoesNotFitError, match=message):
        Trainer(model, TrainingArguments(disable_tqdm=True), train_dataset=CYCLE).train()
    assert same_weights(weights(model), before)
    sgd = minilm.optim.SGD(model.parameters(), lr=0.1)
    model.fit(CYCLE, optimizer=sgd, verbose=0, max_steps=1)
    free(3 * parameters)
    model.fit(CYCLE, verbose=0, max_steps=1)


def test_a_model_is_too_large_before_it_is_made(free, tmp_path):
    free(10_000)
    (tmp_path / "text.txt").write_text("abc " * 100, encoding="utf-8")
    recipe = Recipe(str(tmp_path / "text.txt"), "char", settings=Settings(seq_len=8))
    with pytest.raises(DoesNotFitError, match="MiB for weights, gradients, the optimizer's state"):
        Run(recipe, tmp_path / "run")


def test_what_is_not_known_is_not_refused(free):
    free(None)
    found = estimate(tiny_model(), KINDS["pairs"](), ARGS)
    found.require_fit()
    assert [line.split()[0] for line in str(found).splitlines()] == ["memory", "an"]
    figures = re.findall(r"\d[\d.]*", str(found).splitlines()[0])
    assert len(figures) == 4 and all(float(figure) > 0 for figure in figures)


def test_copies_of_the_weights_count():
    plain = estimate(tiny_model(), KINDS["stream"](), ARGS, timed=False)
    args = TrainingArguments(ema_decay=0.9, load_best_model_at_end=True, optim="sgd")
    more = estimate(tiny_model(), KINDS["stream"](), args, timed=False)
    assert more.weights == 2 * plain.weights
    assert 2 * more.optimizer == plain.optimizer


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"meminfo": "MemTotal: 9 kB\nMemAvailable:    5 kB\n"}, 5 * 1024),
        ({"meminfo": "MemAvailable: 5 kB", "memory.max": "1000", "memory.current": "400"}, 600),
        ({"meminfo": "MemAvailable: 5 kB", "memory.max": "max", "memory.current": "400"}, 5120),
        ({"memory.max": "100", "memory.current": "400"}, 0),
    ],
)
def test_what_the_system_says(tmp_path, monkeypatch, files, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.available_memory() == expected


def test_elsewhere_it_is_the_machine_s_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    found = memory.available_memory()
    assert found is None or found > 1 << 28
