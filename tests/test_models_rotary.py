import numpy as np
import pytest

from minilm.models import rotary

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def frequencies(size=128, **parameters):
    return rotary.inverse_frequencies(size, rotary.checked_parameters(parameters))


def test_the_first_point_turns_by_one_radian_and_the_last_by_little():
    found = frequencies(4)
    np.testing.assert_allclose(found, [1.0, 0.01], rtol=1e-6)
    assert found.dtype == np.float32


def test_linear_scaling_divides_all():
    linear = frequencies(rope_type="linear", factor=4.0)
    np.testing.assert_allclose(linear, frequencies() / 4, rtol=1e-6)


def test_llama3_leaves_high_frequencies_divides_low_ones_and_blends_between():
    plain, found = frequencies(), frequencies(**LLAMA3)
    turns = 8192 * plain / (2 * np.pi)
    np.testing.assert_array_equal(found[turns >= 4], plain[turns >= 4])
    np.testing.assert_allclose(found[turns <= 1], plain[turns <= 1] / 8, rtol=1e-6)
    between = (turns > 1) & (turns < 4)
    assert between.any()
    assert ((found < plain) & (found > plain / 8))[between].all()


def test_llama3_agrees_with_transformers():
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch")
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = transformers.LlamaConfig(
        hidden_size=512, num_attention_heads=4, rope_parameters=dict(LLAMA3)
    )
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config)
    np.testing.assert_allclose(frequencies(**LLAMA3), expected.numpy(), rtol=1e-6)


def test_equal_factors_do_not_divide_by_zero():
    found = frequencies(**(LLAMA3 | {"high_freq_factor": 1.0}))
    assert np.isfinite(found).all()
