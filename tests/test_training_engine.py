import math

import numpy as np
import pytest
from training_helpers import (
    CYCLE,
    At,
    Bigram,
    WithOutput,
    interrupt,
    same_weights,
    tiny_engine,
    tiny_model,
    weights,
)

import minilm.nn.functional as F
from minilm import nn
from minilm.data import DataLoader, StreamLoader, TokenDataset
from minilm.training import NonFiniteError, TrainerCallback, TrainingArguments, evaluate
from minilm.training.build import build_engine


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_it_learns(cell):
    model = tiny_model(cell)
    history = tiny_engine(model).run()
    losses = history.history["val_loss"]
    assert len(losses) == 4
    assert losses[-1] < 0.1 < 1 < history.step_losses[0]
    assert not model.training


@pytest.mark.parametrize("kind", [Bigram, WithOutput])
def test_models_without_state_learn_too(kind):
    history = tiny_engine(kind(), learning_rate=0.3).run()
    assert history.history["val_loss"][-1] < 0.1


def test_rows_say_what_happened():
    engine = tiny_engine()
    history = engine.run()
    assert history.epoch == [1, 2, 3, 4]
    assert history.history["step"] == [12, 24, 36, 48]
    assert len(history.step_losses) == engine.state.global_step == engine.state.max_steps == 48
    last = history.records[-1]
    assert last["loss"] == pytest.approx(np.mean(history.step_losses[-12:]))
    assert last["val_perplexity"] == pytest.approx(math.exp(last["val_loss"]))
    assert last["val_loss"] == evaluate(engine.model, CYCLE[500:]).loss
    assert last["tokens_per_second"] > 0
    assert last["learning_rate"] == 0.05


def test_the_same_seed_gives_the_same_bits():
    def trained():
        engine = tiny_engine(tiny_model(dropout=0.2))  # which seeds dropout, too
        return engine.run().step_losses, weights(engine.model)

    (losses, first), (other_losses, second) = trained(), trained()
    assert losses == other_losses
    assert same_weights(first, second)


def test_another_seed_cuts_the_text_elsewhere():
    assert tiny_engine(seed=0).run().step_losses != tiny_engine(seed=1).run().step_losses


def test_the_state_is_carried_from_window_to_window():
    """Where nothing is learned, windows read one after the other are the text read at once."""
    text = np.random.default_rng(0).integers(0, 5, 401)
    engine = tiny_engine(train=text, num_train_epochs=1, learning_rate=0.0)
    model, windows = engine.model, list(StreamLoader(text, 4, 10, seed=engine.args.seed))
    losses = engine.run().step_losses
    inputs, targets = (np.concatenate(part, 1) for part in zip(*windows, strict=True))
    whole = F.cross_entropy(model(inputs).transpose(1, 2), targets, reduction="none").detach()
    expected = whole.numpy().reshape(4, -1, 10).mean(axis=(0, 2))
    np.testing.assert_allclose(losses, expected, atol=1e-5)
    forgetting = F.cross_entropy(model(windows[1].inputs).transpose(1, 2), windows[1].targets)
    assert abs(forgetting.item() - expected[1]) > 1e-4


def test_callbacks_hear_everything_in_order():
    class Listen(TrainerCallback):
        heard: list = []

        def __getattribute__(self, name):
            if name.startswith("on_"):
                return lambda args, state, control, **more: self.heard.append(
                    f"{name[3:]} {state.global_step}"
                )
            return super().__getattribute__(name)

    tiny_engine(
        None, Listen(), num_train_epochs=1, per_device_train_batch_size=16, logging_steps=2
    ).run()
    step = "step_begin {0};after_backward {0};after_clip {0};pre_optimizer_step {0}"
    step += ";optimizer_step {0};step_end {1}"
    assert Listen.heard == [
        "init_end 0",
        "train_begin 0",
        "epoch_begin 0",
        *step.format(0, 1).split(";"),
        *step.format(1, 2).split(";"),
        "log 2",
        *step.format(2, 3).split(";"),
        "epoch_end 3",
        "log 3",  # of the evaluation
        "evaluate 3",
        "train_end 3",
    ]


def test_events_have_what_they_promise():
    seen = {}

    class Look(TrainerCallback):
        def on_after_clip(self, args, state, control, *, grad_norm, optimizer, **kwargs):
            seen["norm"] = grad_norm
            grads = [p.grad.numpy().ravel() for g in optimizer.param_groups for p in g["params"]]
            seen["clipped"] = float(np.linalg.norm(np.concatenate(grads)))

        def on_evaluate(self, args, state, control, *, metrics, history, **kwargs):
            seen["metrics"] = metrics

        def on_log(self, args, state, control, *, logs, **kwargs):
            seen.setdefault("logs", logs)

    tiny_engine(None, Look(), num_train_epochs=1, max_grad_norm=0.01, logging_steps=5).run()
    assert seen["norm"] > seen["clipped"] == pytest.approx(0.01, rel=1e-3)
    assert set(seen["metrics"]) == {"eval_loss", "eval_perplexity"}
    assert set(seen["logs"]) == {"loss", "grad_norm", "learning_rate", "epoch", "step"}


@pytest.mark.parametrize("wish", ["training", "epoch"])
def test_a_callback_can_stop_the_run_or_the_pass(wish):
    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 5:
                setattr(control, f"should_{wish}_stop", True)

    engine = tiny_engine(None, Stop(), num_train_epochs=2)
    history = engine.run()
    assert engine.state.global_step == (5 if wish == "training" else 5 + 12)
    assert history.epoch[0] == pytest.approx(5 / 12)


def test_ctrl_c_keeps_what_was_trained():
    seen = {}
    engine = tiny_engine(
        None,
        At(17, lambda engine: seen.update(weights(engine.model))),
        At(17, interrupt),
    )
    history = engine.run()
    assert history.interrupted
    assert len(history.records) == 1
    assert len(history.step_losses) == 17
    assert same_weights(weights(engine.model), seen)


def test_an_averaged_run_leaves_the_averaged_weights():
    engine = tiny_engine(ema_decay=0.9)
    history = engine.run()
    averaged = weights(engine.average.module)
    assert same_weights(weights(engine.model), averaged)
    assert history.history["val_loss"][-1] == evaluate(engine.model, CYCLE[500:]).loss


def test_a_part_of_a_pass_and_a_number_of_steps():
    assert len(tiny_engine(num_train_epochs=1.5).run().step_losses) == 18
    assert len(tiny_engine(max_steps=7).run().step_losses) == 7


# --- accumulation ---------------------------------------------------------------------------------


def one_step(batches: int, accumulate: int, ignored: int) -> dict[str, np.ndarray]:
    """Train one step on 8 windows, some targets of which do not count."""
    inputs = np.random.default_rng(0).integers(0, 5, (8, 10))
    targets = np.roll(inputs, -1, 1)
    targets[3, :ignored] = -100
    samples = list(zip(inputs, targets, strict=True))
    args = TrainingArguments(
        max_steps=1,
        gradient_accumulation_steps=accumulate,
        optim="sgd",
        learning_rate=0.5,
        lr_scheduler_type="constant",
    )
    model = tiny_model()
    build_engine(model, DataLoader(samples, 8 // batches), args).run()
    return weights(model)


@pytest.mark.parametrize("batches", [4, 8])  # of 8, one has no target that counts
@pytest.mark.parametrize("ignored", [0, 7, 10])
def test_accumulated_gradients_are_those_of_the_large_batch(ignored, batches):
    large, small = one_step(1, 1, ignored), one_step(batches, batches, ignored)
    for name, array in large.items():
        np.testing.assert_allclose(small[name], array, rtol=2e-5, atol=1e-7)


def test_a_last_group_that_is_not_full_makes_a_step_too():
    engine = tiny_engine(gradient_accumulation_steps=5, num_train_epochs=1)
    assert engine.run().history["step"] == [3]  # 5 + 5 + 2 windows


# --- numbers that are none ------------------------------------------------------------------------


def bad_weight(place: str):
    def spoil(engine):
        dict(engine.model.named_parameters())[place].data[0] = math.nan

    return spoil


@pytest.mark.parametrize(
    ("place", "clean"),
    [
        ("rnn.weight_hh_l0", "the parameter rnn.weight_ih_l0"),
        ("fc.bias", "the parameter fc.weight"),
    ],
)
def test_a_bad_parameter_is_named_with_its_step_and_the_last_clean_one(place, clean):
    with pytest.raises(
        NonFiniteError,
        match=rf"nan at step 15 \(epoch 2\); first bad tensor: the parameter {place}; "
        f"the last clean one: {clean}",
    ):
        tiny_engine(None, At(14, bad_weight(place))).run()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of the division
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_none_is_named_and_not_the_first_that_clipping_spoils(clip):
    class Root(nn.Module):
        """An output of 0, and an infinite gradient of `below`, but not of `above`."""

        def __init__(self):
            super().__init__()
            self.below, self.above = nn.Embedding(5, 5), nn.Linear(5, 5)
            self.below.weight.data[:] = 0

        def forward(self, x):
            return self.above(self.below(x).sqrt())

    with pytest.raises(NonFiniteError) as caught:
        tiny_engine(Root(), max_grad_norm=clip).run()
    message = str(caught.value)
    assert "first bad tensor: the gradient of below.weight" in message
    assert "the last clean one: the gradient of above." in message
    assert "an operation of the model has no finite value or gradient" in message


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of the overflow
def test_a_bad_output_is_named():
    class Overflow(Bigram):
        def __init__(self):
            super().__init__()
            self.scale = Scale()

        def forward(self, x):
            return self.scale(super().forward(x))

    class Scale(nn.Module):
        def forward(self, x):
            return x * 1e38 * 1e38 if self.training else x

    with pytest.raises(NonFiniteError, match="step 1 .*: the output of scale"):
        tiny_engine(Overflow()).run()


def test_a_later_batch_of_a_step_is_named_too():
    class Choke(nn.Module):
        def forward(self, x):
            return x * math.nan if self.training and bad in seen else x

    class Choking(Bigram):
        def __init__(self):
            super().__init__()
            self.choke = Choke()

        def forward(self, x):
            seen[:] = [np.asarray(x).tobytes()]
            return self.choke(super().forward(x))

    seen: list[bytes] = []
    batches = list(StreamLoader(CYCLE[:500], 4, 10, seed=0))
    bad = np.asarray(batches[1].inputs).tobytes()
    with pytest.raises(NonFiniteError, match="step 1 .*: the output of choke; the last clean"):
        tiny_engine(Choking(), gradient_accumulation_steps=3, seed=0).run()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bad_step_is_not_taken():
    seen = {}

    def spoil(engine):
        seen.update(weights(engine.model))
        original = engine.model.forward_with_state
        engine.model.forward_with_state = lambda x, state=None, **k: (
            original(x, state, **k)[0] * math.inf,
            state,
        )

    engine = tiny_engine(None, At(3, spoil))
    with pytest.raises(NonFiniteError, match="step 4"):
        engine.run()
    assert same_weights(weights(engine.model), seen)


def test_decay_is_for_matrices_only():
    for group in tiny_engine(weight_decay=0.5).optimizer.param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.5 if parameter.dim() > 1 else 0.0)


@pytest.mark.parametrize("length", [0, 1])
def test_an_empty_validation_text_is_refused(length):
    with pytest.raises(ValueError, match=f"validation text has {length} tokens"):
        tiny_engine(valid=CYCLE[:length])


def test_a_loader_without_batches_is_refused():
    loader = DataLoader(TokenDataset(CYCLE, 590), 64, drop_last=True)
    with pytest.raises(ValueError, match="no batches"):
        build_engine(tiny_model(), loader, TrainingArguments())
