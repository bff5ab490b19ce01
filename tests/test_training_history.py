import csv
import dataclasses

import pytest

from minilm.training import EpochRecord, History


def record(epoch: int, valid_loss: float) -> EpochRecord:
    return EpochRecord(epoch, 10 * epoch, 1.5, valid_loss, 2.0, 1e-3, 1000.0, 0.5)


def test_the_best_epoch_has_the_lowest_validation_loss():
    history = History(10, [record(1, 2.0), record(2, 1.0), record(3, 1.5)])
    assert history.best is history.records[1]
    assert History(10).best is None


def test_csv_has_a_row_an_epoch(tmp_path):
    history = History(10, [record(1, 1 / 3), record(2, 0.25)])
    history.to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [field.name for field in dataclasses.fields(EpochRecord)]
    assert [float(row["valid_loss"]) for row in rows] == [1 / 3, 0.25]


def test_csv_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    History(10, [record(1, 2.0)]).to_csv(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        History(10, [record(1, 2.0), record(2, 1.0)]).to_csv(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["history.csv"]
