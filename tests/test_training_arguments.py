import dataclasses
import json

import pytest

from minilm.training import TrainingArguments


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_train_epochs": 0}, "num_train_epochs must be above 0"),
        ({"num_train_epochs": float("nan")}, "num_train_epochs must be above 0"),
        ({"per_device_train_batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be at least 0; got nan"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps must be at least 1"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\); got 1.0"),
        ({"label_smoothing_factor": -0.1}, "label_smoothing_factor must be in"),
        ({"optim": "adamv"}, "optim must be one of .*'adamv'; did you mean 'adam"),
        ({"eval_strategy": "epochs"}, "eval_strategy .*did you mean 'epoch'"),
        ({"save_strategy": "always"}, "save_strategy must be one of 'no', 'steps', 'epoch'"),
        ({"save_total_limit": 0}, "save_total_limit must be at least 1"),
        ({"fp16": True}, "fp16=True is not supported"),
        ({"lr_scheduler_type": "cosin"}, "did you mean 'cosine'"),
    ],
)
def test_values_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        TrainingArguments(**values)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="no 'warmup_step'; did you mean 'warmup_steps'?"):
        TrainingArguments.from_dict({"warmup_step": 3})
    with pytest.raises(TypeError, match="no 'warmup_step'; did you mean 'warmup_steps'?"):
        TrainingArguments(warmup_step=3)
    with pytest.raises(ValueError, match="no 'zzz'; it knows output_dir, num_train_epochs"):
        TrainingArguments.from_dict({"zzz": 3})


def test_they_survive_json():
    args = TrainingArguments(output_dir="a", lr_scheduler_kwargs={"min_lr_rate": 0.1})
    assert TrainingArguments.from_dict(json.loads(json.dumps(args.to_dict()))) == args


def test_hugging_face_s_name_of_adamw():
    assert TrainingArguments(optim="adamw_torch").optim == "adamw"


def test_names_and_defaults_are_hugging_face_s():
    """All but those that are ours alone; see the class's documentation."""
    transformers = pytest.importorskip("transformers")
    theirs = {
        one.name: one.default
        for one in dataclasses.fields(transformers.TrainingArguments)
        if one.default is not dataclasses.MISSING
    }
    ours = {one.name: one.default for one in dataclasses.fields(TrainingArguments)}
    assert set(ours) - set(theirs) == {"momentum", "ema_decay"}
    differing = {name for name in ours if name in theirs and ours[name] != theirs[name]}
    # gradient_checkpointing: None there since 5.24, where it is an alias, and False before
    renamed = {"gradient_checkpointing"}
    assert differing <= {"optim", "lr_scheduler_kwargs", "lr_scheduler_type"} | renamed
