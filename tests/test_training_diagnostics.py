"""Lines about a run's health: what they hold, and that the run is none the worse for them."""

import json

import numpy as np
import pytest
from test_training_resume import engine_of, outcome
from training_helpers import CYCLE, At, Bigram, interrupt, tiny_engine, tiny_model

import minilm
from minilm.data import DataLoader, StreamLoader, TokenDataset
from minilm.models import AWDLSTM
from minilm.random import Generator
from minilm.training import Diagnostics, NonFiniteError, read_diagnostics
from minilm.training.diagnostics import SAMPLES, ids_and_targets, is_sampled

SETTINGS = {
    "plain": {},
    "accumulated": {"gradient_accumulation_steps": 5},
    "averaged": {"ema_decay": 0.9},
    "clipped": {"max_grad_norm": 0.1, "label_smoothing_factor": 0.1},
}


def break_weights(engine):
    engine.model.fc.bias.data[0] = np.nan


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_run_has_the_same_bits_with_and_without(tmp_path, settings):
    plain = engine_of(tmp_path / "plain", **settings)
    plain.run()
    watched = engine_of(tmp_path / "watched", callbacks=[Diagnostics()], **settings)
    watched.run()
    assert outcome(watched) == outcome(plain)


def test_a_model_with_every_dropout_has_the_same_bits_with_and_without(tmp_path):
    def run(name, *callbacks):
        minilm.manual_seed(0)
        model = AWDLSTM(5, 4, 6, 2, alpha=2.0, beta=1.0)
        engine = engine_of(tmp_path / name, model, callbacks=callbacks)
        engine.run()
        return outcome(engine)

    assert run("watched", Diagnostics(unknown_id=0)) == run("plain")


@pytest.mark.parametrize("cut", [1, 7, 12, 13, 23])
def test_a_run_that_was_cut_ends_with_the_same_bytes(tmp_path, cut):
    engine_of(tmp_path / "whole", callbacks=[Diagnostics()]).run()
    engine_of(tmp_path / "cut", callbacks=[Diagnostics(), At(cut, interrupt)]).run()
    with open(tmp_path / "cut" / "diagnostics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 99}\n{"st')  # a crash after the checkpoint
    engine_of(tmp_path / "cut", resume=True, callbacks=[Diagnostics()]).run()
    whole, went_on = (
        (tmp_path / name / "diagnostics.jsonl").read_bytes() for name in ("whole", "cut")
    )
    assert went_on == whole


def test_a_line_says_where_it_stands(tmp_path):
    diagnostics = Diagnostics(unknown_id=3)
    engine = tiny_engine(tiny_model(), diagnostics, output_dir=str(tmp_path), num_train_epochs=10)
    engine.run()
    samples = diagnostics.samples
    assert read_diagnostics(tmp_path) == samples
    steps = [sample["step"] for sample in samples]
    assert steps == [n for n in range(1, 121) if n % 4 == 0 or n in (1, 2)]
    assert samples[-1]["max_steps"] == 120
    assert samples[-1]["epoch"] == 10.0
    losses = engine.history.step_losses
    assert samples[-1]["loss"] == pytest.approx(np.mean(losses[-4:]), rel=1e-3)
    assert samples[-1]["max_loss"] == pytest.approx(max(losses[-4:]), rel=1e-3)
    assert samples[0]["unknown"] == pytest.approx(0.2)
    assert samples[0]["next_targets"] == 1.0
    assert samples[0]["copied_targets"] == 0.0
    assert samples[0]["stream"] is True
    assert set(samples[0]["saturated"]["rnn.l0"]) == {"i", "f", "o"}


def test_ratios_and_norms_are_those_of_the_step():
    """With plain SGD a step is the learning rate times the gradient."""
    model = tiny_model()
    before = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    diagnostics = Diagnostics()
    settings = {"optim": "sgd", "learning_rate": 0.5, "max_grad_norm": 0.0, "max_steps": 1}
    tiny_engine(model, diagnostics, weight_decay=0.0, **settings).run()
    (sample,) = diagnostics.samples
    assert sample["lr"] == 0.5
    for name, weight in before.items():
        norm = float(np.linalg.norm(weight))
        expected = 0.5 * sample["grad_norms"][name] / norm
        assert sample["update_ratios"][name] == pytest.approx(expected, rel=2e-3)
    whole = np.sqrt(sum(norm**2 for norm in sample["grad_norms"].values()))
    assert sample["max_grad_norm"] == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize(("limit", "share"), [(1e-6, 1.0), (1e6, 0.0), (0.0, 0.0)])
def test_clipped_steps_are_counted(limit, share):
    diagnostics = Diagnostics()
    tiny_engine(None, diagnostics, max_grad_norm=limit).run()
    assert {sample["clipped"] for sample in diagnostics.samples} == {share}
    assert {sample["clip"] for sample in diagnostics.samples} == {limit}


@pytest.mark.parametrize(("shuffle", "repeated"), [(True, 0), (False, 3)])
def test_passes_in_the_same_order_are_counted(tmp_path, shuffle, repeated):
    ids = np.random.default_rng(0).integers(0, 5, 200)
    loader = DataLoader(
        TokenDataset(ids, 10, stride=10), 3, shuffle=shuffle, generator=Generator(0)
    )
    diagnostics = Diagnostics()
    engine_of(tmp_path, None, False, loader, [diagnostics], num_train_epochs=4).run()
    last = diagnostics.samples[-1]
    assert (last["passes"], last["repeated_passes"]) == (4, repeated)
    assert last["stream"] is False


def test_a_run_that_breaks_down_says_so(tmp_path):
    diagnostics = Diagnostics()
    with pytest.raises(NonFiniteError):
        tiny_engine(None, diagnostics, At(5, break_weights), output_dir=str(tmp_path)).run()
    last = read_diagnostics(tmp_path)[-1]
    assert last["step"] == 6
    assert "fc.bias" in last["error"]
    tiny_engine(None, diagnostics, output_dir=str(tmp_path)).run()  # a new one, all is well
    assert not [line for line in read_diagnostics(tmp_path) if "error" in line]


def test_the_error_of_another_run_is_not_this_one_s():
    diagnostics = Diagnostics()
    try:
        raise NonFiniteError("of somebody else")
    except NonFiniteError:
        tiny_engine(None, diagnostics, max_steps=2).run()
    assert [sample["step"] for sample in diagnostics.samples] == [1, 2]


def test_models_and_batches_of_other_kinds():
    ids = CYCLE[:61].reshape(1, -1)
    batch = {"input_ids": ids, "labels": ids}
    inputs, targets = ids_and_targets(batch)
    assert inputs.shape == targets.shape == (1, 60)
    assert (targets == ids[:, 1:]).all()
    assert ids_and_targets({"input_ids": ids, "labels": np.array([1])}) is None
    assert ids_and_targets({"x": ids}) is None
    assert ids_and_targets((ids, np.array([1]))) is None
    assert ids_and_targets((ids.astype(np.float32), ids.astype(np.float32))) is None
    diagnostics = Diagnostics()
    tiny_engine(Bigram(), diagnostics, max_steps=3).run()
    assert "entropy" in diagnostics.samples[-1]
    assert "saturated" not in diagnostics.samples[-1]


def test_a_model_that_cannot_be_looked_into_trains_on():
    class Fixed(Bigram):
        def forward(self, x):
            assert len(x) == 6, "a batch of 6"
            return super().forward(x)

    diagnostics = Diagnostics()
    engine = tiny_engine(
        Fixed(), diagnostics, max_steps=3, per_device_train_batch_size=6, eval_strategy="no"
    )
    assert len(engine.run().step_losses) == 3
    assert diagnostics.samples[-1]["unseen"].startswith("AssertionError: a batch of 6")
    assert diagnostics.samples[-1]["next_targets"] == 1.0


@pytest.mark.parametrize("steps", [1, 7, 100, 5000, 123_457])
def test_about_forty_lines_a_run(steps):
    sampled = [step for step in range(1, steps + 1) if is_sampled(step, steps)]
    assert sampled[0] == 1 and sampled[-1] == steps
    assert len(sampled) <= SAMPLES + 1 + int(steps).bit_length()


def test_a_line_that_is_being_written_does_not_count(tmp_path):
    path = tmp_path / "diagnostics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2', encoding="utf-8")
    assert read_diagnostics(tmp_path) == [{"step": 1}]
    path.unlink()
    assert read_diagnostics(tmp_path) == []


def test_lines_are_json_whatever_the_numbers(tmp_path):
    """A line holds no NaN, which JSON has not."""
    diagnostics = Diagnostics()
    tiny_engine(None, diagnostics, output_dir=str(tmp_path), max_steps=2).run()
    text = (tmp_path / "diagnostics.jsonl").read_text("utf-8")

    def refuse(name):
        raise AssertionError(name)

    assert len([json.loads(line, parse_constant=refuse) for line in text.splitlines()]) == 2


def test_same_lines_on_any_number_of_threads(tmp_path):
    threads, lines = minilm.get_num_threads(), []
    try:
        for count in (1, 2):
            minilm.set_num_threads(count)
            diagnostics = Diagnostics()
            loader = StreamLoader(CYCLE[:500], 4, 10, seed=3)
            engine_of(tmp_path / str(count), None, False, loader, [diagnostics]).run()
            lines.append(diagnostics.samples)
    finally:
        minilm.set_num_threads(threads)
    assert lines[0] == lines[1]
