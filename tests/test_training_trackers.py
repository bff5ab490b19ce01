import math
import sys

import pytest
from training_helpers import tiny_engine

from minilm.training import (
    MLflowCallback,
    TensorBoardCallback,
    TrainingArguments,
    WandbCallback,
)
from minilm.training.trackers import make_trackers, numbers


class Recorder:
    """Takes part of TensorBoard's writer, of wandb and of mlflow, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple] = []

    def __getattr__(self, name):
        def tell(*args, **kwargs):
            self.told.append((name, args, kwargs))
            return self

        return tell

    def calls(self, name: str) -> list[tuple]:
        return [call for call in self.told if call[0] == name]


def told(kind, **options) -> Recorder:
    recorder = Recorder()
    tiny_engine(None, kind(recorder), num_train_epochs=1, logging_steps=5, **options).run()
    return recorder


def test_tensorboard():
    recorder = told(TensorBoardCallback)
    named = [(args[0], args[2]) for _, args, _ in recorder.calls("add_scalar")]
    assert ("train/loss", 5) in named
    assert ("eval/loss", 12) in named
    assert recorder.told[-1][0] == "close"


def test_wandb():
    recorder = told(WandbCallback, run_name="mine")
    (_, _, options) = recorder.calls("init")[0]
    assert options["name"] == "mine"
    assert options["config"]["learning_rate"] == 0.05
    steps = [options["step"] for _, _, options in recorder.calls("log")]
    assert steps == [5, 10, 12]
    assert recorder.told[-1][0] == "finish"


def test_mlflow():
    recorder = told(MLflowCallback)
    assert recorder.told[0][0] == "start_run"
    names = {args[0] for _, args, _ in recorder.calls("log_metric")}
    assert {"train/loss", "train/grad_norm", "eval/loss"} <= names
    assert recorder.told[-1][0] == "end_run"


def test_they_end_though_training_fails():
    def fail(engine):
        raise RuntimeError

    from training_helpers import At

    recorder = Recorder()
    with pytest.raises(RuntimeError):
        tiny_engine(None, MLflowCallback(recorder), At(3, fail)).run()
    assert recorder.told[-1][0] == "end_run"


def test_only_finite_numbers_are_sent():
    logs = {"loss": 1.5, "eval_loss": math.inf, "step": 3, "note": "text", "eval_f1": 1}
    assert numbers(logs) == {"train/loss": 1.5, "eval/f1": 1.0}


def test_tensorboard_s_own_writer(tmp_path):
    pytest.importorskip("tensorboardX")
    tiny_engine(None, num_train_epochs=1, output_dir=str(tmp_path), report_to="tensorboard").run()
    assert list((tmp_path / "runs").glob("events*"))


@pytest.mark.parametrize("name", ["wandb", "mlflow", "tensorboardX"])
def test_what_is_not_installed_is_said(monkeypatch, name):
    for module in (name, "tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, module, None)
    report_to = "tensorboard" if name == "tensorboardX" else name
    with pytest.raises(ImportError, match=f"pip install {name}"):
        tiny_engine(None, report_to=report_to).run()


def test_names():
    assert make_trackers(TrainingArguments(report_to="none")) == []
    assert isinstance(make_trackers(TrainingArguments(report_to=["wandb"]))[0], WandbCallback)
    with pytest.raises(ValueError, match="'tensorbord'; did you mean 'tensorboard'"):
        make_trackers(TrainingArguments(report_to="tensorbord"))
