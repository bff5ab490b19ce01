import csv
import re

import pytest

from minilm.training import History


def history(*valid_losses: float, steps: int = 2) -> History:
    """Make a history of epochs of two steps."""
    made = History(steps)
    for epoch, loss in enumerate(valid_losses, start=1):
        for _ in range(steps):
            made.add_step(1.5 / epoch, 0.5, 1e-3, 100, 0.25)
        made.add_record(epoch, steps * epoch, {"loss": loss, "accuracy": loss / 10})
    return made


def test_the_best_epoch_has_the_lowest_validation_loss():
    made = history(2.0, 1.0, 1.5)
    assert made.best() == (2, 1.0)
    assert made.best_record() is made.records[1]
    assert made.best("val_accuracy") == (1, 0.2)
    assert made.best("val_accuracy", "min") == (2, 0.1)
    assert History(10).best_record() is None


@pytest.mark.parametrize("made", [History(10), history(1.0)])
def test_what_was_not_measured_has_no_best(made):
    with pytest.raises(KeyError, match="'val_f1' was not measured; the history has"):
        made.best("val_f1")


def test_rows_and_columns():
    made = history(2.0, 1.0)
    assert made.epoch == [1, 2]
    assert made.history == {
        "epoch": [1, 2],
        "step": [2, 4],
        "loss": [1.5, 0.75],
        "val_loss": [2.0, 1.0],
        "val_accuracy": [0.2, 0.1],
        "learning_rate": [1e-3, 1e-3],
        "tokens_per_second": [400.0, 400.0],
        "seconds": [0.0, 0.0],
    }


def test_csv_has_a_row_an_epoch(tmp_path):
    history(1 / 3, 0.25).to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["epoch", "step", "loss", "val_loss"]
    assert [float(row["val_loss"]) for row in rows] == [1 / 3, 0.25]


def test_csv_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    history(2.0).to_csv(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        history(2.0, 1.0).to_csv(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["history.csv"]


def test_a_notebook_shows_curves_and_a_table():
    shown = history(2.0, 1.0)._repr_html_()
    assert shown.count("<svg") == shown.count("<table") == 1
    assert re.findall(r"<td>(\d\.\d{4})</td>", shown)[:2] == ["1.5000", "2.0000"]
    assert History(10)._repr_html_() == ""
    assert repr(history(2.0, 1.0)) == "<History: 2 rows, best val_loss 1.0000 in epoch 2>"


def test_plot_draws_both_curves():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    axes = history(2.0, 1.0).plot()
    train, valid = axes.lines
    assert train.get_xdata().tolist() == [0.25, 0.75, 1.25, 1.75]
    assert valid.get_ydata().tolist() == [2.0, 1.0]
    assert history(2.0).plot(axes) is axes


def test_it_goes_on_from_what_was_saved():
    made, other = history(2.0, 1.0), History(2)
    made.add_step(0.5, 0.1, 1e-4, 10, 0.5)
    state = made.state_dict()
    state["step_losses"] = Stored(state["step_losses"])
    other.load_state_dict(state)
    for one in (made, other):
        one.add_record(2.5, 5, {})
    assert [r.pop("seconds") >= 0 for r in other.records] == [True] * 3
    assert other.records[-1]["loss"] == 0.5
    assert other.step_losses == made.step_losses


class Stored:
    """An array as it comes out of a file: a tensor."""

    def __init__(self, array):
        self.numpy = lambda: array
