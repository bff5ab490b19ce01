"""One matrix that reads words and scores them."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from reference import stored, weights
from reference.check import assert_close
from safetensors.numpy import load_file, save_file

import minilm
from minilm import nn, optim
from minilm.models import RNNModel, from_pretrained
from minilm.models.folder import FolderError
from minilm.models.tying import tie_weights

IDS = np.array([[1, 4, 2, 0, 3], [3, 3, 1, 2, 4]])


def tied(vocab: int = 5, size: int = 4, cell: str = "lstm", **options) -> RNNModel:
    minilm.manual_seed(0)
    return RNNModel(vocab, size, size, cell, tie_weights=True, **options)


def loss_of(model: RNNModel, ids: np.ndarray) -> minilm.Tensor:
    logits = model(ids[:, :-1])
    return nn.CrossEntropyLoss()(logits.transpose(1, 2), minilm.tensor(ids[:, 1:]))


# --- one parameter, two names ---------------------------------------------------------------------


def test_it_is_one_parameter_under_two_names():
    model = tied()
    assert model.fc.weight is model.embedding.weight
    names = [name for name, _ in model.named_parameters()]
    assert "embedding.weight" in names and "fc.weight" not in names
    assert {"embedding.weight", "fc.weight"} <= set(model.state_dict())
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == sum(p.numel() for p in RNNModel(5, 4, 4, "lstm").parameters()) - 5 * 4


def test_names_and_shapes_are_those_of_pytorchs_tied_model():
    torch = pytest.importorskip("torch")
    model = RNNModel(weights.VOCAB, weights.SIZE, weights.SIZE, "lstm", tie_weights=True)
    theirs = weights.tied_model(torch)
    assert [(n, tuple(t.shape)) for n, t in model.state_dict().items()] == [
        (n, tuple(t.shape)) for n, t in theirs.state_dict().items()
    ]
    assert len(list(model.parameters())) == len(list(theirs.parameters()))


def test_vectors_start_small_enough_for_a_head():
    table = tied(300, 64).embedding.weight.detach().numpy()
    assert np.abs(table).max() <= 0.1 and abs(table.std() - 0.1 / np.sqrt(3)) < 1e-3


def test_other_widths_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"hidden_size must equal embed_size; got \(5, 3\) and"):
        RNNModel(5, 3, 4, tie_weights=True)
    with pytest.raises(ValueError, match=r"got \(5, 3\) and \(6, 3\)"):
        tie_weights(nn.Embedding(5, 3), nn.Linear(3, 6))


def test_a_copy_is_tied_too():
    again = copy.deepcopy(tied())
    assert again.fc.weight is again.embedding.weight


# --- gradients ------------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("make", [weights.tied_model, None], ids=["tutorial", "RNNModel"])
def test_training_follows_pytorch(make):
    ours = RNNModel(weights.VOCAB, weights.SIZE, weights.SIZE, "lstm", tie_weights=True)
    results = weights.tied(minilm, make(minilm) if make else ours)
    for name, value in results.items():
        assert_close(value, stored.load("weights")[name], 2e-6, name)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_gradient_is_the_sum_over_both_uses(cell):
    model = tied(cell=cell)
    apart = RNNModel(5, 4, 4, cell)
    apart.load_state_dict(model.state_dict())
    for each in (model, apart):
        loss_of(each, IDS).backward()
    total = apart.embedding.weight.grad + apart.fc.weight.grad
    np.testing.assert_allclose(model.embedding.weight.grad.numpy(), total.numpy(), atol=1e-7)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_gradients_by_finite_differences(cell):
    model = tied(cell=cell)
    loss_of(model, IDS).backward()
    table, step = model.embedding.weight.detach().numpy(), 1e-2
    numeric = np.empty_like(table)
    for place in np.ndindex(*table.shape):
        value, sides = table[place], []
        for side in (step, -step):
            table[place] = value + side
            sides.append(loss_of(model, IDS).item())
        table[place] = value
        numeric[place] = (sides[0] - sides[1]) / (2 * step)
    np.testing.assert_allclose(model.embedding.weight.grad.numpy(), numeric, atol=2e-4)


def test_deferred_lookup_and_head_give_the_same_gradient():
    """With many ids and classes the table is read by the LSTM, and the head by the loss."""
    ids = np.random.default_rng(0).integers(0, 520, (12, 61))
    deferred, eager = tied(520, 16), tied(520, 16)
    assert deferred(ids[:, :-1])._deferred is not None
    loss_of(deferred, ids).backward()
    vectors = eager.embedding(ids[:, :-1])
    assert vectors.detach().numpy().any()  # looked up here and now
    logits = eager.fc(eager.rnn(vectors)[0])
    assert logits.detach().numpy().any()
    nn.CrossEntropyLoss()(logits.transpose(1, 2), minilm.tensor(ids[:, 1:])).backward()
    for ours, theirs in zip(deferred.parameters(), eager.parameters(), strict=True):
        assert_close(ours.grad.numpy(), theirs.grad.numpy(), 1e-5, str(ours.shape))


def test_logits_of_a_step_keep_their_values_when_the_table_changes():
    ids = np.random.default_rng(0).integers(0, 520, (12, 61))
    model = tied(520, 16)
    expected = model(ids).detach().numpy().copy()
    logits = model(ids)
    loss_of(model, ids).backward()
    optim.SGD(model.parameters(), lr=1.0).step()
    np.testing.assert_array_equal(logits.detach().numpy(), expected)
    assert not np.allclose(model(ids).detach().numpy(), expected, atol=1e-3)


def test_the_same_bits_on_any_number_of_threads():
    before, ids = minilm.get_num_threads(), np.random.default_rng(0).integers(0, 520, (12, 61))
    tables = []
    try:
        for threads in (1, 2, 3):
            minilm.set_num_threads(threads)
            model = tied(520, 16, dropout=0.3)
            optimizer = optim.Adam(model.parameters(), lr=0.01)
            for _ in range(3):
                optimizer.zero_grad()
                loss_of(model, ids).backward()
                optimizer.step()
            tables.append(model.embedding.weight.detach().numpy())
    finally:
        minilm.set_num_threads(before)
    np.testing.assert_array_equal(tables[0], tables[1])
    np.testing.assert_array_equal(tables[0], tables[2])


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocab", [5, 4099])
def test_it_writes_what_its_logits_say(vocab):
    model = tied(vocab, 16)
    for _ in range(2):  # the second time with weights that were packed before they changed
        text = model.generate([1, 2], max_new_tokens=8, do_sample=False).tolist()
        for end in range(2, 10):
            assert text[end] == int(model([text[:end]]).detach().numpy()[0, -1].argmax())
        loss_of(model, np.array([text])).backward()
        optim.SGD(model.parameters(), lr=5.0).step()


def test_int8_logits_are_close():
    model = tied(300, 64, num_layers=2).eval()
    ids = np.random.default_rng(0).integers(0, 300, (3, 20))
    with minilm.no_grad():
        expected = model(ids).numpy()
    error = np.abs(model.quantize()(ids).numpy() - expected).max()
    assert 0 < error < 0.03 * np.abs(expected).max()


# --- on disk --------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    tied().save_pretrained(tmp_path)
    return tmp_path


def rewrite(folder, **changes) -> None:
    """Give the file of weights other entries; None takes one away."""
    path = folder / "model.safetensors"
    entries = {**load_file(path), **{name.replace("__", "."): a for name, a in changes.items()}}
    save_file({name: array for name, array in entries.items() if array is not None}, path)


def test_the_file_holds_the_matrix_once(saved):
    assert "embedding.weight" in load_file(saved / "model.safetensors")
    assert "fc.weight" not in load_file(saved / "model.safetensors")


def test_the_safetensors_library_loads_it_into_pytorchs_tied_model(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_model

    minilm.manual_seed(0)
    model = RNNModel(weights.VOCAB, weights.SIZE, weights.SIZE, "lstm", tie_weights=True)
    model.save_pretrained(tmp_path)
    theirs = weights.tied_model(torch)
    load_model(theirs, tmp_path / "model.safetensors")
    ids = np.array([[1, 4, 2]])
    expected = theirs(torch.tensor(ids)).detach().numpy()
    np.testing.assert_allclose(model(ids).detach().numpy(), expected, atol=1e-6)


def test_a_model_that_was_tied_by_hand_loads(tmp_path):
    model = RNNModel(5, 4, 4)
    model.fc.weight = model.embedding.weight
    model.save_pretrained(tmp_path)
    assert "fc.weight" not in load_file(tmp_path / "model.safetensors")
    again = from_pretrained(tmp_path)
    np.testing.assert_array_equal(again(IDS).detach().numpy(), model(IDS).detach().numpy())


def test_loading_ties_again(saved):
    model = from_pretrained(saved)
    assert model.fc.weight is model.embedding.weight
    assert model.config["tie_weights"] is True
    np.testing.assert_array_equal(model(IDS).detach().numpy(), tied()(IDS).detach().numpy())


def test_files_of_others_may_have_the_other_name_or_both(saved):
    table = load_file(saved / "model.safetensors")["embedding.weight"]
    for names in ({"fc__weight": table}, {"embedding__weight": None, "fc__weight": table}):
        rewrite(saved, **names)
        np.testing.assert_array_equal(from_pretrained(saved).fc.weight.detach().numpy(), table)


def test_a_file_in_which_the_two_differ_is_refused(saved):
    rewrite(saved, fc__weight=np.zeros((5, 4), np.float32))
    with pytest.raises(FolderError, match=r"embedding.weight and fc.weight are one.*differ there"):
        from_pretrained(saved)


def test_a_file_without_either_is_refused(saved):
    rewrite(saved, embedding__weight=None)
    with pytest.raises(FolderError, match=r"missing embedding.weight \(5, 4\)"):
        from_pretrained(saved)


def test_a_config_from_before_there_were_tied_weights(tmp_path):
    model = RNNModel(5, 4, 4)
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["tie_weights"]
    path.write_text(json.dumps(config), encoding="utf-8")
    again = from_pretrained(tmp_path)
    assert again.fc.weight is not again.embedding.weight
    np.testing.assert_array_equal(again(IDS).detach().numpy(), model(IDS).detach().numpy())


def test_a_state_dict_with_both_names_loads_strictly():
    model, again = tied(), tied()
    with minilm.no_grad():
        again.embedding.weight.fill_(0)
    assert again.load_state_dict(model.state_dict()) == ([], [])
    np.testing.assert_array_equal(
        again.fc.weight.detach().numpy(), model.embedding.weight.detach().numpy()
    )
