"""All that a run needs to go on as if nothing had happened, but for the model's weights."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from minilm.random import get_rng_state, set_rng_state
from minilm.tensor import Tensor

if TYPE_CHECKING:
    from minilm.training.engine import Engine


def take_snapshot(engine: Engine) -> dict[str, Any]:
    """Return what `load_snapshot` takes: what :func:`minilm.save` can hold.

    Parameters
    ----------
    engine : Engine
        Between two steps.
    """
    return {
        "state": engine.state.to_dict(),
        "optimizer": engine.optimizer.state_dict(),
        "scheduler": None if engine.scheduler is None else engine.scheduler.state_dict(),
        "loader": engine.loader.state_dict(),
        "average": None if engine.average is None else engine.average.state_dict(),
        "carried": engine.carried,
        "in_pass": engine.in_pass,
        "passes": engine.passes,
        "pass_steps": engine.pass_steps,
        "ended_at": engine.ended_at,
        "control": vars(engine.control),
        "callbacks": engine.callbacks.state_dict(),
        "history": engine.history.state_dict(),
        "random": _random_state(),
    }


def load_snapshot(engine: Engine, snapshot: dict[str, Any]) -> None:
    """Put an engine where another one, with the same settings, took a snapshot.

    Parameters
    ----------
    engine : Engine
        Not run yet; its model has the weights of that moment.
    snapshot : dict
        From `take_snapshot`.

    Raises
    ------
    KeyError, ValueError
        If it is the snapshot of another kind of run.
    """
    state = engine.state
    length = {"max_steps": state.max_steps, "num_train_epochs": state.num_train_epochs}
    vars(state).update({**snapshot["state"], **length})
    engine.optimizer.load_state_dict(snapshot["optimizer"])
    if engine.scheduler is not None:
        engine.scheduler.load_state_dict(snapshot["scheduler"])
    engine.loader.load_state_dict(snapshot["loader"])
    if engine.average is not None:
        engine.average.load_state_dict(snapshot["average"])
    engine.carried = snapshot["carried"]
    for name in ("in_pass", "passes", "pass_steps", "ended_at"):
        setattr(engine, name, snapshot[name])
    vars(engine.control).update(snapshot["control"], should_training_stop=False)
    engine.callbacks.load_state_dict(snapshot["callbacks"])
    engine.history.load_state_dict(snapshot["history"])
    _set_random_state(snapshot["random"])  # last: the others may have drawn


@contextmanager
def random_streams_kept() -> Iterator[None]:
    """Put all streams back, after the block, to where they stood before it."""
    state = _random_state()
    try:
        yield
    finally:
        _set_random_state(state)


def _random_state() -> dict[str, Any]:
    """Return where all streams stand: ours, and those that a user's own code may draw from."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "minilm": get_rng_state(),
        "python": random.getstate(),
        "numpy": {
            "bit_generator": name,
            "state": {"key": np.asarray(keys), "pos": position},
            "has_gauss": has_gauss,
            "gauss": gauss,
        },
    }


def _set_random_state(state: dict[str, Any]) -> None:
    set_rng_state(state["minilm"])
    random.setstate(state["python"])
    np.random.set_state(_plain(state["numpy"]))


def _plain(value: Any) -> Any:
    """Return NumPy arrays in place of tensors."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value.numpy() if isinstance(value, Tensor) else value
