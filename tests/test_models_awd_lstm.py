"""AWD-LSTM: its step against the twin, what it carries, writes and saves."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from reference.check import assert_close
from reference.slow import awd_lstm as slow
from safetensors.numpy import load_file

import minilm
import minilm.nn.functional as F
from minilm import nn, optim
from minilm.data.stream import Window
from minilm.models import AWDLSTM, RNNModel, from_pretrained, window_loss
from minilm.models.awd_lstm import PRESETS
from minilm.models.base import read_on

RNG = np.random.default_rng(0)
V, E, H = 11, 6, 10
IDS = RNG.integers(0, V, (3, 8))
SEED = 7


def tiny(cls: type[AWDLSTM] = AWDLSTM, **options) -> AWDLSTM:
    minilm.manual_seed(0)
    return cls(V, E, H, **options)


def losses_of(model: AWDLSTM, ids: np.ndarray = IDS) -> tuple[minilm.Tensor, minilm.Tensor]:
    """Return cross-entropy and penalty of a step whose masks are those of SEED."""
    minilm.manual_seed(SEED)
    return losses_with_fresh_masks(model, ids)


def losses_with_fresh_masks(model: AWDLSTM, ids: np.ndarray) -> tuple[minilm.Tensor, minilm.Tensor]:
    logits = model(ids[:, :-1])
    nats = nn.CrossEntropyLoss()(logits.transpose(1, 2), minilm.tensor(ids[:, 1:]))
    return nats, model.penalty()


def arrays_of(model: AWDLSTM) -> dict[str, np.ndarray]:
    return {name: t.numpy().astype(np.float64) for name, t in model.state_dict().items()}


# --- a training step ------------------------------------------------------------------------------


@pytest.mark.kernels
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_loss_and_penalty_are_the_twins(tied, layers):
    model = tiny(tie_weights=tied, num_layers=layers)
    nats, penalty = losses_of(model)
    expected = slow.loss(model.config, arrays_of(model), IDS[:, :-1], IDS[:, 1:], SEED)
    np.testing.assert_allclose([nats.item(), penalty.item()], expected, rtol=2e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_gradients_are_the_twins_finite_differences(tied):
    """Of ten elements of each parameter: through all masks, both uses of the table, AR and TAR."""
    model = tiny(tie_weights=tied, alpha=20.0, beta=10.0)
    nats, penalty = losses_of(model)
    (nats + penalty).backward()
    params, step = arrays_of(model), 1e-5
    for name, parameter in model.named_parameters():
        grad = parameter.grad.numpy().ravel()
        flat = params[name].ravel()
        places = RNG.choice(flat.size, min(10, flat.size), replace=False)
        numeric = []
        for place in places:
            value, sides = flat[place], []
            for side in (step, -step):
                flat[place] = value + side
                sides.append(sum(slow.loss(model.config, params, IDS[:, :-1], IDS[:, 1:], SEED)))
            flat[place] = value
            numeric.append((sides[0] - sides[1]) / (2 * step))
        assert np.any(numeric), name
        assert_close(grad[places], np.array(numeric), 1e-4, name)


def test_all_the_dropout_there_is_changes_the_loss():
    off = dict.fromkeys(
        ["output_dropout", "hidden_dropout", "input_dropout", "embedding_dropout", "weight_drop"],
        0.0,
    )
    plain = losses_of(tiny(**off))[0].item()
    assert losses_of(tiny(**off))[0].item() == plain
    for name in off:
        assert losses_of(tiny(**{**off, name: 0.5}))[0].item() != plain


def test_evaluation_is_a_plain_lstm():
    """Bit for bit the same layers without any of the wrappers."""
    model = tiny().eval()
    hidden = nn.functional.embedding(IDS, model.embedding.module.weight)
    for rnn in model.rnns:
        hidden, _ = rnn.module(hidden)
    assert model(IDS).equal(model.fc(hidden))
    assert model(IDS).equal(model(IDS))
    assert tiny(num_layers=1, tie_weights=False).eval()(IDS).shape == (3, 8, V)


def test_the_last_layer_is_as_wide_as_the_embedding_where_tied():
    widths = [rnn.module.hidden_size for rnn in tiny().rnns]
    assert widths == [H, H, E]
    assert [rnn.module.hidden_size for rnn in tiny(tie_weights=False).rnns] == [H, H, H]


def test_it_learns():
    minilm.manual_seed(0)
    model = AWDLSTM(5, 16, 24, num_layers=2, input_dropout=0.2, weight_drop=0.2)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    ids = (np.arange(8)[:, None] + np.arange(13)) % 5
    for _ in range(60):
        nats, penalty = losses_with_fresh_masks(model, ids)
        optimizer.zero_grad()
        (nats + penalty).backward()
        optimizer.step()
    nats, _ = losses_of(model.eval(), ids)
    assert nats.item() < 0.3


# --- the penalty ----------------------------------------------------------------------------------


def test_a_penalty_is_given_once_and_in_training_only():
    model = tiny()
    assert model.penalty() is None
    model(IDS)
    assert model.penalty().item() > 0
    assert model.penalty() is None
    model(IDS)
    model.eval()(IDS)
    assert model.penalty() is None
    assert RNNModel(5, 4, 4).penalty() is None


def test_without_weights_there_is_no_penalty():
    model = tiny(alpha=0.0, beta=0.0)
    model(IDS)
    assert model.penalty() is None


@pytest.mark.parametrize("only", ["alpha", "beta"])
def test_each_weight_counts_alone(only):
    weights = {"alpha": 0.0, "beta": 0.0, only: 3.0}
    model = tiny(**weights)
    _, penalty = losses_of(model)
    expected = slow.loss(model.config, arrays_of(model), IDS[:, :-1], IDS[:, 1:], SEED)[1]
    assert penalty.item() == pytest.approx(expected, rel=1e-5)


def test_one_token_a_step():
    model = tiny()
    model(IDS[:, :1])
    assert np.isfinite(model.penalty().item())


def test_a_model_between_forward_and_penalty_can_be_copied():
    model = tiny()
    model(IDS)
    assert copy.deepcopy(model).penalty() is None
    assert model.penalty() is not None


# --- what it carries ------------------------------------------------------------------------------


def test_reading_in_two_parts_with_the_state_is_reading_at_once():
    model = tiny().eval()
    first, state = model.forward_with_state(IDS[:, :3])
    assert [part.shape for part in state] == [(1, 3, H)] * 4 + [(1, 3, E)] * 2
    assert not any(part.requires_grad for part in state)
    second, _ = model.forward_with_state(IDS[:, 3:], state)
    whole = model(IDS).detach().numpy()
    np.testing.assert_allclose(second.detach().numpy(), whole[:, 3:], atol=1e-6)
    np.testing.assert_allclose(first.detach().numpy(), whole[:, :3], atol=1e-6)
    _, same = read_on(model, IDS[:, :3], None)
    assert all(a.equal(b) for a, b in zip(state, same, strict=True))


def test_gradients_flow_through_a_state_that_is_not_cut():
    model, whole = tiny().eval(), tiny().eval()
    _, state = model.forward_with_state(IDS[:, :3], detach=False)
    second, _ = model.forward_with_state(IDS[:, 3:], state)
    second.sum().backward()
    whole(IDS)[:, 3:].sum().backward()
    for ours, theirs in zip(model.parameters(), whole.parameters(), strict=True):
        assert_close(ours.grad.numpy(), theirs.grad.numpy(), 1e-5, str(ours.shape))


def test_a_document_that_starts_in_the_window_is_read_from_zeros():
    model = tiny().eval()
    starts = np.zeros(IDS[:, 1:].shape, bool)
    starts[1, 4] = True
    targets = np.full(IDS[:, 1:].shape, -100)
    targets[1, 4:] = IDS[1, 5:]
    _, state = model.forward_with_state(IDS)
    loss, count, _ = window_loss(model, Window(IDS[:, :-1], targets, starts=starts), state)
    logits = model(IDS[1:2, 4:-1])
    alone = F.cross_entropy(logits.transpose(1, 2), IDS[1:2, 5:], reduction="sum")
    assert count == 3 and loss.item() == pytest.approx(alone.item(), rel=1e-5)


def test_the_state_of_another_model_is_refused():
    model = tiny()
    _, state = RNNModel(V, E, H, "lstm").forward_with_state(IDS)
    with pytest.raises(ValueError, match="the 6 tensors.*3 layers, got 2: is it the state of"):
        model.forward_with_state(IDS, state)
    with pytest.raises(ValueError, match="got Tensor"):
        model.forward_with_state(IDS, state[0])


def train(threads: int) -> AWDLSTM:
    before = minilm.get_num_threads()
    minilm.set_num_threads(threads)
    try:
        minilm.manual_seed(SEED)
        model = AWDLSTM(600, 40, 70)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        for batch in np.random.default_rng(1).integers(0, 600, (4, 16, 33)):
            nats, penalty = losses_with_fresh_masks(model, batch)
            optimizer.zero_grad()
            (nats + penalty).backward()
            optimizer.step()
    finally:
        minilm.set_num_threads(before)
    return model


def test_the_same_bits_on_any_number_of_threads():
    one = train(1).state_dict()
    for threads in (2, 3):
        for name, tensor in train(threads).state_dict().items():
            np.testing.assert_array_equal(tensor.numpy(), one[name].numpy(), err_msg=name)


def test_a_run_that_goes_on_sees_the_masks_it_would_have_seen():
    minilm.manual_seed(0)
    model = tiny()
    losses_with_fresh_masks(model, IDS)
    state = minilm.get_rng_state()
    nats, penalty = (x.item() for x in losses_with_fresh_masks(model, IDS))
    again = AWDLSTM(**model.config)
    again.load_state_dict(model.state_dict())
    minilm.set_rng_state(state)
    assert tuple(x.item() for x in losses_with_fresh_masks(again, IDS)) == (nats, penalty)


# --- writing --------------------------------------------------------------------------------------


class Slow(AWDLSTM):
    """The same, but the decoder must not think that it knows it."""

    def forward_with_state(self, x, state=None, *, detach=True):
        return super().forward_with_state(x, state, detach=detach)


@pytest.mark.kernels
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("prompt", [1, 5, 60])
def test_the_core_writes_what_the_forward_pass_writes(tied, prompt):
    fast, forward = tiny(tie_weights=tied), tiny(Slow, tie_weights=tied)
    with minilm.no_grad():
        for model in (fast, forward):
            for parameter in model.parameters():
                parameter.mul_(3.0)  # far enough from uniform that rounding changes no draw
    assert forward._decoder() is None and fast._decoder() is not None
    ids = np.random.default_rng(2).integers(0, V, (2, prompt))
    written = [model.generate(ids, 30, seed=3).tolist() for model in (fast, forward)]
    assert written[0] == written[1]


@pytest.mark.parametrize("part", ["embedding", "rnns", "fc", "drop_hidden"])
def test_parts_of_a_users_own_are_written_with_by_the_forward_pass(part):
    model = tiny().eval()
    assert model._decoder() is not None
    own = type(f"Own{part}", (type(getattr(model, part)),), {})
    if part == "rnns":
        model.rnns[0].module = nn.LSTM(E, H // 2, bidirectional=True, batch_first=True)
    else:
        getattr(model, part).__class__ = own
    assert model._decoder() is None
    assert model.generate([1, 2], 3, seed=0).shape == (5,)
    with pytest.raises(TypeError, match="AWDLSTM is made of"):
        model.quantize()


def test_writing_sees_weights_that_changed():
    model = tiny()
    before = model._decoder()
    assert model._decoder() is before
    with minilm.no_grad():
        model.rnns[2].module.weight_hh_l0.mul_(2.0)
    assert model._decoder() is not before


def test_int8_logits_are_close_and_its_state_goes_on():
    minilm.manual_seed(0)
    model = AWDLSTM(300, 40, 70).eval()
    with minilm.no_grad():
        model.fc.weight.mul_(10.0)
    ids = RNG.integers(0, 300, (3, 20))
    expected = model(ids).detach().numpy()
    quantized = model.quantize()
    logits, _ = quantized.forward_with_state(ids)
    assert 0 < np.abs(logits.numpy() - expected).max() < 0.03 * np.abs(expected).max()
    _, half = quantized.forward_with_state(ids[:, :9])
    rest, _ = quantized.forward_with_state(ids[:, 9:], half)
    np.testing.assert_array_equal(rest.numpy(), logits.numpy()[:, 9:])


# --- on disk --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_a_round_trip_keeps_every_bit(tmp_path, tied):
    model = tiny(tie_weights=tied, weight_drop=0.25)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (config["model_type"], config["weight_drop"]) == ("awd_lstm", 0.25)
    assert ("fc.weight" in load_file(tmp_path / "model.safetensors")) is not tied
    again = AWDLSTM.from_pretrained(tmp_path)
    assert again.config == model.config and not again.training
    assert (again.fc.weight is again.embedding.module.weight) is tied
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name].numpy(), tensor.numpy())
    with pytest.raises(TypeError, match="holds a AWDLSTM, not a RNNModel"):
        RNNModel.from_pretrained(tmp_path)


def test_names_in_state_dict_do_not_depend_on_dropout():
    off = dict.fromkeys([name for name in tiny().config if "drop" in name], 0.0)
    assert list(tiny(**off).state_dict()) == list(tiny().state_dict())
    assert list(tiny(num_layers=1).state_dict()) == [
        "embedding.module.weight",
        "rnns.0.module.weight_ih_l0",
        "rnns.0.module.weight_hh_l0",
        "rnns.0.module.bias_ih_l0",
        "rnns.0.module.bias_hh_l0",
        "fc.weight",
        "fc.bias",
    ]


# --- presets, errors ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", PRESETS)
def test_presets_are_arguments_that_may_be_changed(level):
    model = AWDLSTM.preset(level, 70, num_layers=2)
    assert model.config == {
        **PRESETS[level],
        "vocab_size": 70,
        "num_layers": 2,
        "tie_weights": True,
    }
    assert AWDLSTM(**model.config).config == model.config


def test_defaults_are_the_papers():
    minilm.manual_seed(0)
    config = AWDLSTM(2).config
    assert (config["embed_size"], config["hidden_size"], config["num_layers"]) == (400, 1150, 3)
    assert (config["alpha"], config["beta"], config["tie_weights"]) == (2.0, 1.0, True)


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="level must be one of char, word; got 'bytes'"):
        AWDLSTM.preset("bytes", 256)


@pytest.mark.parametrize(
    ("name", "value"),
    [("vocab_size", 0), ("hidden_size", -1), ("weight_drop", 1.0), ("input_dropout", -0.1)]
    + [("alpha", -1.0), ("beta", float("nan"))],
)
def test_arguments_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        AWDLSTM(**{"vocab_size": 5, "embed_size": 3, "hidden_size": 4, name: value})


def test_a_folder_with_a_bad_share_says_so(tmp_path):
    tiny().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "weight_drop": 2}), encoding="utf-8")
    with pytest.raises(ValueError, match="does not describe a AWDLSTM: weight_drop is a share"):
        from_pretrained(tmp_path)
