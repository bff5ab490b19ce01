import numpy as np
import pytest

import minilm
from minilm import nn, optim
from minilm.models import AWDLSTM, LanguageModel, RNNModel, logits_of
from minilm.models.base import read_on

CELLS = ["rnn", "lstm", "gru", "mingru", "minlstm"]
IDS = np.array([[1, 4, 2, 0, 3], [3, 3, 1, 2, 4]])


def tiny(cell: str = "rnn", **options) -> RNNModel:
    minilm.manual_seed(0)
    return RNNModel(5, 3, 4, cell, **options)


def test_it_has_the_tutorials_parts_and_weight_names():
    model = tiny()
    assert isinstance(model.embedding, nn.Embedding)
    assert isinstance(model.rnn, nn.RNN)
    assert isinstance(model.fc, nn.Linear)
    assert list(model.state_dict()) == [
        "embedding.weight",
        "rnn.weight_ih_l0",
        "rnn.weight_hh_l0",
        "rnn.bias_ih_l0",
        "rnn.bias_hh_l0",
        "fc.weight",
        "fc.bias",
    ]


def test_it_computes_what_the_tutorials_class_computes():
    model = tiny()

    class Tutorial(nn.Module):
        def __init__(self, vocab_size, embed_size, hidden_size):
            super().__init__()
            self.embedding = nn.Embedding(vocab_size, embed_size)
            self.rnn = nn.RNN(embed_size, hidden_size, batch_first=True)
            self.fc = nn.Linear(hidden_size, vocab_size)

        def forward(self, x):
            out, _ = self.rnn(self.embedding(x))
            return self.fc(out)

    tutorial = Tutorial(5, 3, 4)
    tutorial.load_state_dict(model.state_dict())
    assert model(IDS).shape == (2, 5, 5)
    np.testing.assert_array_equal(model(IDS).detach().numpy(), tutorial(IDS).detach().numpy())


@pytest.mark.parametrize("cell", CELLS)
def test_reading_in_two_parts_with_the_state_is_reading_at_once(cell):
    model = tiny(cell, num_layers=2).eval()
    first, state = model.forward_with_state(IDS[:, :2])
    second, _ = model.forward_with_state(IDS[:, 2:], state)
    parts = np.concatenate([first.detach().numpy(), second.detach().numpy()], axis=1)
    np.testing.assert_allclose(parts, model(IDS).detach().numpy(), rtol=1e-5, atol=1e-6)
    forgetful, _ = model.forward_with_state(IDS[:, 2:])
    assert not np.allclose(forgetful.detach().numpy(), second.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_no_gradient_flows_through_a_carried_state(cell):
    model = tiny(cell)
    _, state = model.forward_with_state(IDS)
    parts = state if isinstance(state, tuple) else (state,)
    assert not any(part.requires_grad for part in parts)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_flow_through_a_state_that_is_not_detached(cell):
    def gradients(*pieces: slice) -> list[np.ndarray]:
        model, state, total = tiny(cell), None, minilm.tensor(0.0)
        for piece in pieces:
            logits, state = model.forward_with_state(IDS[:, piece], state, detach=False)
            total = total + logits[:, -1].sum() * (piece.stop == 5)
        total.backward()
        return [parameter.grad.numpy() for parameter in model.parameters()]

    pairs = zip(gradients(slice(0, 2), slice(2, 5)), gradients(slice(0, 5)), strict=True)
    for in_parts, at_once in pairs:
        np.testing.assert_allclose(in_parts, at_once, rtol=1e-4, atol=1e-6)


def test_dropout_acts_in_training_only():
    model = tiny(dropout=0.5)
    assert not np.array_equal(model(IDS).detach().numpy(), model(IDS).detach().numpy())
    model.eval()
    np.testing.assert_array_equal(model(IDS).detach().numpy(), model(IDS).detach().numpy())


def test_config_makes_the_same_architecture():
    model = tiny("gru", num_layers=2, dropout=0.25)
    again = RNNModel(**model.config)
    assert {n: t.shape for n, t in again.state_dict().items()} == {
        n: t.shape for n, t in model.state_dict().items()
    }
    assert again.config == model.config


def test_an_unknown_cell_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="rnn, lstm, gru, mingru, minlstm; got 'tanh'"):
        RNNModel(5, 3, 4, cell="tanh")


@pytest.mark.parametrize("name", ["vocab_size", "embed_size", "hidden_size", "num_layers"])
@pytest.mark.parametrize("value", [0, -3])
def test_sizes_must_be_positive(name, value):
    sizes = {"vocab_size": 5, "embed_size": 3, "hidden_size": 4, name: value}
    with pytest.raises(ValueError, match=f"{name} must be at least 1; got {value}"):
        RNNModel(**sizes)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_is_a_share(dropout):
    with pytest.raises(ValueError, match="dropout"):
        RNNModel(5, 3, 4, dropout=dropout)


def test_generate_goes_on_from_the_prompt():
    out = tiny().generate(minilm.tensor([[1, 2]]), max_new_tokens=3, seed=0)
    assert out.shape == (1, 5)
    assert out.tolist()[0][:2] == [1, 2]


def test_saving_and_loading_gives_the_same_logits(tmp_path):
    model = tiny("lstm").eval()
    model.save_pretrained(tmp_path / "model")
    again = RNNModel.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(again(IDS).detach().numpy(), model(IDS).detach().numpy())


def test_from_pretrained_of_another_class_is_refused(tmp_path):
    class Other(LanguageModel):
        model_type = "other"

    tiny().save_pretrained(tmp_path)
    with pytest.raises(TypeError, match="holds a RNNModel, not a Other"):
        Other.from_pretrained(tmp_path)


def test_logits_of_takes_logits_and_outputs():
    class Output:
        logits = minilm.zeros(1, 2, 3)

    assert logits_of(Output.logits) is Output.logits
    assert logits_of(Output()) is Output.logits
    with pytest.raises(TypeError, match="got tuple"):
        logits_of((Output.logits,))


def test_read_on_takes_models_without_state():
    logits, state = read_on(nn.Embedding(5, 5), IDS, None)
    assert logits.shape == (2, 5, 5)
    assert state is None


@pytest.mark.parametrize("cell", CELLS)
def test_labels_give_an_output_with_the_loss_of_shifted_ids(cell):
    model = tiny(cell)
    output = model(IDS, labels=IDS)
    logits = model(IDS)
    np.testing.assert_array_equal(output.logits.detach().numpy(), logits.detach().numpy())
    expected = nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), IDS[:, 1:])
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert output["loss"] is output[0] is output.loss
    output.loss.backward()
    assert model.embedding.weight.grad is not None


def test_an_awd_lstm_takes_labels_too():
    minilm.manual_seed(0)
    model = AWDLSTM(5, 4, 6, 2).eval()
    output = model(IDS, labels=IDS)
    np.testing.assert_array_equal(output.logits.detach().numpy(), model(IDS).detach().numpy())
    assert output.loss.item() > 0


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"labels have shape \(2, 4\), expected \(2, 5\)"):
        tiny()(IDS, labels=IDS[:, 1:])


def test_ignored_labels_do_not_count():
    model, labels = tiny(), IDS.copy()
    labels[1] = -100
    assert model(IDS, labels=labels).loss.item() == pytest.approx(
        model(IDS[:1], labels=IDS[:1]).loss.item(), rel=1e-6
    )


def test_a_quantized_model_takes_labels_too():
    model = tiny("lstm").eval()
    exact, rounded = model(IDS, labels=IDS), model.quantize()(IDS, labels=IDS)
    assert rounded.loss.item() == pytest.approx(exact.loss.item(), rel=0.01)
    assert not rounded.loss.requires_grad


# --- minGRU and minLSTM ---------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_a_minimal_cell_learns_what_only_the_state_can_tell(cell):
    """After a 0 or 1 come five blanks; then the first token again. 1/7 of all tokens are open."""
    minilm.manual_seed(0)
    first = np.random.default_rng(0).integers(0, 2, 64)
    ids = np.full((64, 7), 2)
    ids[:, 0] = ids[:, 6] = first
    model = RNNModel(3, 8, 24, cell)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        loss = model(ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with minilm.no_grad():
        right = model(ids).numpy()[:, 5].argmax(-1) == first
    assert loss.item() < 0.05
    assert right.all()


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_a_minimal_cell_learns_the_cycle_and_writes_it(cell, tmp_path):
    minilm.manual_seed(0)
    model = RNNModel(5, 16, 24, cell, num_layers=2)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    ids = (np.arange(8)[:, None] + np.arange(13)) % 5
    for _ in range(60):
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    model.eval().save_pretrained(tmp_path)
    again = RNNModel.from_pretrained(tmp_path)
    assert again.config["cell"] == cell
    cycle = (np.arange(43) % 5).tolist()
    for prompt in (cycle[:3], cycle[:38]):  # read in steps, or at once
        text = again.generate(prompt, max_new_tokens=5, do_sample=False)
        assert text.tolist() == cycle[: len(prompt) + 5]


@pytest.mark.parametrize("cell", CELLS)
def test_documents_behind_one_another_are_read_each_for_itself(cell):
    model = tiny(cell, num_layers=2).eval()
    starts = np.array([[False, False, True, False, False]] * 2)
    logits, _ = model.forward_with_state(IDS, starts=starts)
    alone = [model(IDS[:, :2]), model(IDS[:, 2:])]
    np.testing.assert_allclose(
        logits.detach().numpy(), minilm.cat(alone, 1).detach().numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_a_minimal_cell_has_no_int8_form_and_says_so(cell, tmp_path):
    model = tiny(cell)
    name = {"mingru": "MinGRU", "minlstm": "MinLSTM"}[cell]
    with pytest.raises(TypeError, match=f"no int8 form of {name}.*lstm and gru.*float32"):
        model.quantize()
    model.save_pretrained(tmp_path)
    with pytest.raises(TypeError, match=f"no int8 form of {name}"):
        RNNModel.from_pretrained(tmp_path, load_in_8bit=True)
