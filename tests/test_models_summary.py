"""What a model is made of: numbers against formulas, and a model that stays as it was."""

import numpy as np
import pytest

import minilm
from minilm import nn
from minilm.models import (
    AWDLSTM,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    RNNModel,
    summary,
)

V, C, T, B = 65, 48, 24, 3


def gpt2(**more) -> GPT2LMHeadModel:
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=V, n_positions=32, n_embd=C, n_layer=2, n_head=4, **more)
    )


MODELS = {
    "rnn": lambda: RNNModel(V, 16, 24, "gru", num_layers=2, dropout=0.3),
    "tied": lambda: RNNModel(V, 24, 24, tie_weights=True),
    "awd": lambda: AWDLSTM(V, 16, 24),
    "gpt2": gpt2,
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(
            vocab_size=V,
            hidden_size=C,
            intermediate_size=60,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=32,
        )
    ),
    "distilbert": lambda: DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=V, dim=C, hidden_dim=60, n_layers=2, n_heads=4, max_position_embeddings=32
        )
    ),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("depth", [None, 1, 2, 9])
def test_parts_add_up_and_nothing_changes(make, depth):
    model = make().eval()
    next(model.children()).train()
    modes = [module.training for module in model.modules()]
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    state = minilm.get_rng_state().numpy().copy()
    found = model.summary(B, T, depth)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.parameters == sum(part.parameters for part in found.parts)
    assert found.multiply_adds == model.summary(B, T).multiply_adds > 0
    assert found.activations > 0
    assert [module.training for module in model.modules()] == modes
    assert not any(module.has_hooks for module in model.modules())
    np.testing.assert_array_equal(minilm.get_rng_state().numpy(), state)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_a_recurrent_layer_multiplies_g_h_i_plus_h_a_token(cell, gates):
    found = RNNModel(V, 16, 24, cell).summary(B, T)
    tokens = B * T
    assert found.multiply_adds == tokens * (gates * 24 * (16 + 24) + V * 24)
    work = {part.name: part.multiply_adds for part in found.parts}
    assert work["embedding"] == 0


def test_gpt_multiplies_12_c_squared_a_block_and_what_is_seen():
    found = gpt2().summary(B, T)
    seen = T * (T + 1) // 2
    assert found.multiply_adds == 2 * (12 * C * C * B * T + 2 * seen * C * B) + V * C * B * T
    [head] = [part for part in found.parts if part.name == "lm_head"]
    assert (head.kind, head.parameters) == ("Linear (tied)", 0)
    assert [part.output for part in found.parts if part.name.startswith("transformer.h.")] == [
        (B, T, C)
    ] * 2


@pytest.mark.parametrize("batch_first", [False, True])
def test_multihead_attention(batch_first):
    attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    x = minilm.zeros(2, 5, 8) if batch_first else minilm.zeros(5, 2, 8)
    output = attention(x, x, x)
    assert nn.work.multiply_adds(attention, output) == 10 * 3 * 64 + 2 * 2 * 25 * 8


def test_a_model_of_ones_own():
    class Tutorial(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(V, 8)
            self.rnn = nn.RNN(8, 12, batch_first=True)
            self.fc = nn.Linear(12, V)

        def forward(self, x):
            out, _ = self.rnn(self.embedding(x))
            return self.fc(out)

    found = summary(Tutorial(), batch_size=2)
    assert [part.output for part in found.parts] == [(2, 64, 8), (2, 64, 12), (2, 64, V)]
    assert found.multiply_adds == 128 * (12 * 20 + 12 * V)


def test_frozen_parameters_are_said():
    model = gpt2()
    model.transformer.wte.weight.requires_grad_(False)
    found = model.summary()
    assert found.time == 32  # as many as it can read
    assert found.parameters - found.trainable == V * C
    assert f"{V * C:,} of them frozen" in str(found)


def test_activations_grow_with_the_batch_and_shrink_with_checkpointing():
    model = gpt2()
    small, large = (model.summary(batch, T).activations for batch in (2, 8))
    assert large == pytest.approx(4 * small, rel=0.1)
    model.gradient_checkpointing_enable()
    assert model.summary(8, T).activations < large / 2
    assert model.summary(8, T).multiply_adds == gpt2().summary(8, T).multiply_adds


def test_it_is_a_table():
    found = gpt2().summary(1, 8)
    lines = str(found).splitlines()
    assert lines[0].split() == ["part", "kind", "output", "parameters", "multiply-adds"]
    assert len({line.index("(1, 8, ") for line in lines if "(1, 8, " in line}) == 1
    html = found._repr_html_()
    assert html.count("<tr>") == 1 + len(found.parts)
    assert "transformer.h.1" in html
    assert lines[-1].startswith("memory      weights")


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"time": -1}, {"depth": 0}])
def test_sizes_must_be_positive(wrong):
    [name] = wrong
    with pytest.raises(ValueError, match=f"{name} of at least 1, got {wrong[name]}"):
        gpt2().summary(**wrong)
