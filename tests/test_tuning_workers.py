"""Trials in processes of their own, which may die."""

from __future__ import annotations

import os
from multiprocessing import active_children

import pytest

from minilm.tuning import grid, tune
from minilm.tuning.workers import Workers

pytest.importorskip("optuna")


def one_dies(values: dict) -> float:
    """Import me: a function goes to other processes by its name."""
    if values["x"] == 1:
        os._exit(3)
    return float(os.getpid() == values["parent"])


def test_a_process_that_dies_costs_nothing_but_its_trial(tmp_path):
    space = {"x": [0, 1], "parent": [os.getpid()]}
    with pytest.raises(RuntimeError, match="a process that trained has died.*start again"):
        grid(space, one_dies, tmp_path, jobs=2)
    assert not active_children()
    space["x"] = [0, 2]
    study = grid(space, one_dies, tmp_path / "other", jobs=2)
    assert [trial.loss for trial in study.trials] == [0.0, 0.0]  # neither was in this process


def test_jobs_are_at_least_one(tmp_path):
    with pytest.raises(ValueError, match="jobs must be at least 1; got 0"):
        tune({"x": [1]}, one_dies, tmp_path, jobs=0)
    with Workers(1) as workers:
        assert list(workers.outcomes(lambda task: None, [])) == []
