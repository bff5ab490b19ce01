"""A run that was killed, wherever that was, goes on to the bytes of one that never was."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_helpers import COMMAND, TEXT, environment, minilm

from minilm.training import Architecture, Recipe, Settings, TrainerCallback
from minilm.training.recipe import load_recipe
from minilm.training.run import Run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")

TIMES = ("seconds", "tokens_per_second")
SETTINGS = Settings(
    epochs=2, batch_size=4, seq_len=16, accumulate=3, save_steps=4, ema=0.9, patience=5, seed=3
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Recipe:
    path = tmp_path_factory.mktemp("data") / "cats.txt"
    path.write_text(TEXT[:2000], encoding="utf-8")
    architecture = Architecture(model="gru", hidden=12, embed=6, layers=2, dropout=0.3)
    return Recipe(str(path), "char", architecture, SETTINGS)


def outcome(folder: Path) -> tuple[bytes, list[list[str]]]:
    """Return the bytes of the weights, and the history without its columns of time."""
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [[value for name, value in row.items() if name not in TIMES] for row in rows]
    return (folder / "model.safetensors").read_bytes(), kept


class Moments(TrainerCallback):
    """Counts what happens, a write to the disk or a stage of a step, and dies at one moment."""

    CALLS = ("fsync", "rename", "replace", "mkdir", "unlink")

    def __init__(self, die_at: int = 0) -> None:
        self.count, self.die_at = 0, die_at
        for name in self.CALLS:
            setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, call):
        def counted(*args, **kwargs):
            self.happens()
            return call(*args, **kwargs)

        return counted

    def happens(self, *args, **kwargs) -> None:
        self.count += 1
        if self.count == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    on_train_begin = on_substep_end = on_after_backward = on_optimizer_step = happens
    on_step_end = on_epoch_end = on_evaluate = on_log = on_train_end = happens


def run_in_child(recipe: Recipe, folder: Path, die_at: int = 0, resume: bool = False) -> int:
    """Run in a forked process; return how many moments there were, or -9 if it was killed."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            moments = Moments(die_at)
            if resume and (folder / "run.json").exists():
                recipe = load_recipe(folder)
            Run(recipe, folder, resume=resume).fit(moments)
            os.write(write_end, str(moments.count).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return -signal.SIGKILL
    assert said, "the run in the child failed"
    return int(said)


def check_moments(recipe: Recipe, tmp_path: Path, trials: int, seed: int) -> None:
    moments = run_in_child(recipe, tmp_path / "whole")
    expected = outcome(tmp_path / "whole")
    rng = random.Random(seed)
    for trial in range(trials):
        folder = tmp_path / f"cut-{trial}"
        die_at = rng.randrange(1, moments)
        assert run_in_child(recipe, folder, die_at) == -signal.SIGKILL
        # A third of them is killed again while it goes on.
        if trial % 3 == 0:
            run_in_child(recipe, folder, rng.randrange(1, moments), resume=True)
        assert run_in_child(recipe, folder, resume=True) > 0
        assert outcome(folder) == expected, f"killed at moment {die_at} of {moments}"


def test_killed_at_random_moments(recipe, tmp_path):
    check_moments(recipe, tmp_path, 8, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_very_many_moments(recipe, tmp_path):
    check_moments(recipe, tmp_path, 100, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_command_killed_at_fifty_random_times(recipe, tmp_path):
    options = "--hidden 16 --embed 8 --seq-len 16 --batch-size 4 --epochs 4 --seed 3 --dropout 0.3"
    arguments = ["--data", recipe.data, *options.split(), "--accumulate", 2, "--save-steps", 5]
    started = time.monotonic()
    minilm("train", *arguments, "--out", tmp_path / "whole")
    took = time.monotonic() - started
    expected = outcome(tmp_path / "whole")
    rng = random.Random(0)
    killed = 0
    for trial in range(50):
        folder = tmp_path / f"cut-{trial}"
        command = [*COMMAND, "train", *map(str, arguments), "--out", str(folder)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment()) as process:
            time.sleep(rng.uniform(0.1, took))
            process.kill()
        killed += process.returncode == -signal.SIGKILL
        if not (folder / "run.json").exists():  # it had not begun
            continue
        done = minilm("train", "--resume", folder)
        assert done.returncode == 0, done.stderr
        assert outcome(folder) == expected, f"trial {trial}"
    assert killed > 25
