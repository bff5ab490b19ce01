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
    return values["x"]


def test_a_process_that_dies_costs_nothing_but_its_trial(tmp_path):
    space = {"x": [0, 1]}
    with pytest.raises(RuntimeError, match="a process that trained has died.*start again"):
        grid(space, one_dies, tmp_path, jobs=2)
    assert not active_children()
    told: list[dict] = []

    def one_lives(values: dict) -> float:
        told.append(values)
        return values["x"]

    one_lives.__qualname__ = "one_dies"  # the journal knows a function by its name
    study = grid(space, one_lives, tmp_path)
    assert [trial.state for trial in study.trials] == ["complete"] * 2
    assert {"x": 1} in told


def test_jobs_are_at_least_one(tmp_path):
    with pytest.raises(ValueError, match="jobs must be at least 1; got 0"):
        tune({"x": [1]}, one_dies, tmp_path, jobs=0)
    with Workers(1) as workers:
        assert list(workers.outcomes(lambda task: None, [])) == []
