"""The examples run, and what they leave behind can be used."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from minilm.data import encode_text
from minilm.data.stories import stories
from minilm.models import from_pretrained, load_tokenizer
from minilm.training import evaluate

TRAIN = Path(__file__).parents[1] / "examples" / "train.py"

SMALL = ("--embed", "16", "--hidden", "32", "--epochs", "4", "--lr", "0.02", "--batch-size", "4")


@pytest.fixture
def story_file(tmp_path: Path) -> Path:
    path = tmp_path / "stories.txt"
    path.write_text(stories(12_000, seed=5), encoding="utf-8")
    return path


@pytest.mark.parametrize(("level", "cell"), [("word", "gru"), ("char", "lstm")])
def test_train(
    run_python: Callable[..., str], story_file: Path, tmp_path: Path, level: str, cell: str
) -> None:
    out = tmp_path / "run"
    choices = ("--data", story_file, "--level", level, "--cell", cell, "--prompt", "One rainy")
    passage = run_python(TRAIN, *choices, *SMALL, "--out", out)
    assert passage.startswith("One rainy")
    assert len(passage) > 150
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")

    model, tokenizer = from_pretrained(out), load_tokenizer(out)
    assert model.config["cell"] == cell
    ids = encode_text(tokenizer, story_file.read_text(encoding="utf-8"))
    assert evaluate(model, ids).loss < 0.7 * math.log(tokenizer.get_vocab_size())


def test_tune_optuna(run_python: Callable[..., str]) -> None:
    pytest.importorskip("optuna")
    choices = ("--trials", "5", "--epochs", "2", "--chars", "4000")
    pruned, best = run_python(TRAIN.with_name("tune_optuna.py"), *choices).splitlines()
    assert re.fullmatch(r"[1-4] of 5 trials pruned", pruned)
    assert re.fullmatch(r"best: \d\.\d{4} nats a word with {'hidden': \d+, 'lr': .*}", best)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_tune_ray(run_python: Callable[..., str], tmp_path: Path) -> None:
    """Slow, because Ray starts a small cluster first."""
    pytest.importorskip("ray.tune")
    choices = ("--trials", "2", "--epochs", "2", "--chars", "4000", "--out", tmp_path)
    *_, best = run_python(TRAIN.with_name("tune_ray.py"), *choices).splitlines()
    assert re.fullmatch(r"best: \d\.\d{4} nats a word with {'hidden': \d+, 'lr': .*}", best)


def test_train_gives_the_same_for_the_same_seed(
    run_python: Callable[..., str], story_file: Path, tmp_path: Path
) -> None:
    def train(seed: int) -> str:
        return run_python(
            TRAIN, "--data", story_file, *SMALL, "--seed", str(seed), "--out", tmp_path
        )

    assert train(1) == train(1)
    assert train(1) != train(2)
