import numpy as np
import pytest

import minilm
from minilm.models import Conv1D

# Against the slow twin and PyTorch it is tested by the cases "linear-transposed" of test_layers.


def test_it_computes_what_a_linear_layer_of_the_transpose_does():
    minilm.manual_seed(0)
    layer, linear = Conv1D(5, 3), minilm.nn.Linear(3, 5)
    linear.load_state_dict({"weight": layer.weight.detach().t(), "bias": minilm.randn(5)})
    layer.bias.data.copy_(linear.bias.detach())
    x = minilm.randn(2, 4, 3)
    expected = linear(x).detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_it_starts_small():
    layer = Conv1D(300, 200)
    assert layer.weight.shape == (200, 300)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not layer.bias.detach().numpy().any()
    assert Conv1D(3, 2, bias=False).bias is None
    assert repr(Conv1D(3, 2)) == "Conv1D(nf=3, nx=2, bias=True)"


def test_a_wrong_width_is_named():
    with pytest.raises(ValueError, match=r"Conv1D: expected input \(..., nx=3\), got shape \(2, 4"):
        Conv1D(5, 3)(minilm.zeros(2, 4))
