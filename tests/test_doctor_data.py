import numpy as np
import pytest
from doctor_helpers import TYPES, make_model, names, train, train_ids, valid_ids

from minilm.data import DataLoader, TensorDataset, TokenDataset
from minilm.doctor import Evidence, examine
from minilm.doctor.data import leakage, not_shuffled, small_validation, unknown_words
from minilm.random import Generator


def windows(shift, shuffle=True):
    ids = train_ids()[:6401]
    inputs, targets = (ids[at : at + 6400].reshape(-1, 32) for at in (0, shift))
    data = TensorDataset(inputs, targets)
    return DataLoader(data, 8, shuffle=shuffle, generator=Generator(0))


def test_a_run_that_is_asked_for_its_input():
    history, diagnostics = train(make_model(), train=windows(0), valid=train_ids()[:500])
    found = examine(history=history, diagnostics=diagnostics)
    assert found[0].name == "targets not shifted"
    assert found[0].numbers["targets equal to their input"] == 1.0
    assert found[0].numbers["loss at the end"] < 0.2


def test_targets_are_told_from_a_batch_alone():
    ids = train_ids()[:64].reshape(2, 32)
    assert names(examine(batch=(ids, ids))) == ["targets not shifted"]
    assert examine(batch=(ids[:, :-1], ids[:, 1:])) == []
    assert examine(batch={"input_ids": ids, "labels": ids}) == []  # the model shifts them


def test_a_text_of_one_token_is_both():
    ones = np.ones((2, 32), np.int64)
    assert examine(batch=(ones, ones)) == []


def test_validation_text_that_was_trained_on():
    (found,) = examine(train_ids=train_ids(), valid_ids=train_ids()[300:2300])
    assert found.name == "leakage"
    assert found.numbers["longest span shared, in tokens"] == 2000


def test_windows_that_overlap_after_they_were_shuffled():
    """Half of the validation text's pieces stand in the training text, none of them long."""
    pieces = valid_ids()[:2000].reshape(-1, 125)
    train_text = np.concatenate([train_ids(), *pieces[::2]])
    found = leakage(Evidence(train_ids=train_text, valid_ids=pieces.reshape(-1)))
    assert found.numbers["longest span shared, in tokens"] < 200
    assert found.numbers["share of 64-grams shared"] > 0.2


def test_texts_of_the_same_kind_share_little():
    assert examine(train_ids=train_ids(), valid_ids=valid_ids()) == []


@pytest.mark.parametrize(
    ("loss", "known", "sick"),
    [
        (0.5, {"ngram_loss": 1.2}, True),
        (0.9, {"ngram_loss": 1.2}, False),
        (0.5, {"best_possible": 0.6, "ngram_loss": 2.0}, True),
        (0.65, {"best_possible": 0.6, "ngram_loss": 2.0}, False),
        (0.5, {}, False),
    ],
)
def test_a_loss_that_is_too_good_to_be_true(loss, known, sick):
    valid = np.random.default_rng(0).integers(0, 9, 5000)
    evidence = Evidence(records=[{"epoch": 1, "val_loss": loss}], valid_ids=valid, **known)
    assert (leakage(evidence) is not None) == sick


def test_words_that_nobody_knows():
    ids, unknown = valid_ids().copy(), TYPES
    ids[::4] = unknown
    (found,) = examine(train_ids=train_ids(), valid_ids=ids, unknown_id=unknown)
    assert found.name == "too many unknown words"
    assert found.numbers == {"share unknown in training": 0.0, "share unknown in validation": 0.25}
    ids[::4] = 0
    assert examine(train_ids=train_ids(), valid_ids=ids, unknown_id=unknown) == []


def test_unknown_words_of_the_batches_alone():
    assert unknown_words(Evidence(samples=[{"unknown": 0.3}])) is not None
    assert unknown_words(Evidence(samples=[{"unknown": 0.01}])) is None


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_run_without_shuffling(shuffle):
    history, diagnostics = train(make_model(), train=windows(1, shuffle), epochs=2)
    found = names(examine(history=history, diagnostics=diagnostics))
    assert ("no shuffling" in found) == (not shuffle)


def test_a_stream_is_read_in_its_order():
    order = {"passes": 4, "repeated_passes": 3}
    assert not_shuffled(Evidence(samples=[{**order, "stream": False}])) is not None
    assert not_shuffled(Evidence(samples=[{**order, "stream": True}])) is None
    assert not_shuffled(Evidence(samples=[{"passes": 1, "repeated_passes": 0}])) is None


@pytest.mark.parametrize(("tokens", "sick"), [(300, True), (1500, False)])
def test_a_validation_text_too_short(tokens, sick):
    evidence = Evidence(
        records=[{"epoch": 1, "val_loss": 2.0}], valid_ids=np.zeros(tokens, np.int64)
    )
    found = small_validation(evidence)
    assert (found is not None) == sick
    if sick:
        assert found.numbers["standard error, about"] == pytest.approx(2.0 / np.sqrt(299))


def test_the_error_of_the_validation_loss_is_of_the_size_that_is_taken_for_it():
    """What a token costs varies about as much as it costs: here under the true bigrams."""
    ids = train_ids()
    counts = np.full((TYPES, TYPES), 0.01)
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    costs = -np.log(counts / counts.sum(1, keepdims=True))[ids[:-1], ids[1:]]
    assert 0.4 < costs.std() / costs.mean() < 1.5


def test_windows_of_token_dataset_are_shifted():
    loader = DataLoader(TokenDataset(train_ids()[:200], 16), 4)
    assert examine(batch=next(iter(loader))) == []
