"""Weights move both ways between minilm and PyTorch, and from equal weights both learn alike."""

from __future__ import annotations

import numpy as np
import pytest
from reference import stored, training
from reference.check import assert_close
from reference.named import MODULES
from reference.trajectories import CLIP_VALUE, CLIPS, OPTIMIZERS, clip, clip_value, optimize

import minilm


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("name", MODULES)
def test_state_dict_has_pytorch_names_order_and_shapes(name):
    state = MODULES[name](minilm).state_dict()
    shapes = [(key, list(value.shape)) for key, value in state.items()]
    assert shapes == list(stored.state_dicts()[name].items())


@pytest.mark.parametrize("name", MODULES)
def test_pytorch_weights_load_into_minilm(torch, name):
    theirs, ours = MODULES[name](torch), MODULES[name](minilm)
    state = {key: value.numpy() for key, value in theirs.state_dict().items()}
    ours.load_state_dict({key: minilm.tensor(value) for key, value in state.items()})
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key])


@pytest.mark.parametrize("name", MODULES)
def test_minilm_weights_load_into_pytorch(torch, name):
    theirs, ours = MODULES[name](torch), MODULES[name](minilm)
    state = {key: value.numpy() for key, value in ours.state_dict().items()}
    theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key])


@pytest.mark.kernels
@pytest.mark.parametrize("cell", training.CELLS)
def test_training_follows_pytorch_losses(cell):
    expected = stored.load("losses")[cell]
    losses = np.array(training.train(minilm, cell))
    assert expected[-1] < expected[0] - 0.5, "a run that learns nothing would prove nothing"
    assert np.abs(losses - expected).max() < 1e-3


@pytest.mark.kernels
@pytest.mark.parametrize("run", OPTIMIZERS, ids=str)
def test_optimizer_follows_pytorch(run):
    assert_close(optimize(minilm, run), stored.load("optimizers")[run.name], 2e-6, run.name)


@pytest.mark.kernels
@pytest.mark.parametrize(("max_norm", "norm_type"), CLIPS)
def test_clipping_by_norm_follows_pytorch(max_norm, norm_type):
    norm, grads = clip(minilm, max_norm, norm_type)
    expected = stored.load("clipping")[f"{max_norm}/{norm_type}"]
    assert_close(np.append(norm, grads), expected, 1e-6, "clip_grad_norm_")


@pytest.mark.kernels
def test_clipping_by_value_follows_pytorch():
    grads = clip_value(minilm, CLIP_VALUE)
    assert_close(grads, stored.load("clipping")["value"], 1e-6, "clip_grad_value_")
