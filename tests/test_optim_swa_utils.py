"""Averages of weights: PyTorch's values, swapping, state, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from reference import stored
from reference.schedules import AVERAGES, average

import minilm
from minilm import nn
from minilm.optim import swa_utils
from minilm.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Tied(nn.Module):
    """An embedding whose table is the head's weight, too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.fc = nn.Linear(4, 5)
        self.fc.weight = self.embedding.weight
        self.register_buffer("seen", minilm.tensor([0, 0]))

    def forward(self, ids):
        return self.fc(self.embedding(ids))


def weights(model) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def change(model, step: int) -> None:
    draws = np.random.default_rng(step)
    with minilm.no_grad():
        for param in model.parameters():
            param.copy_(minilm.tensor(draws.normal(size=param.shape).astype(np.float32)))


def assert_equal(ours, theirs) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], name)


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_are_those_of_pytorch(name):
    expected = stored.load("averages")[name]
    np.testing.assert_allclose(average(minilm, swa_utils, name), expected, rtol=0, atol=3e-7)


@pytest.mark.parametrize("name", AVERAGES)
def test_they_follow_pytorch_live(name):
    torch = pytest.importorskip("torch")
    expected = average(torch, torch.optim.swa_utils, name)
    np.testing.assert_allclose(average(minilm, swa_utils, name), expected, rtol=0, atol=3e-7)


def test_by_default_all_steps_count_the_same():
    model = nn.Linear(2, 2)
    averaged = AveragedModel(model)
    seen = []
    for step in range(7):
        change(model, step)
        averaged.update_parameters(model)
        seen.append(weights(model)["weight"])
    np.testing.assert_allclose(averaged.module.weight.detach(), np.mean(seen, 0), atol=1e-6)
    assert averaged.n_averaged.item() == 7


def test_the_averaged_model_computes_and_has_no_gradients_of_the_other():
    model = Tied()
    model(minilm.tensor([[1, 2]])).sum().backward()
    averaged = AveragedModel(model)
    assert all(param.grad is None for param in averaged.parameters())
    assert all(param.grad is not None for param in model.parameters())
    ids = minilm.tensor([[0, 3]])
    np.testing.assert_array_equal(averaged(ids).detach(), model(ids).detach())


def test_a_shared_weight_stays_shared_and_is_averaged_once():
    model = Tied()
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    averaged.update_parameters(model)
    first = weights(model)["fc.weight"]
    change(model, 1)
    averaged.update_parameters(model)
    assert averaged.module.fc.weight is averaged.module.embedding.weight
    expected = (first + weights(model)["fc.weight"]) / 2
    np.testing.assert_allclose(averaged.module.fc.weight.detach(), expected, atol=1e-7)


def test_buffers_of_whole_numbers_are_copied_even_where_buffers_are_averaged():
    model = Tied()
    averaged = AveragedModel(model, use_buffers=True)
    for step in range(3):
        model.seen[0] = step
        averaged.update_parameters(model)
    assert averaged.module.seen.tolist() == [2, 0]


def test_writing_into_the_averages_is_announced():
    model = nn.Linear(2, 2)
    averaged = AveragedModel(model)
    averaged.update_parameters(model)
    before = averaged.module.weight._version
    averaged.update_parameters(model)
    assert averaged.module.weight._version > before


def test_averages_are_swapped_in_and_taken_back_to_the_bit():
    model = Tied()
    averaged = AveragedModel(model)
    for step in range(3):
        change(model, step)
        averaged.update_parameters(model)
    own, mean = weights(model), weights(averaged.module)
    with averaged.swapped_in(model) as swapped:
        assert swapped is model
        assert_equal(weights(model), mean)
    assert_equal(weights(model), own)
    with pytest.raises(KeyError), averaged.swapped_in(model):
        change(model, 9)
        raise KeyError("anything")
    assert_equal(weights(model), own)
    assert_equal(weights(averaged.module), mean)


def test_what_is_swapped_in_is_noticed_by_generation():
    minilm.manual_seed(0)
    model = minilm.RNNModel(11, 8, 16)
    averaged = AveragedModel(model)
    other = minilm.RNNModel(11, 8, 16)
    averaged.update_parameters(other)

    def written(m):
        return m.generate(np.array([[1]]), 12, do_sample=False).tolist()

    before = written(model)
    with averaged.swapped_in(model):
        assert written(model) == written(other) != before
    assert written(model) == before


def test_training_with_averages_goes_on_from_a_state(tmp_path):
    def run(steps, averaged, model):
        for step in steps:
            change(model, step)
            averaged.update_parameters(model)

    ema = get_ema_multi_avg_fn(0.9)
    model = Tied()
    averaged = AveragedModel(model, multi_avg_fn=ema)
    run(range(5), averaged, model)
    minilm.save(averaged.state_dict(), tmp_path / "average.safetensors")
    run(range(5, 9), averaged, model)

    resumed = AveragedModel(model, multi_avg_fn=ema)
    resumed.load_state_dict(minilm.load(tmp_path / "average.safetensors"))
    assert list(resumed.state_dict())[0] == "n_averaged"
    run(range(5, 9), resumed, model)
    assert_equal(weights(resumed), weights(averaged))


def test_wrong_arguments_are_refused():
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="one of avg_fn and multi_avg_fn"):
        AveragedModel(model, avg_fn=min, multi_avg_fn=min)
    for make in (get_ema_multi_avg_fn, swa_utils.get_ema_avg_fn):
        with pytest.raises(ValueError, match="decay must be between 0 and 1, got 1.5"):
            make(1.5)


@pytest.mark.parametrize("other", [nn.Linear(3, 2), nn.Linear(2, 2, bias=False)])
def test_a_model_of_another_kind_is_refused_and_nothing_changes(other):
    averaged = AveragedModel(nn.Linear(2, 2))
    before = weights(averaged)
    with pytest.raises(ValueError, match="not of the kind that was copied: (weight|bias) has"):
        averaged.update_parameters(other)
    with pytest.raises(ValueError, match="not of the kind"), averaged.swapped_in(other):
        pass
    assert_equal(weights(averaged), before)
