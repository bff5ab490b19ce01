import numpy as np
import pytest

import minilm
from minilm.models import LlamaConfig, LlamaForCausalLM

IDS = np.array([[1, 4, 2, 0, 3, 6, 5], [3, 3, 1, 2, 4, 0, 6]])


def tiny(**settings) -> LlamaForCausalLM:
    minilm.manual_seed(0)
    sizes = {
        "vocab_size": 7,
        "hidden_size": 12,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 4,
        "max_position_embeddings": 12,
        "initializer_range": 0.3,
    }
    return LlamaForCausalLM(LlamaConfig(**(sizes | settings))).eval()


def logits(model, ids, **options) -> np.ndarray:
    return model(ids, **options).logits.detach().numpy()


def close(a, b) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_shapes_of_grouped_queries():
    state = tiny().state_dict()
    assert state["model.layers.0.self_attn.q_proj.weight"].shape == (24, 12)
    assert state["model.layers.0.self_attn.k_proj.weight"].shape == (8, 12)
    assert state["model.layers.1.self_attn.o_proj.weight"].shape == (12, 24)
    assert "model.layers.0.self_attn.q_proj.bias" not in state
    assert "lm_head.weight" in state


def test_equal_key_heads_are_shared_heads():
    """Where each group's keys and values are copies, sharing them changes nothing."""
    shared, each = tiny(), tiny(num_key_value_heads=6)
    state = {name: tensor.numpy() for name, tensor in shared.state_dict().items()}
    for name, values in state.items():
        if "k_proj" in name or "v_proj" in name:
            heads = values.reshape(2, 4, 12)
            state[name] = np.repeat(heads, 3, axis=0).reshape(24, 12)
    each.load_state_dict(state)
    close(logits(shared, IDS), logits(each, IDS))


def test_only_distances_count():
    """Rotary positions: a text reads the same wherever it stands."""
    model = tiny()
    there = np.arange(7)[None] + 5
    close(logits(model, IDS), logits(model, IDS, position_ids=there))
    spread = np.arange(7)[None] * 2
    assert not np.allclose(logits(model, IDS), logits(model, IDS, position_ids=spread % 12))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side):
    model, short = tiny(), IDS[1:, :4]
    ids, mask = IDS.copy(), np.ones_like(IDS)
    where = slice(0, 4) if side == "right" else slice(3, 7)
    ids[1], mask[1] = 5, 0
    ids[1, where], mask[1, where] = short, 1
    found = logits(model, ids, attention_mask=mask)
    close(found[0], logits(model, IDS[:1])[0])
    close(found[1, where], logits(model, short)[0])


def test_reading_in_parts_with_a_cache_is_reading_at_once():
    model, cache, parts = tiny(), None, []
    for part in (IDS[:, :3], IDS[:, 3:4], IDS[:, 4:]):
        output = model(part, past_key_values=cache, use_cache=True, output_attentions=True)
        cache = output.past_key_values
        parts.append(output.logits.detach().numpy())
    assert output.attentions[1].shape == (2, 6, 3, 7)
    assert cache.layers[0][0].shape == (2, 2, 7, 4), "keys are kept once a group"
    close(np.concatenate(parts, axis=1), logits(model, IDS, use_cache=False))


def test_tied_and_with_biases():
    model = tiny(tie_word_embeddings=True, attention_bias=True, mlp_bias=True)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.state_dict()["model.layers.0.mlp.down_proj.bias"].shape == (12,)
    model(IDS, labels=IDS).loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_the_vector_of_padding_starts_at_zero():
    table = tiny(pad_token_id=3).state_dict()["model.embed_tokens.weight"].numpy()
    assert not table[3].any() and table[2].any()


def test_dropout_of_attention_acts_in_training_only():
    model = tiny(attention_dropout=0.5)
    np.testing.assert_array_equal(logits(model, IDS), logits(model, IDS))
    model.train()
    assert not np.array_equal(logits(model, IDS), logits(model, IDS))
