"""A run that was cut short and went on ends with the bytes of one that never was."""

import numpy as np
import pytest
from training_helpers import CYCLE, At, Bigram, interrupt, tiny_model, weights

import minilm
from minilm.data import DataLoader, StreamLoader, TokenDataset
from minilm.models import GPT2Config, GPT2LMHeadModel
from minilm.random import Generator
from minilm.training import (
    CheckpointError,
    CheckpointFolder,
    EarlyStopping,
    TrainerCallback,
    TrainingArguments,
)
from minilm.training.build import build_engine
from minilm.training.identity import identity_of
from minilm.training.validation import make_validate

TIMES = ("seconds", "tokens_per_second")

SETTINGS = {
    "plain": {},
    "accumulated": {"gradient_accumulation_steps": 5},
    "scheduled": {"lr_scheduler_type": "one_cycle"},
    "on a plateau": {"lr_scheduler_type": "reduce_lr_on_plateau"},
    "averaged": {"ema_decay": 0.9},
    "momentum": {"optim": "sgd", "momentum": 0.9},
    "best kept": {"load_best_model_at_end": True, "save_strategy": "best"},
    "evaluated often": {"eval_strategy": "steps", "eval_steps": 5, "logging_steps": 3},
    "smoothed": {"label_smoothing_factor": 0.1, "max_grad_norm": 0.1},
}


def engine_of(folder, model=None, resume=False, loader=None, callbacks=(), **settings):
    model = model or tiny_model(dropout=0.3)
    args = TrainingArguments(
        **{
            "output_dir": str(folder),
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 0.02,
            "eval_strategy": "epoch",
            "resume_from_checkpoint": resume,
            **settings,
        }
    )
    loader = loader or StreamLoader(CYCLE[:500], 4, 10, seed=3)
    return build_engine(
        model, loader, args, validate=make_validate(model, CYCLE[500:], args), callbacks=callbacks
    )


def outcome(engine) -> dict:
    """Return all that must be the same."""
    rows = [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in engine.history.records
    ]
    return {
        "weights": {name: array.tobytes() for name, array in weights(engine.model).items()},
        "losses": engine.history.step_losses,
        "rows": rows,
        "log": engine.state.log_history,
    }


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("cut", [1, 7, 12, 13])
def test_cut_by_ctrl_c_after_any_step(tmp_path, settings, cut):
    whole = engine_of(tmp_path / "whole", **settings)
    whole.run()
    cut = min(cut, whole.state.max_steps - 1)
    first = engine_of(tmp_path / "cut", callbacks=[At(cut, interrupt)], **settings)
    assert first.run().interrupted
    minilm.manual_seed(99)  # whatever was drawn in between
    second = engine_of(tmp_path / "cut", resume=True, **settings)
    second.run()
    assert outcome(second) == outcome(whole)


def test_cut_twice(tmp_path):
    whole = engine_of(tmp_path / "whole")
    whole.run()
    for step in (5, 15):
        engine_of(tmp_path / "cut", resume=True, callbacks=[At(step, interrupt)]).run()
    second = engine_of(tmp_path / "cut", resume=True)
    second.run()
    assert outcome(second) == outcome(whole)


@pytest.mark.parametrize("window", [0, 1])
@pytest.mark.parametrize("strategy", ["steps", "epoch"])
def test_cut_in_the_midst_of_an_evaluation(tmp_path, window, strategy):
    settings = {"eval_strategy": strategy, "eval_steps": 5, "save_steps": 5}
    whole = engine_of(tmp_path / "whole", **settings)
    whole.run()

    first = engine_of(tmp_path / "cut", **settings)
    validate, polls = first._validate, []

    def cut_short(poll):
        def polled():
            polls.append(1)
            if len(polls) == window + 1:
                raise KeyboardInterrupt
            poll()

        return validate(polled)

    first._validate = cut_short
    assert first.run().interrupted
    second = engine_of(tmp_path / "cut", resume=True, **settings)
    second.run()
    assert outcome(second) == outcome(whole)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("cut", [3, 8, 9, 11])
def test_a_data_loader_goes_on_in_the_midst_of_its_pass(tmp_path, cut, shared):
    """The order is drawn from the default stream, as dropout is, or from one of its own."""

    def loader():
        generator = None if shared else Generator(5)
        return DataLoader(
            TokenDataset(CYCLE[:100], 10, stride=5), 2, shuffle=True, generator=generator
        )

    def run(name, *callbacks, resume=False):
        model = tiny_model(dropout=0.3)
        minilm.manual_seed(1)
        engine = engine_of(tmp_path / name, model, resume, loader(), callbacks)
        engine.run()
        return engine

    whole = run("whole")
    run("cut", At(cut, interrupt))
    assert outcome(run("cut", resume=True)) == outcome(whole)


def test_early_stopping_remembers(tmp_path):
    """It compares with what was best before, counts on, and restores weights kept before."""

    def run(name, *callbacks, resume=False):
        stop = EarlyStopping(patience=2)
        engine = engine_of(
            tmp_path / name,
            None,
            resume,
            callbacks=[Worse(), stop, *callbacks],
            num_train_epochs=9,
            save_strategy="epoch",
        )
        engine.run()
        return engine, stop

    class Worse(TrainerCallback):
        """From the second epoch on, the evaluation is made to look worse and worse."""

        def on_evaluate(self, args, state, control, *, metrics, **kwargs):
            metrics["eval_loss"] = abs(state.epoch - 2)

    whole, stop = run("whole")
    assert (stop.best_epoch, stop.stopped_epoch) == (2, 4)
    run("cut", At(30, interrupt))
    cut, stopped = run("cut", resume=True)
    assert (stopped.best_epoch, stopped.stopped_epoch) == (2, 4)
    assert outcome(cut) == outcome(whole)
    again, _ = run("cut", resume=True)  # it had stopped, and stays so
    assert outcome(again) == outcome(whole)


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    whole = engine_of(tmp_path)
    whole.run()
    again = engine_of(tmp_path, resume=True)
    again.run()
    assert outcome(again) == outcome(whole)


def test_a_longer_run_goes_on_from_a_finished_one(tmp_path):
    engine_of(tmp_path, lr_scheduler_type="constant").run()
    longer = engine_of(tmp_path, resume=True, lr_scheduler_type="constant", num_train_epochs=3)
    assert len(longer.run().step_losses) == 36


def test_without_a_checkpoint_a_run_begins_anew(tmp_path):
    said = []
    args = TrainingArguments(output_dir=str(tmp_path), resume_from_checkpoint=True, max_steps=2)
    loader = StreamLoader(CYCLE, 4, 10)
    build_engine(tiny_model(), loader, args, say=said.append).run()
    assert said == [f"{tmp_path} has no checkpoint: the run begins anew"]
    args = TrainingArguments(output_dir=str(tmp_path / "b"), resume_from_checkpoint=True)
    with pytest.warns(UserWarning, match="has no checkpoint: the run begins anew"):
        build_engine(tiny_model(), loader, args)


def test_a_folder_that_was_used_before_gives_back_the_last_run(tmp_path):
    """Its checkpoints reach further than those of the run that was cut."""
    settings = {"lr_scheduler_type": "constant", "save_strategy": "steps", "save_steps": 1}
    engine_of(tmp_path, num_train_epochs=3, **settings).run()
    cut = engine_of(tmp_path, callbacks=[At(5, interrupt)], learning_rate=0.02, **settings)
    cut.run()
    again = engine_of(tmp_path, resume=True, learning_rate=0.02, **settings)
    assert again.state.global_step == 5
    again.run()
    whole = engine_of(tmp_path / "whole", learning_rate=0.02, **settings)
    whole.run()
    assert outcome(again) == outcome(whole)
    assert (tmp_path / "checkpoint-36").is_dir()  # nobody's work is removed unasked


def test_a_run_killed_before_its_first_checkpoint_does_not_become_an_earlier_one(tmp_path):
    engine_of(tmp_path).run()
    CheckpointFolder(tmp_path).begin()
    with pytest.warns(UserWarning, match="no checkpoint: the run begins anew"):
        again = engine_of(tmp_path, resume=True)
    assert again.state.global_step == 0


@pytest.mark.parametrize(
    "model",
    [
        GPT2LMHeadModel(GPT2Config(vocab_size=5, n_positions=16, n_embd=8, n_layer=1, n_head=2)),
        tiny_model(),
        Bigram(),
    ],
)
def test_a_model_that_was_in_a_folder_is_the_same_architecture(model, tmp_path):
    def identity(model):
        loader, args = StreamLoader(CYCLE, 4, 10), TrainingArguments()
        return identity_of(model, loader, None, None, args)["architecture"]

    before = identity(model)
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(tmp_path)
        model = type(model).from_pretrained(tmp_path)
    assert identity(model) == before


def test_dropout_is_part_of_the_architecture(tmp_path):
    engine_of(tmp_path, model=tiny_model(dropout=0.1)).run()
    with pytest.raises(CheckpointError, match="architecture: dropout is 0.3, was 0.1"):
        engine_of(tmp_path, model=tiny_model(dropout=0.3), resume=True)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"loader": StreamLoader(CYCLE[:480], 4, 10, seed=3)}, ["data is"]),
        (
            {"model": Bigram()},
            ['architecture: class is "Bigram", was "RNNModel"', "architecture: table"],
        ),
        ({"gradient_accumulation_steps": 2}, ["gradient_accumulation_steps is 2, was 1"]),
        ({"optim": "sgd"}, ["optimizer is", "SGD", "AdamW"]),
        ({"loader": StreamLoader(CYCLE[:500], 4, 5, seed=3)}, ["loader: bptt is 5, was 10"]),
    ],
)
def test_another_run_is_told_apart(tmp_path, change, parts):
    engine_of(tmp_path, callbacks=[At(3, interrupt)]).run()
    with pytest.raises(CheckpointError, match="is of another run") as error:
        engine_of(tmp_path, resume=True, **change)
    for part in parts:
        assert part in str(error.value)


def test_the_folder_s_files_are_those_of_the_run_that_never_stopped(tmp_path):
    def lines(name, file):
        text = (tmp_path / name / file).read_text("utf-8")
        if file.endswith("csv"):
            header, *rows = (line.split(",") for line in text.splitlines())
            keep = [i for i, column in enumerate(header) if column not in TIMES]
            return [[row[i] for i in keep] for row in (header, *rows)]
        return text

    engine_of(tmp_path / "whole", logging_steps=2).run()
    engine_of(tmp_path / "cut", logging_steps=2, callbacks=[At(7, interrupt)]).run()
    with open(tmp_path / "cut" / "log.jsonl", "a", encoding="utf-8") as file:
        file.write('{"loss": 1.0, "step": 8}\n{"lo')  # a crash after the checkpoint
    engine_of(tmp_path / "cut", resume=True, logging_steps=2).run()
    for file in ("history.csv", "log.jsonl"):
        assert lines("cut", file) == lines("whole", file)


def test_a_user_s_own_draws_go_on(tmp_path):
    """Python's and NumPy's global streams are part of a checkpoint, too."""
    import random

    class Draw(TrainerCallback):
        def __init__(self):
            self.drawn = []

        def on_step_end(self, args, state, control, **kwargs):
            self.drawn.append((state.global_step, random.random(), np.random.rand()))

    def run(name, *callbacks, resume=False):
        random.seed(1)
        np.random.seed(1)
        draw = Draw()
        engine_of(tmp_path / name, resume=resume, callbacks=[draw, *callbacks]).run()
        return draw.drawn

    whole = run("whole")
    assert run("cut", At(9, interrupt)) + run("cut", resume=True) == whole
