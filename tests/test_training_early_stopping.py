import pytest
from training_helpers import CYCLE, At, interrupt, same_weights, tiny_engine, weights

from minilm.training import EarlyStopping, EarlyStoppingCallback, TrainerCallback


class Script(TrainerCallback):
    """Gives each evaluation a value, and notes the weights of that moment."""

    def __init__(self, values: list[float], name: str = "loss") -> None:
        self.values, self.name = values, name
        self.weights: list = []

    def on_evaluate(self, args, state, control, *, metrics, model, **kwargs):
        self.weights.append(weights(model))
        metrics[f"eval_{self.name}"] = self.values[len(self.weights) - 1]


def run(values: list[float], *more, name: str = "loss", **options):
    script, stop = Script(values, name), EarlyStopping(**options)
    engine = tiny_engine(None, script, stop, *more, num_train_epochs=len(values))
    engine.run()
    return engine, script, stop


@pytest.mark.parametrize(
    ("options", "values", "epochs", "best"),
    [
        ({}, [3, 2, 2.5, 1], 3, 2),
        ({"patience": 2}, [3, 2, 2.5, 2.4, 1], 4, 2),
        ({"patience": 2}, [3, 2, 2.5, 1, 1, 1, 0], 6, 4),
        ({"min_delta": 0.5, "patience": 1}, [3, 2.6, 2], 2, 1),
        ({"mode": "max"}, [1, 2, 1], 3, 2),
        ({"monitor": "val_accuracy"}, [0.1, 0.3, 0.2, 0.9], 3, 2),
        ({"monitor": "val_loss"}, [3, 2, 2.5, 1], 3, 2),
        ({"baseline": 2.0}, [2.5, 2.6, 1], 2, 1),
        ({"baseline": 1.0, "patience": 3}, [2.5, 2.4, 2.3], 3, 3),
        ({"baseline": 2.0, "patience": 2}, [2.5, 1, 3, 3], 4, 2),
        ({"start_from_epoch": 2}, [1, 9, 3, 2, 5], 5, 4),
    ],
)
def test_it_stops_and_restores_as_keras_does(options, values, epochs, best):
    name = "accuracy" if "accuracy" in options.get("monitor", "") else "loss"
    engine, script, stop = run(values, name=name, **options)
    assert len(script.weights) == epochs
    assert stop.best_epoch == best
    assert same_weights(weights(engine.model), script.weights[best - 1])


def test_the_best_is_restored_at_the_end_of_the_last_epoch():
    engine, script, stop = run([1, 2, 3], patience=9)
    assert stop.stopped_epoch == 0
    assert same_weights(weights(engine.model), script.weights[0])


def test_the_best_is_restored_after_ctrl_c():
    engine, script, _ = run([2, 1, 3, 3], At(30, interrupt), patience=9)
    assert engine.history.interrupted
    assert same_weights(weights(engine.model), script.weights[1])


def test_the_best_is_restored_after_an_error():
    def fail(engine):
        raise RuntimeError("a callback's own")

    script, stop = Script([2, 1, 3, 3]), EarlyStopping(patience=9)
    engine = tiny_engine(None, script, stop, At(30, fail))
    with pytest.raises(RuntimeError, match="a callback's own"):
        engine.run()
    assert same_weights(weights(engine.model), script.weights[1])


def test_the_newest_weights_stay_if_wanted():
    engine, script, _ = run([1, 2], restore_best_weights=False)
    assert same_weights(weights(engine.model), script.weights[-1])


def test_it_says_what_it_does(capsys):
    run([1, 2, 3], verbose=1)
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping",
        "Restored the weights of epoch 1, the best",
    ]


def test_a_second_run_begins_anew():
    script, stop = Script([1, 5, 3, 2, 4]), EarlyStopping()
    tiny_engine(None, script, stop).run()
    tiny_engine(None, script, stop, num_train_epochs=2).run()
    assert (stop.best, stop.best_epoch) == (2, 2)


def test_what_is_not_measured_cannot_be_monitored():
    with pytest.raises(ValueError, match="monitors 'f1', but the evaluation gives loss, perplex"):
        tiny_engine(None, EarlyStopping("val_f1")).run()


def test_where_nothing_is_evaluated_it_says_so_before_the_first_step():
    with pytest.raises(ValueError, match="monitors 'loss', but nothing is evaluated"):
        tiny_engine(None, EarlyStopping(), eval_strategy="no").run()


def test_hugging_face_s_callback_looks_at_the_metric_of_the_best_model():
    script, stop = Script([5, 4, 4.5, 4.4, 4.3]), EarlyStoppingCallback(2, 0.05)
    engine = tiny_engine(None, script, stop, num_train_epochs=5)
    engine.run()
    assert engine.state.epoch == 4
    assert same_weights(weights(engine.model), script.weights[3])  # restoring was not asked for
    script, stop = Script([5, 4, 4.5, 4.4]), EarlyStoppingCallback()
    options = {"greater_is_better": True, "metric_for_best_model": "eval_loss"}
    engine = tiny_engine(None, script, stop, load_best_model_at_end=True, **options)
    engine.run()
    assert engine.state.epoch == 2
    with pytest.raises(ValueError, match="metric_for_best_model is 'f1', but the evaluation"):
        tiny_engine(None, EarlyStoppingCallback(), metric_for_best_model="f1").run()


def test_a_metric_that_nobody_asked_for_may_be_missing():
    def rename(poll):
        return {"cats_loss": 1.0}

    engine = tiny_engine(None)
    engine._validate = rename
    assert engine.run().history["val_cats_loss"] == [1.0] * 4
    engine = tiny_engine(None, load_best_model_at_end=True)
    engine._validate = rename
    with pytest.raises(ValueError, match="metric_for_best_model is 'loss', but .* eval_cats_loss"):
        engine.run()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"patience": -1}, "patience must not be negative"), ({"mode": "least"}, "mode must be")],
)
def test_wrong_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**options)


def test_load_best_model_at_end():
    script = Script([])
    script.on_evaluate = lambda args, state, control, *, model, **k: script.weights.append(
        weights(model)
    )
    # Validated on text that goes the other way round: learning makes it worse.
    engine = tiny_engine(None, script, valid=CYCLE[::-1], load_best_model_at_end=True)
    history = engine.run()
    epoch, value = history.best()
    assert epoch < 4
    assert engine.state.best_metric == value
    assert same_weights(weights(engine.model), script.weights[int(epoch) - 1])
