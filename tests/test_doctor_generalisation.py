import pytest
from doctor_helpers import examined, make_model, train_ids

from minilm.data import StreamLoader
from minilm.doctor import Evidence, examine
from minilm.doctor.generalisation import overfitting, underfitting, worse_than_ngrams


def rows(*losses, ngram=None):
    """Return evidence of training and validation losses, a pair an epoch."""
    return Evidence(
        records=[
            {"epoch": epoch, "loss": loss, "val_loss": val}
            for epoch, (loss, val) in enumerate(losses, start=1)
        ],
        ngram_loss=ngram,
    )


def test_a_run_that_learns_by_heart():
    few = StreamLoader(train_ids()[:1500], 8, 32)
    found = examined(make_model(hidden=64), train=few, epochs=40)["overfitting"]
    best = found.numbers["in epoch"]
    assert 5 < best < 40
    assert f"from epoch {best:g} on" in found.meaning
    assert found.numbers["gap"] > 0.5


def test_a_run_that_is_too_short():
    found = examined(make_model(), epochs=2)
    assert "underfitting" in found
    assert "worse than n-grams" in found


def test_overfitting_needs_a_rise_and_a_fall():
    assert overfitting(rows((2.0, 2.1), (1.0, 1.8), (0.5, 2.4))) is not None
    assert overfitting(rows((2.0, 2.1), (1.0, 1.8), (0.5, 1.81))) is None  # it wavers
    assert overfitting(rows((2.0, 2.1), (1.0, 1.8), (1.1, 2.4))) is None  # both rise
    assert overfitting(rows((2.0, 2.1), (1.0, 1.8))) is None
    assert overfitting(rows()) is None


def test_underfitting():
    assert underfitting(rows((2.0, 2.1), (1.5, 1.6))) is not None
    assert underfitting(rows((1.51, 1.61), (1.5, 1.6))) is None
    assert underfitting(rows((1.51, 1.61), (1.55, 1.6), ngram=1.2)) is not None
    assert underfitting(rows((1.01, 1.61), (1.0, 1.6), ngram=1.2)) is None  # there is a gap
    assert underfitting(rows((2.0, 2.1))) is None


@pytest.mark.parametrize(("ngram", "worse"), [(1.7, True), (1.9, False), (None, False)])
def test_counting_as_a_yardstick(ngram, worse):
    found = worse_than_ngrams(rows((2.0, 2.1), (1.5, 1.8), ngram=ngram))
    assert (found is not None) == worse
    if worse:
        assert found.numbers["the model is"] == "0.1000 above"


def test_a_history_alone():
    history = {"loss": [2.0, 1.0, 0.5], "val_loss": [2.1, 1.8, 2.4]}
    (found,) = examine(history=history)
    assert found.name == "overfitting"
    assert found.numbers["best validation loss"] == 1.8
    assert found.numbers["in epoch"] == 2
