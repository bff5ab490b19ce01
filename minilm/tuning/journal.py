"""The record of a search: an Optuna study in one SQLite file, written by one process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minilm.training.tuners import import_optuna
from minilm.tuning.objectives import Outcome
from minilm.tuning.space import Choices, Space
from minilm.tuning.study import COMPLETE, FAILED, PRUNED, RUNNING, TrialResult

JOURNAL = "tuning.db"
IDENTITY = "search"  # what the search is of, among the study's attributes


class Journal:
    """Trials as they were drawn, how they did epoch by epoch, and what became of them.

    Everything is written when it is known, so a search goes on from here however it ended. Other
    tools that read Optuna's studies, its dashboard for one, read this one too.

    Parameters
    ----------
    folder : Path
        Where ``tuning.db`` is, or will be; exists already.
    identity : mapping
        What must be the same when a search goes on: names and what JSON can hold.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    ValueError
        If the journal there is of another search (the message says what differs), or damaged.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._optuna = import_optuna()
        path = folder / JOURNAL
        try:
            with self._quiet():
                self._study = self._optuna.create_study(
                    storage=f"sqlite:///{path.resolve().as_posix()}",
                    study_name="minilm",
                    sampler=self._optuna.samplers.RandomSampler(),
                    load_if_exists=True,
                )
                saved = self._study.user_attrs.get(IDENTITY)
        except Exception as error:  # of SQLAlchemy, Alembic or Optuna, as the damage has it
            first = str(error).partition("\n")[0]
            raise ValueError(f"{path} is no journal of a search: {first}") from None
        ours = json.loads(json.dumps(identity))  # as it is read back
        if saved is None:
            self._study.set_user_attr(IDENTITY, ours)
        elif saved != ours:
            raise ValueError(_differences(path, saved, ours))

    def __len__(self) -> int:
        return len(self._study.get_trials(deepcopy=False))

    def trials(self) -> list[TrialResult]:
        """Return all trials, in the order of their numbers."""
        states = self._optuna.trial.TrialState
        names = {
            states.COMPLETE: COMPLETE,
            states.PRUNED: PRUNED,
            states.FAIL: FAILED,
            states.RUNNING: RUNNING,
        }
        return [
            TrialResult(
                trial.number,
                names[trial.state],
                _loss(trial),
                dict(sorted(trial.params.items())),
                max(trial.intermediate_values, default=0),
                trial.user_attrs.get("seconds", 0.0),
                trial.user_attrs.get("error", ""),
            )
            for trial in self._study.get_trials(deepcopy=False)
        ]

    def losses(self, epoch: int) -> dict[int, float]:
        """Return, for the number of each trial that was there, its best loss up to an epoch."""
        return {
            trial.number: min(v for e, v in trial.intermediate_values.items() if e <= epoch)
            for trial in self._study.get_trials(deepcopy=False)
            if epoch in trial.intermediate_values
        }

    # --- writing ----------------------------------------------------------------------------------

    def draw(self, number: int, space: Space, method: str, seed: int) -> None:
        """Add the next trial.

        Its values depend on the space, the method, the seed and its number alone; with "tpe" also
        on what came of the trials before.

        Parameters
        ----------
        number : int
            The trial's, which is how many there are.
        space : Space
        method : {"random", "halving", "grid", "tpe"}
            "halving" draws as "random" does.
        seed : int
            Of the search.
        """
        study = self._study
        neutral = study.sampler
        study.sampler = self._sampler(space, method, seed, number)
        try:
            with self._quiet():
                study.ask(self._distributions(space, method))
        finally:
            study.sampler = neutral  # the grid's would end the study of its own accord

    def report(self, number: int, outcome: Outcome) -> None:
        """Note what a stretch of a trial measured, and the trial's end if it came."""
        drawn = self._study.get_trials(deepcopy=False)[number]
        trial = self._optuna.trial.Trial(self._study, drawn._trial_id)  # whoever drew it
        for epoch, loss in outcome.losses.items():
            if epoch not in drawn.intermediate_values:
                trial.report(loss, epoch)
        trial.set_user_attr("seconds", outcome.seconds)
        if outcome.error:
            trial.set_user_attr("error", outcome.error)
            self._study.tell(number, state=self._optuna.trial.TrialState.FAIL)
        elif outcome.value is not None:
            self._study.tell(number, outcome.value)

    def prune(self, number: int) -> None:
        """End a trial that does not go on."""
        self._study.tell(number, state=self._optuna.trial.TrialState.PRUNED)

    # --- drawing ----------------------------------------------------------------------------------

    def _sampler(self, space: Space, method: str, seed: int, number: int) -> Any:
        samplers = self._optuna.samplers
        if method == "grid":
            return samplers.GridSampler(space.grid(), seed=seed)
        own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        if method == "tpe":
            return samplers.TPESampler(seed=own, n_startup_trials=STARTUP, multivariate=False)
        return samplers.RandomSampler(seed=own)

    def _distributions(self, space: Space, method: str) -> dict[str, Any]:
        kinds = self._optuna.distributions
        found: dict[str, Any] = {}
        for name, one in space.parameters.items():
            if method == "grid" or isinstance(one, Choices):
                found[name] = kinds.CategoricalDistribution(one.values)
            elif one.whole:
                found[name] = kinds.IntDistribution(one.low, one.high, one.log, one.step or 1)
            else:
                found[name] = kinds.FloatDistribution(one.low, one.high, one.log, one.step)
        return found

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Keep Optuna from saying what we say."""
        logging = self._optuna.logging
        level = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)
        try:
            yield
        finally:
            logging.set_verbosity(level)


STARTUP = 8  # trials that "tpe" draws at random, before it has something to learn from


def _loss(trial: Any) -> float | None:
    values: list[float] = list(trial.intermediate_values.values())
    value: float | None = trial.value
    return min(values, default=value)


def _differences(path: Path, saved: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    differing = [
        f"{name} is {json.dumps(ours.get(name))}, was {json.dumps(saved.get(name))}"
        for name in dict.fromkeys([*ours, *saved])
        if ours.get(name) != saved.get(name)
    ]
    return (
        f"{path} is of another search: {'; '.join(differing)}. A search goes on with what it began "
        "with (more trials may be asked for); begin another in a new folder"
    )
