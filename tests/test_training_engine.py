import math

import numpy as np
import pytest
from training_helpers import CYCLE, Bigram, WithOutput, tiny_model

from minilm import nn
from minilm.training import Callback, Engine, NonFiniteError, Settings, evaluate

SETTINGS = Settings(epochs=4, batch_size=4, seq_len=10, lr=0.05)


def engine(model=None, *callbacks, **changes) -> Engine:
    settings = Settings(**{**vars(SETTINGS), **changes})
    return Engine(model or tiny_model(), CYCLE[:500], CYCLE[500:], settings, callbacks)


def weights(model) -> dict[str, np.ndarray]:
    return {name: t.numpy().copy() for name, t in model.state_dict().items()}


@pytest.mark.parametrize("model", [tiny_model("rnn"), tiny_model("lstm"), tiny_model("gru")])
def test_it_learns(model):
    history = engine(model).fit()
    losses = [record.valid_loss for record in history.records]
    assert len(losses) == 4
    assert losses[-1] < 0.1 < 1 < history.step_losses[0]
    assert not model.training


@pytest.mark.parametrize("kind", [Bigram, WithOutput])
def test_models_without_state_learn_too(kind):
    assert engine(kind(), lr=0.3).fit().records[-1].valid_loss < 0.1


def test_records_say_what_happened():
    training = engine()
    history = training.fit()
    assert [record.epoch for record in history.records] == [1, 2, 3, 4]
    assert [record.step for record in history.records] == [12, 24, 36, 48]
    assert len(history.step_losses) == training.step == training.total_steps == 48
    last = history.records[-1]
    assert last.train_loss == pytest.approx(np.mean(history.step_losses[-12:]))
    assert last.valid_perplexity == pytest.approx(math.exp(last.valid_loss))
    assert last.valid_loss == evaluate(training.model, CYCLE[500:], seq_len=10).loss
    assert last.tokens_per_second > 0


def test_the_same_seed_gives_the_same_bits():
    def trained():
        training = engine(tiny_model(dropout=0.2))  # which seeds dropout, too
        return training.fit().step_losses, weights(training.model)

    (losses, first), (other_losses, second) = trained(), trained()
    assert losses == other_losses
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_another_seed_cuts_the_text_elsewhere():
    assert engine(seed=0).fit().step_losses != engine(seed=1).fit().step_losses


def test_the_state_is_carried_from_window_to_window():
    """Whether a token is the 2nd or the 4th after a 1 shows only across windows of two."""
    pattern = np.tile([1, 0, 0, 0, 2, 0, 0, 0], 200)

    def reached(forget: bool) -> float:
        model = tiny_model("gru")
        if forget:
            carrying = model.forward_with_state
            model.forward_with_state = lambda x, state=None: carrying(x, None)
        training = Engine(model, pattern, pattern[:200], Settings(30, 4, 2, 0.02))
        return np.mean(training.fit().step_losses[-20:])

    assert reached(forget=False) < 0.6 * reached(forget=True)


def test_the_best_weights_are_kept():
    class Watch(Callback):
        def __init__(self):
            self.weights = []

        def on_epoch_end(self, engine):
            self.weights.append(weights(engine.model))

    watch = Watch()
    # Validated on text that goes the other way round: learning makes it worse.
    training = Engine(tiny_model(), CYCLE, CYCLE[::-1], SETTINGS, [watch])
    history = training.fit()
    assert history.best is not history.records[-1]
    best = watch.weights[history.best.epoch - 1]
    for name, array in weights(training.model).items():
        np.testing.assert_array_equal(array, best[name])


def test_callbacks_hear_everything_in_order():
    class Listen(Callback):
        def __init__(self):
            self.heard = []

        def on_train_begin(self, engine):
            self.heard.append("begin")

        def on_step_end(self, engine):
            self.heard.append(engine.step)

        def on_epoch_end(self, engine):
            self.heard.append(f"epoch {engine.history.records[-1].epoch}")

        def on_train_end(self, engine):
            self.heard.append("end")

    listen = Listen()
    engine(None, listen, epochs=2, batch_size=16).fit()
    assert listen.heard == ["begin", 1, 2, 3, "epoch 1", 4, 5, 6, "epoch 2", "end"]


class InterruptAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step
        self.weights = None
        self.ended = False

    def on_step_end(self, engine):
        if engine.step == self.step:
            self.weights = weights(engine.model)
            raise KeyboardInterrupt

    def on_train_end(self, engine):
        self.ended = True


def test_ctrl_c_keeps_what_was_trained():
    interrupt = InterruptAt(step=17)
    training = engine(None, interrupt)
    history = training.fit()
    assert history.interrupted
    assert interrupt.ended
    assert len(history.records) == 1
    assert len(history.step_losses) == 17
    for name, array in weights(training.model).items():
        np.testing.assert_array_equal(array, interrupt.weights[name])


@pytest.mark.parametrize("place", ["embedding.weight", "rnn.weight_hh_l0", "fc.bias"])
def test_a_bad_parameter_is_named_with_its_step(place):
    class Break(Callback):
        def on_step_end(self, engine):
            if engine.step == 14:
                dict(engine.model.named_parameters())[place].data[0] = math.nan

    with pytest.raises(
        NonFiniteError,
        match=rf"nan at step 15 \(epoch 2\); first bad tensor: the parameter {place}",
    ):
        engine(None, Break()).fit()


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
        engine(Overflow()).fit()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bad_step_is_not_taken():
    class Break(Callback):
        def on_step_end(self, engine):
            self.weights = weights(engine.model)
            if engine.step == 3:
                engine.model.forward_with_state = lambda x, state=None: (
                    original(x, state)[0] * math.inf,
                    state,
                )

    watch = Break()
    model = tiny_model()
    original = model.forward_with_state
    with pytest.raises(NonFiniteError, match="step 4"):
        engine(model, watch).fit()
    for name, array in weights(model).items():
        np.testing.assert_array_equal(array, watch.weights[name])


def test_decay_is_for_matrices_only():
    training = engine(weight_decay=0.5)
    decayed, others = training.optimizer.param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.5, 0.0)
    assert all(p.dim() == 2 for p in decayed["params"])
    assert all(p.dim() == 1 for p in others["params"])


def test_clipping_bounds_the_gradient():
    class Norm(Callback):
        norms: list[float] = []

        def on_step_end(self, engine):
            grads = [p.grad.numpy().ravel() for p in engine.parameters]
            self.norms.append(float(np.linalg.norm(np.concatenate(grads))))

    norm = Norm()
    engine(None, norm, epochs=1, clip=0.01).fit()
    assert max(norm.norms) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("length", [0, 1])
def test_an_empty_validation_text_is_refused(length):
    with pytest.raises(ValueError, match=f"validation text has {length} tokens"):
        Engine(tiny_model(), CYCLE, CYCLE[:length], SETTINGS)
