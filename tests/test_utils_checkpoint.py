"""Activation recomputation: the same bits, less memory."""

from __future__ import annotations

import numpy as np
import pytest

import minilm
import minilm.nn.functional as F
from minilm import _core, nn
from minilm.models import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    RNNModel,
)
from minilm.training import Trainer, TrainingArguments
from minilm.training.estimate import estimate
from minilm.utils.checkpoint import checkpoint

IDS = np.random.default_rng(0).integers(0, 11, (3, 8))


def leaf(*shape: int) -> minilm.Tensor:
    return minilm.randn(*shape, generator=minilm.Generator(3)).requires_grad_()


def gradients(*leaves: minilm.Tensor) -> list[np.ndarray | None]:
    found = [None if one.grad is None else one.grad.numpy().copy() for one in leaves]
    for one in leaves:
        one.grad = None
    return found


def same(ours, theirs) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


# --- the function ---------------------------------------------------------------------------------


class Stretch(nn.Module):
    """Dropout, a residual sum, and something read besides the argument."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 4)
        self.drop = nn.Dropout(0.4)

    def forward(self, x, other=None):
        y = x + self.second(self.drop(self.first(x).tanh()))
        return y if other is None else (y * other, {"sum": y.sum(), "n": 3}, None, other)


@pytest.fixture
def stretch() -> Stretch:
    minilm.manual_seed(0)
    return Stretch()


def run(stretch, x, *, recompute: bool, **options):
    minilm.manual_seed(1)
    y = checkpoint(stretch, x, **options) if recompute else stretch(x)
    (y * y).sum().backward()
    drawn = minilm.rand(2).tolist()
    return y.detach().numpy(), gradients(x, *stretch.parameters()), drawn


def test_bits_gradients_and_random_numbers_are_those_of_the_plain_call(stretch):
    x = leaf(5, 4)
    plain, again = (run(stretch, x, recompute=flag) for flag in (False, True))
    np.testing.assert_array_equal(plain[0], again[0])
    same(plain[1], again[1])
    assert plain[2] == again[2]


def test_nothing_inside_is_kept(stretch):
    x = leaf(5, 4)
    y = checkpoint(stretch, x)
    assert y.grad_fn.name == "checkpoint"
    leaves = {id(edge) for edge in y.grad_fn.edges}
    assert leaves == {id(x), *(id(p) for p in stretch.parameters())}


def test_many_results_and_arguments(stretch):
    x, other = leaf(5, 4), leaf(5, 4)

    def total(recompute):
        minilm.manual_seed(1)
        scaled = other * 2  # read by the stretch, made before it
        call = (lambda *a: checkpoint(stretch, a[0], other=a[1])) if recompute else stretch
        product, more, nothing, passed = call(x.tanh(), scaled)
        assert (more["n"], nothing) == (3, None)
        assert passed is scaled
        (product.sum() + 3 * more["sum"] + passed.sum()).backward()
        return gradients(x, other, *stretch.parameters())

    same(total(False), total(True))


def test_a_result_that_nobody_uses(stretch):
    x, other = leaf(5, 4), leaf(5, 4)
    checkpoint(stretch, x, other=other)[1]["sum"].backward()
    assert other.grad is None
    assert x.grad is not None


def test_stretches_inside_stretches(stretch):
    x = leaf(5, 4)

    def twice(recompute):
        minilm.manual_seed(1)
        inner = (lambda z: checkpoint(stretch, z)) if recompute else stretch
        y = checkpoint(lambda z: inner(inner(z)), x) if recompute else stretch(stretch(x))
        y.sum().backward()
        return gradients(x, *stretch.parameters())

    same(twice(False), twice(True))


def test_the_same_tensor_read_twice_and_one_that_is_deferred():
    table, ids = leaf(9, 4), np.array([[1, 2, 1]])

    def total(recompute):
        x = F.embedding(ids, table)
        call = checkpoint if recompute else (lambda function, *a: function(*a))
        call(lambda one, two: (one * two).tanh() @ table.transpose(0, 1), x, x).sum().backward()
        return gradients(table)

    same(total(False), total(True))


def test_without_recording_it_is_a_plain_call(stretch):
    with minilm.no_grad():
        assert checkpoint(stretch, leaf(5, 4)).grad_fn is None
    for parameter in stretch.parameters():
        parameter.requires_grad_(False)
    assert checkpoint(stretch, minilm.ones(5, 4)).grad_fn is None


def test_an_argument_that_needs_no_gradient(stretch):
    x = minilm.ones(5, 4)
    minilm.manual_seed(1)
    checkpoint(stretch, x).sum().backward()
    ours = gradients(*stretch.parameters())
    minilm.manual_seed(1)
    stretch(x).sum().backward()
    same(ours, gradients(*stretch.parameters()))


def test_a_second_backward():
    x = leaf(3)
    y = checkpoint(lambda z: z.exp(), x)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(x.detach().numpy()), rtol=1e-6)
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


def test_a_tensor_that_was_written_to_since_is_noticed(stretch):
    y = checkpoint(stretch, leaf(5, 4))
    with minilm.no_grad():
        stretch.first.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation: checkpoint"):
        y.sum().backward()


def test_a_function_that_does_otherwise_the_second_time_is_told():
    calls = []

    def grows(x):
        calls.append(x)
        return x.repeat(len(calls)) * 2

    with pytest.raises(RuntimeError, match=r"grows returned .*\[\(6,\)\], before \[\(3,\)\]"):
        checkpoint(grows, leaf(3)).sum().backward()


def test_an_error_in_between_leaves_the_random_stream_where_it_was():
    def fails(x):
        if calls.pop():
            raise KeyboardInterrupt
        return minilm.rand(3) * x

    calls = [True, False]
    loss = checkpoint(fails, leaf(3)).sum()
    state = minilm.get_rng_state().numpy()
    with pytest.raises(KeyboardInterrupt):
        loss.backward()
    np.testing.assert_array_equal(minilm.get_rng_state().numpy(), state)


def test_pytorchs_gradients():
    torch = pytest.importorskip("torch")
    theirs_too = pytest.importorskip("torch.utils.checkpoint").checkpoint
    x = leaf(4, 3)
    checkpoint(lambda z: (z * z).tanh() * z, x, use_reentrant=False).sum().backward()
    theirs = torch.tensor(x.detach().numpy(), requires_grad=True)
    out = theirs_too(lambda z: (z * z).tanh() * z, theirs, use_reentrant=False)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), theirs.grad.numpy(), rtol=1e-5, atol=1e-6)


# --- models ---------------------------------------------------------------------------------------


def gpt2(dropout: float = 0.2, layers: int = 3, **more) -> GPT2LMHeadModel:
    drops = dict.fromkeys(["resid_pdrop", "embd_pdrop", "attn_pdrop"], dropout)
    sizes = {"vocab_size": 11, "n_positions": 64, "n_embd": 12, "n_layer": layers, "n_head": 3}
    return GPT2LMHeadModel(GPT2Config(**(sizes | drops | more)))


def llama() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=11, hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=16,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def distilbert() -> DistilBertForSequenceClassification:
    config = DistilBertConfig(vocab_size=11, dim=12, n_layers=2, n_heads=3, hidden_dim=16)
    return DistilBertForSequenceClassification(config)


MODELS = [gpt2, llama, distilbert]


@pytest.mark.parametrize("make", MODELS)
def test_a_model_learns_the_same_bits(make):
    labels = np.array([0, 1, 1]) if make is distilbert else IDS
    mask = np.ones_like(IDS)
    mask[1, :2] = 0

    def learn(recompute):
        minilm.manual_seed(0)
        model = make().train()
        if recompute:
            model.gradient_checkpointing_enable()
        assert model.is_gradient_checkpointing == recompute
        for _ in range(2):  # accumulated
            loss = model(IDS, attention_mask=mask, labels=labels).loss
            loss.backward()
        return [loss.detach().numpy(), *gradients(*model.parameters())]

    same(learn(False), learn(True))


def test_it_takes_a_fraction_of_the_memory():
    ids = np.random.default_rng(0).integers(0, 11, (8, 64))

    def used(recompute):
        model = gpt2(layers=12, n_embd=48).train()
        if recompute:
            model.gradient_checkpointing_enable()
        before = _core.buffer_stats()["used"]
        loss = model(ids, labels=ids).loss
        return _core.buffer_stats()["used"] - before, loss

    (plain, _), (ours, loss) = used(False), used(True)
    assert ours < 0.15 * plain
    loss.backward()
    del loss
    args = TrainingArguments(gradient_checkpointing=True)
    model = gpt2(layers=12, n_embd=48)
    batches = minilm.data.DataLoader([{"input_ids": row, "labels": row} for row in ids], 8)
    estimates = [estimate(model, batches, a, timed=False) for a in (TrainingArguments(), args)]
    assert estimates[1].activations < 0.4 * estimates[0].activations
    assert not model.is_gradient_checkpointing


def test_outside_training_nothing_changes():
    model = gpt2().eval()
    model.gradient_checkpointing_enable()
    output = model(IDS, use_cache=True, output_attentions=True, output_hidden_states=True)
    assert output.past_key_values is not None and len(output.attentions) == 3
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


def test_attentions_and_states_are_there():
    model = gpt2(0.0).train()
    plain = model(IDS, output_attentions=True, output_hidden_states=True)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    again = model(IDS, output_attentions=True, output_hidden_states=True)
    for name in ("attentions", "hidden_states"):
        for one, other in zip(getattr(plain, name), getattr(again, name), strict=True):
            np.testing.assert_array_equal(one.detach().numpy(), other.detach().numpy())


def test_a_cache_would_be_filled_twice():
    model = gpt2().train()
    model.gradient_checkpointing_enable()
    with pytest.warns(UserWarning, match="use_cache=True is incompatible"):
        assert model(IDS, use_cache=True).past_key_values is None
    with pytest.raises(ValueError, match=r"past_key_values.*gradient_checkpointing_disable"):
        model(IDS, past_key_values=DynamicCache())


def test_models_without_blocks_say_so():
    model = RNNModel(11, 4, 4)
    with pytest.raises(ValueError, match="RNNModel does not support gradient checkpointing"):
        model.gradient_checkpointing_enable()
    args = TrainingArguments(gradient_checkpointing=True, disable_tqdm=True)
    with pytest.raises(ValueError, match="RNNModel does not support"):
        Trainer(model, args, train_dataset=IDS.reshape(-1)).train()
    with pytest.raises(ValueError, match=r"not for Linear.*utils\.checkpoint"):
        Trainer(nn.Linear(2, 2), args, train_dataset=IDS.reshape(-1)).train()


def test_a_run_goes_on_with_it_or_without(tmp_path):
    def train(name, **settings):
        minilm.manual_seed(0)
        model = gpt2()
        args = TrainingArguments(
            output_dir=str(tmp_path / name),
            lr_scheduler_type="constant",
            disable_tqdm=True,
            save_steps=2,
            **settings,
        )
        data = [{"input_ids": row, "labels": row} for row in IDS.repeat(4, axis=0)]
        Trainer(model, args, train_dataset=data).train()
        return [p.detach().numpy() for p in model.parameters()]

    whole = train("a", max_steps=4)
    train("b", max_steps=2, gradient_checkpointing=True)
    (again,) = [train("b", max_steps=4, gradient_checkpointing=True, resume_from_checkpoint=True)]
    same(whole, again)
