"""What Optuna and Ray Tune hear of a run."""

from __future__ import annotations

import sys

import pytest
from training_helpers import CYCLE, tiny_engine, tiny_model

from minilm.training import OptunaPruningCallback, RayReportCallback
from minilm.training.tuners import import_optuna, import_ray_tune


class Trial:
    """Takes part in no study: notes what it is told, and ends at the evaluation it is told to."""

    def __init__(self, end: int = 99) -> None:
        self.end = end
        self.reported: list[tuple[float, int]] = []

    def report(self, value: float, step: int) -> None:
        self.reported.append((value, step))

    def should_prune(self) -> bool:
        return len(self.reported) >= self.end


def test_each_evaluation_is_reported():
    optuna = pytest.importorskip("optuna")
    trial = Trial()
    engine = tiny_engine(None, OptunaPruningCallback(trial))
    history = engine.run()
    assert trial.reported == [
        (row["val_loss"], number) for number, row in enumerate(history.records, start=1)
    ]
    trial = Trial(end=2)
    engine = tiny_engine(None, OptunaPruningCallback(trial, "perplexity"))
    with pytest.raises(optuna.TrialPruned, match="evaluation 2 reached"):
        engine.run()
    assert [value for value, _ in trial.reported] == engine.history.history["val_perplexity"]
    assert engine.state.epoch == 2


def test_a_study_prunes():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        lr = (0.05, 1e-6)[trial.number]
        callbacks = [OptunaPruningCallback(trial)]
        history = tiny_model().fit(
            CYCLE[:200], CYCLE[200:300], epochs=3, lr=lr, callbacks=callbacks, verbose=0, seed=0
        )
        return history.best("val_loss")[1]

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
    study.optimize(objective, 2)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert len(study.trials[1].intermediate_values) == 1


def test_ray_hears_all_metrics_or_those_named():
    told: list[dict] = []
    callback = RayReportCallback(report=told.append)
    history = tiny_engine(None, callback, num_train_epochs=2).run()
    assert [one["val_loss"] for one in told] == history.history["val_loss"]
    assert told[-1].keys() == {"val_loss", "val_perplexity", "epoch", "step"}
    assert (told[-1]["epoch"], told[-1]["step"]) == (2, history.records[-1]["step"])

    told.clear()
    tiny_engine(None, RayReportCallback({"score": "val_loss"}, told.append)).run()
    assert told[0].keys() == {"score", "epoch", "step"}


@pytest.mark.parametrize("name", ["val_loos", "loos", "eval_loos"])
def test_what_is_not_measured_is_named(name):
    pytest.importorskip("optuna")
    message = "monitors 'loos', but the evaluation gives loss, perplexity"
    with pytest.raises(ValueError, match=f"OptunaPruningCallback {message}"):
        tiny_engine(None, OptunaPruningCallback(Trial(), name)).run()
    with pytest.raises(ValueError, match=f"RayReportCallback {message}"):
        tiny_engine(None, RayReportCallback({"x": name}, print)).run()


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "ray.tune", None)
    with pytest.raises(ImportError, match=r"needs optuna.*pip install 'minilm\[tune\]'"):
        import_optuna()
    with pytest.raises(ImportError, match=r"needs ray\.tune.*'minilm\[ray\]'"):
        import_ray_tune()
