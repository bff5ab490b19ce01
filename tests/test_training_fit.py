import csv
import io
import sys

import numpy as np
import pytest
from training_helpers import CYCLE, At, Bigram, interrupt, same_weights, tiny_model, weights

import minilm
from minilm import optim
from minilm.data import DataLoader, StreamLoader, Subset, TokenDataset
from minilm.models import NGramModel
from minilm.training import EarlyStopping, fit

TRAIN, VALID = CYCLE[:500], CYCLE[500:]
KINDS = {
    "ids": TRAIN,
    "list": TRAIN.tolist(),
    "tensor": minilm.tensor(TRAIN),
    "dataset": TokenDataset(TRAIN, 10, stride=10),
    "loader": DataLoader(TokenDataset(TRAIN, 10, stride=10), 4, shuffle=True),
    "stream": StreamLoader(TRAIN, 4, 10),
    "samples": [(TRAIN[k : k + 10], TRAIN[k + 1 : k + 11]) for k in range(0, 480, 10)],
}


@pytest.mark.parametrize("train", KINDS.values(), ids=KINDS)
def test_whatever_there_is_to_train_on(train):
    history = tiny_model().fit(train, epochs=30, batch_size=4, lr=0.05, verbose=0)
    assert history.history["loss"][-1] < 0.5 < history.step_losses[0]
    assert "val_loss" not in history.history


@pytest.mark.parametrize(
    "valid", [VALID, TokenDataset(VALID, 10), DataLoader(TokenDataset(VALID, 10), 4)]
)
def test_whatever_there_is_to_validate_on(valid):
    history = tiny_model().fit(TRAIN, validation_data=valid, batch_size=4, lr=0.05, verbose=0)
    assert 0 < history.history["val_loss"][-1] < 2


def test_history_is_keras_s():
    history = tiny_model().fit(
        TRAIN, validation_data=VALID, epochs=3, batch_size=1, lr=0.03, verbose=0
    )
    assert history.epoch == [1, 2, 3]
    assert list(history.history)[:4] == ["epoch", "step", "loss", "val_loss"]
    epoch, value = history.best("val_loss")
    assert value == min(history.history["val_loss"])
    assert history.history["val_loss"][epoch - 1] == value


def test_a_user_s_own_module_trains_too():
    history = fit(Bigram(), TRAIN, VALID, epochs=20, batch_size=2, lr=0.3, verbose=0)
    assert history.best()[1] < 0.1


def test_an_n_gram_model_counts():
    model = NGramModel(2, 5)
    with pytest.raises(ValueError, match="no 'eppochs'; did you mean 'epochs'"):
        model.fit(TRAIN, eppochs=7)
    history = model.fit(TRAIN, validation_data=VALID, epochs=7)
    assert history.history["val_loss"] == [model.loss(VALID)]
    assert history.best() == (1, model.loss(VALID))


@pytest.mark.parametrize("kind", KINDS)
def test_an_n_gram_model_counts_the_text_behind_windows(kind):
    if kind == "samples":
        samples = [(TRAIN[:4], TRAIN[1:5])]
        with pytest.raises(ValueError, match="one axis"):
            NGramModel(2, 5).fit(samples)
        with pytest.raises(TypeError, match="give it the ids"):
            NGramModel(2, 5).fit(Subset(TokenDataset(TRAIN, 10), [0]))
    else:
        history = NGramModel(2, 5).fit(KINDS[kind], TokenDataset(VALID, 10), 3)
        assert history.history["val_loss"] == [NGramModel(2, 5).count(TRAIN).loss(VALID)]


def test_an_optimizer_of_one_s_own():
    model = tiny_model()
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    model.fit(TRAIN, optimizer=optimizer, epochs=2, batch_size=4, verbose=0)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_an_end_by_ctrl_c_is_said(tmp_path):
    with pytest.warns(UserWarning, match=r"ended the training after step 2$"):
        tiny_model().fit(TRAIN, batch_size=2, callbacks=At(2, interrupt), verbose=0)
    with pytest.warns(UserWarning, match="after step 2; resume_from_checkpoint=True goes on"):
        tiny_model().fit(
            TRAIN, batch_size=2, callbacks=At(2, interrupt), output_dir=tmp_path, verbose=0
        )


def test_an_optimizer_of_another_model_is_refused():
    optimizer = optim.SGD(tiny_model().parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"holds \d+ of \d+ parameters that are not the model's"):
        tiny_model().fit(TRAIN, optimizer=optimizer, verbose=0)


def test_early_stopping_with_nothing_to_look_at_is_said_before_the_first_step():
    model = tiny_model()
    before = weights(model)
    with pytest.raises(ValueError, match="nothing is evaluated: give validation_data"):
        model.fit(TRAIN, callbacks=EarlyStopping(), verbose=0)
    assert same_weights(weights(model), before)


def test_callbacks_and_arguments_reach_the_engine(tmp_path):
    model = tiny_model()
    history = model.fit(
        TRAIN,
        validation_data=CYCLE[:100][::-1],
        epochs=9,
        batch_size=1,
        callbacks=[EarlyStopping(patience=1)],
        verbose=0,
        output_dir=tmp_path,
        save_total_limit=1,
    )
    assert len(history.records) < 9
    with open(tmp_path / "history.csv", encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(history.records)
    assert [path.name for path in tmp_path.glob("checkpoint-*")]


def test_it_goes_on_exactly(tmp_path):
    def run(name, callbacks=(), resume=None):
        model = tiny_model(dropout=0.3)
        model.fit(
            TRAIN,
            validation_data=VALID,
            epochs=3,
            batch_size=2,
            callbacks=callbacks,
            verbose=0,
            output_dir=tmp_path / name,
            resume_from_checkpoint=resume,
        )
        return weights(model)

    whole = run("whole")
    run("cut", [At(5, interrupt)])
    assert same_weights(run("cut", resume=True), whole)


def test_the_random_stream_goes_on_unless_there_is_a_seed():
    def losses(**options):
        return tiny_model(dropout=0.5).fit(TRAIN, verbose=0, **options).step_losses

    minilm.manual_seed(0)
    assert losses(seed=1) == losses(seed=1) != losses(seed=2)

    def without_seed(drawn_before: int):
        model = tiny_model()
        minilm.rand(drawn_before)
        samples = TokenDataset(np.random.default_rng(0).integers(0, 5, 200), 10)
        return model.fit(samples, verbose=0).step_losses

    assert without_seed(0) == without_seed(0) != without_seed(3)


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (2, 2), ("auto", 2)])
def test_what_is_shown(monkeypatch, verbose, lines):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    tiny_model().fit(TRAIN, validation_data=VALID, epochs=2, verbose=verbose)
    assert len(shown.getvalue().splitlines()) == lines


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train": None}, TypeError, "training data is a DataLoader.*NoneType"),
        ({"train": "some text"}, TypeError, "training data is .*got str"),
        ({"train": np.zeros((2, 2))}, TypeError, "inputs, targets"),
        ({"epochs": 0}, ValueError, "num_train_epochs must be above 0"),
        ({"lr": -1}, ValueError, "learning_rate must be at least 0; got -1"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"optimizer": "adan"}, ValueError, "'adan'; did you mean 'adam'?"),
        ({"verbose": 3}, ValueError, "verbose must be"),
        ({"learning_rat": 1}, ValueError, "no 'learning_rat'; did you mean 'learning_rate'?"),
        ({"epoch": 3}, ValueError, "no 'epoch'; did you mean 'epochs'?"),
        ({"validation_data": []}, ValueError, "validation set is empty"),
        ({"validation_data": VALID[:1]}, ValueError, "validation text has 1 token"),
        ({"callbacks": [print]}, TypeError, "callbacks are TrainerCallback"),
    ],
)
def test_wrong_arguments(options, error, message):
    with pytest.raises(error, match=message):
        tiny_model().fit(**{"train": TRAIN, "verbose": 0, **options})
