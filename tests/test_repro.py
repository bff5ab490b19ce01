import json

import numpy as np
import pytest
from cli_helpers import minilm

from minilm.repro import EXPERIMENTS, Outcome
from minilm.repro.names import pair_loss
from minilm.repro.word_language_model import compare


def quiet(message: str) -> None:
    pass


def test_outcomes_say_whether_a_goal_is_reached():
    assert Outcome("loss", 1.5, 1.6).reached
    assert Outcome("speed", 1.5, 1.6, at_most=False).reached is False
    assert Outcome("n-gram", 1.5).reached is None
    assert str(Outcome("loss", 1.5, 1.6)).endswith("1.5000  goal: <= 1.6, reached")


def test_pairs():
    ids = np.array([0, 1, 0, 2, 0, 1])
    expected = (2 * np.log(3 / 2) + np.log(3)) / 5  # after 0: 1 twice, 2 once; else certain
    assert pair_loss(ids, 3) == pytest.approx(expected)


def test_pairs_of_all_names(data_dir):
    """makemore's first lecture counts the same pairs and gets 2.4540."""
    names = (data_dir / "names.txt").read_text("utf-8").split()
    text = "\n" + "\n".join(names) + "\n"
    ids = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64)
    assert round(pair_loss(ids, 128), 4) == 2.4540


@pytest.mark.parametrize(
    ("name", "share"), [("names", 0.05), ("shakespeare", 0.005), ("nanogpt", 0.01)]
)
def test_experiments_run(data_dir, name, share):
    experiment = EXPERIMENTS[name]
    outcomes = experiment.run(data_dir / experiment.data, share, quiet)
    assert all(np.isfinite(one.value) for one in outcomes)


def test_the_first_steps_are_pytorch_s():
    pytest.importorskip("torch")
    ids = np.random.default_rng(0).integers(0, 50, 20 * 35 * 4)
    worst, apart = compare(ids, 50, tied=3, free=3, say=quiet)
    assert worst < 1e-5
    assert apart < 1e-3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_word_language_model_s_losses_are_pytorch_s(data_dir):
    pytest.importorskip("torch")
    experiment = EXPERIMENTS["word-language-model"]
    for outcome in experiment.run(data_dir / experiment.data, 1.0, print):
        assert outcome.reached, str(outcome)


def test_the_command_lists_and_refuses(tmp_path):
    assert list(json.loads(minilm("repro", "--json").stdout)) == list(EXPERIMENTS)
    assert "shakespeare" in minilm("repro").stdout
    assert "no experiment 'x'; there are shakespeare" in minilm("repro", "x").stderr
    done = minilm("repro", "names", cwd=tmp_path)
    assert done.returncode == 1


def test_the_command_says_what_came_out(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. the dog sat on the log. " * 300, encoding="utf-8")
    done = minilm("repro", "words", "--data", text, "--share", 0.1)
    assert "validation, perplexity" in done.stdout, done.stderr
    assert "goal: <=" in done.stdout
