import json
import math

import numpy as np
import pytest
from training_helpers import CYCLE, At, Bigram, interrupt, same_weights, tiny_model, weights

import minilm
from minilm import nn, optim
from minilm.data import StreamLoader, TokenDataset
from minilm.lock import FolderInUseError, FolderLock
from minilm.models import from_pretrained
from minilm.optim.lr_scheduler import StepLR
from minilm.training import (
    CheckpointError,
    EarlyStopping,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    evaluate,
)

TRAIN = TokenDataset(CYCLE[:300], 10, stride=5)
VALID = TokenDataset(CYCLE[300:400], 10, stride=10)


class ByName(nn.Module):
    """Takes its inputs by name and labels that it shifts, as Hugging Face's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 5)

    def forward(self, input_ids, attention_mask=None, labels=None):
        class Output:
            logits = self.table(input_ids)
            loss = None

        if labels is not None:
            targets = minilm.tensor(np.asarray(labels))[:, 1:]
            scores = Output.logits[:, :-1].transpose(1, 2)
            Output.loss = nn.functional.cross_entropy(scores, targets)
        return Output


def by_name(count: int = 24, length: int = 10, ignored: int = 0) -> list[dict]:
    samples = []
    for start in range(count):
        ids = CYCLE[start : start + length].copy()
        labels = ids.copy()
        labels[:ignored] = -100
        samples.append({"input_ids": ids, "labels": labels})
    return samples


def trainer(model=None, train=TRAIN, valid=VALID, more=None, **arguments) -> Trainer:
    arguments = {"learning_rate": 0.05, "disable_tqdm": True, **arguments}
    return Trainer(
        model or tiny_model(),
        TrainingArguments(**arguments),
        train_dataset=train,
        eval_dataset=valid,
        **(more or {}),
    )


def test_it_trains_and_says_what_hugging_face_s_says():
    one = trainer(num_train_epochs=4, logging_steps=10)
    before = one.evaluate()["eval_loss"]
    output = one.train()
    assert output.global_step == one.state.global_step == 4 * 8  # 59 windows, 8 a batch
    assert set(output.metrics) == {
        "train_runtime",
        "train_samples_per_second",
        "train_steps_per_second",
        "train_loss",
        "epoch",
    }
    assert output.training_loss == pytest.approx(np.mean(one.history.step_losses))
    assert one.evaluate()["eval_loss"] < 0.5 * before
    steps = [entry["step"] for entry in one.state.log_history if "grad_norm" in entry]
    assert steps == [10, 20, 30]
    rates = [entry["learning_rate"] for entry in one.state.log_history if "grad_norm" in entry]
    assert rates == pytest.approx([0.05 * (1 - k / 32) for k in (9, 19, 29)])  # linear, to 0


@pytest.mark.parametrize("batches", [1, 3])
def test_samples_of_all_batches_of_a_step_are_counted(batches):
    metrics = trainer(max_steps=2, gradient_accumulation_steps=batches).train().metrics
    samples, steps = (metrics[f"train_{unit}_per_second"] for unit in ("samples", "steps"))
    assert samples == pytest.approx(8 * batches * steps)


def test_evaluation_weighs_every_target_the_same():
    one = trainer(ByName(), by_name(ignored=3), by_name(5, ignored=4))
    metrics = one.evaluate()
    expected = evaluate(one.model, by_name(5, ignored=4)).loss
    assert metrics["eval_loss"] == pytest.approx(expected)
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(expected))
    assert metrics["eval_runtime"] > 0


def test_samples_by_name():
    one = trainer(ByName(), by_name(), by_name(), num_train_epochs=20, learning_rate=0.3)
    one.train()
    assert one.evaluate()["eval_loss"] < 0.1


def test_labels_that_do_not_count_change_nothing():
    """Those that are -100, and the first of each sequence, which nothing predicts."""

    def trained(samples):
        minilm.manual_seed(0)
        one = trainer(ByName(), samples, max_steps=2, gradient_accumulation_steps=3)
        one.train()
        return weights(one.model)

    other = by_name(ignored=4)
    for sample in other:
        sample["labels"][0] = 3
    assert same_weights(trained(by_name(ignored=4)), trained(other))


def test_label_smoothing_of_labels_by_name():
    minilm.manual_seed(0)
    model = ByName()
    one = trainer(model, by_name(8), max_steps=1, label_smoothing_factor=0.1)
    ids = np.stack([sample["input_ids"] for sample in by_name(8)])
    scores = model(ids).logits[:, :-1].transpose(1, 2)
    expected = nn.functional.cross_entropy(scores, ids[:, 1:], label_smoothing=0.1).item()
    assert one.train().training_loss == pytest.approx(expected, rel=1e-5)


def test_a_collator_joins_samples():
    def pad(samples):
        length = max(len(sample["input_ids"]) for sample in samples)
        ids = np.zeros((len(samples), length), np.int64)
        labels = np.full((len(samples), length), -100)
        for row, sample in enumerate(samples):
            ids[row, : len(sample["input_ids"])] = sample["input_ids"]
            labels[row, : len(sample["input_ids"])] = sample["input_ids"]
        return {"input_ids": ids, "labels": labels}

    samples = [{"input_ids": CYCLE[: 3 + k % 7]} for k in range(30)]
    one = trainer(
        ByName(), samples, samples, {"data_collator": pad}, num_train_epochs=20, learning_rate=0.3
    )
    one.train()
    assert one.evaluate()["eval_loss"] < 0.1


def test_metrics_of_one_s_own():
    def accuracy(prediction):
        right = prediction.predictions.argmax(-1)[:, :-1] == prediction.label_ids[:, 1:]
        return {"accuracy": right.mean()}

    one = trainer(
        ByName(),
        by_name(),
        by_name(7),
        {"compute_metrics": accuracy},
        num_train_epochs=20,
        learning_rate=0.3,
        eval_strategy="epoch",
        metric_for_best_model="accuracy",
    )
    one.train()
    assert one.evaluate()["eval_accuracy"] == 1
    assert one.history.best("val_accuracy")[1] == one.state.best_metric == 1
    output = one.predict(by_name(7))
    assert output.predictions.shape == (7, 10, 5)
    assert output.metrics == {"test_accuracy": 1}


def test_metrics_of_a_text_s_ids_and_a_plateau_by_them():
    def rising(found):
        assert found.predictions.shape[:2] == found.label_ids.shape
        seen.append(len(seen))
        return {"f1": seen[-1]}

    seen: list[int] = []
    more = {"lr_scheduler_type": "reduce_lr_on_plateau", "metric_for_best_model": "f1"}
    kwargs = {"lr_scheduler_kwargs": {"mode": "max", "patience": 0}, "learning_rate": 1e-9}
    one = trainer(
        valid=CYCLE[500:],
        more={"compute_metrics": rising},
        eval_strategy="epoch",
        num_train_epochs=4,
        **more,
        **kwargs,
    )
    one.train()
    assert len(seen) == 4
    assert one.history.history["learning_rate"] == [1e-9] * 4
    assert one.predict(CYCLE[500:]).label_ids.ndim == 2


def test_predictions_of_pairs_and_of_other_lengths():
    one = trainer()
    output = one.predict(TRAIN)
    assert output.predictions.shape == (len(TRAIN), 10, 5)
    samples = [{"input_ids": CYCLE[:k]} for k in (3, 5)]
    alone = trainer(ByName(), by_name(), per_device_eval_batch_size=1).predict(samples)
    assert alone.predictions.shape == (2, 5, 5)
    assert alone.label_ids.tolist() == [-100, -100]
    with pytest.raises(ValueError, match="the data set is empty"):
        one.predict([])


def test_several_sets_to_evaluate_on():
    one = trainer(valid={"near": VALID, "far": TRAIN}, eval_strategy="epoch", num_train_epochs=1)
    one.train()
    one.args.load_best_model_at_end = True
    with pytest.raises(ValueError, match="metric_for_best_model is 'loss'.*eval_near_loss"):
        one.train()
    one.args.metric_for_best_model = "near_loss"
    one.train()
    assert {"eval_near_loss", "eval_far_loss"} <= set(one.evaluate())


def test_optimizers_of_one_s_own():
    model = tiny_model()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    more = {"optimizers": (optimizer, StepLR(optimizer, 3, gamma=0.5))}
    trainer(model, more=more, max_steps=7).train()
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_a_stream_is_taken_as_it_is():
    one = trainer(train=StreamLoader(CYCLE, 4, 10), num_train_epochs=3)
    assert one.train().global_step == 3 * (599 // 10 // 4)


def test_callbacks_come_and_go():
    class Count(TrainerCallback):
        def __init__(self):
            self.steps = 0

        def on_step_end(self, args, state, control, **kwargs):
            self.steps += 1

    count = Count()
    one = trainer(more={"callbacks": [count]}, max_steps=2)
    one.add_callback(EarlyStopping)
    assert isinstance(one.pop_callback(EarlyStopping), EarlyStopping)
    assert one.pop_callback(EarlyStopping) is None
    one.train()
    one.remove_callback(count)
    one.train()
    assert count.steps == 2


def test_it_goes_on_exactly(tmp_path):
    def run(name, *callbacks, resume=None):
        one = trainer(
            tiny_model(dropout=0.4),
            more={"callbacks": callbacks},
            output_dir=tmp_path / name,
            num_train_epochs=2,
            eval_strategy="epoch",
        )
        one.train(resume_from_checkpoint=resume)
        return one

    whole = run("whole")
    assert run("cut", At(5, interrupt)).history.interrupted
    cut = run("cut", resume=True)
    assert same_weights(weights(cut.model), weights(whole.model))
    assert cut.history.step_losses == whole.history.step_losses
    named = run("cut", resume=str(tmp_path / "cut" / "checkpoint-5"))
    assert same_weights(weights(named.model), weights(whole.model))
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        run("cut", resume=str(tmp_path / "cut" / "checkpoint-99"))


def test_two_runs_do_not_write_into_one_folder(tmp_path):
    one = trainer(output_dir=tmp_path, max_steps=1)
    with FolderLock(tmp_path), pytest.raises(FolderInUseError, match="another run"):
        one.train()
    one.train()


@pytest.mark.parametrize("model", [tiny_model(), Bigram()])
def test_save_model(tmp_path, model):
    one = trainer(model, output_dir=tmp_path / "a")
    one.save_model()
    one.save_model(tmp_path / "b")
    for name in "ab":
        saved = minilm.load(tmp_path / name / "model.safetensors")
        assert same_weights({k: t.numpy() for k, t in saved.items()}, weights(model))
    if not isinstance(model, Bigram):
        assert same_weights(weights(from_pretrained(tmp_path / "a")), weights(model))


def test_model_init():
    one = Trainer(
        args=TrainingArguments(max_steps=1, disable_tqdm=True),
        model_init=tiny_model,
        train_dataset=TRAIN,
    )
    assert one.train().global_step == 1


class Columns(list):
    """As much of Hugging Face's ``Dataset`` as the trainer looks at."""

    @property
    def column_names(self):
        return list(self[0])

    def remove_columns(self, names):
        return Columns({k: v for k, v in sample.items() if k not in names} for sample in self)


def test_columns_that_the_model_does_not_take_are_left_out():
    samples = Columns({**sample, "text": "abc", "length": 10} for sample in by_name())
    trainer(ByName(), samples, samples, max_steps=1).train()
    with pytest.raises(ValueError, match="has the columns text, but ByName's forward takes"):
        trainer(ByName(), Columns([{"text": "abc"}]), max_steps=1).train()
    with pytest.raises(TypeError, match="length"):
        trainer(ByName(), samples, max_steps=1, remove_unused_columns=False).train()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Trainer(), "takes a model, or model_init"),
        (lambda: trainer(train=None).train(), "training requires a train_dataset"),
        (lambda: trainer(valid=None).evaluate(), "evaluation requires an eval_dataset"),
        (lambda: trainer(valid=None, eval_strategy="epoch").train(), "Trainer has no eval_dataset"),
        (lambda: trainer().save_model(), "no output_dir"),
        (lambda: trainer(ByName(), [{"input_ids": CYCLE[:5]}] * 9).train(), "no 'labels'"),
    ],
)
def test_what_is_missing_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_state_is_readable(tmp_path):
    one = trainer(output_dir=tmp_path, max_steps=3, save_steps=2, logging_steps=1)
    one.train()
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [
        "checkpoint-2",
        "checkpoint-3",
    ]
    lines = (tmp_path / "log.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 3]
    assert json.loads(lines[-1])["train_loss"] == pytest.approx(np.mean(one.history.step_losses))
