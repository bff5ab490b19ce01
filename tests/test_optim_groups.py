from __future__ import annotations

import pytest

import minilm
from minilm import nn, optim
from minilm.optim import decay_groups


class Model(nn.Module):
    """One parameter of each sort."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.rnn = nn.GRU(4, 4)
        self.norm = nn.LayerNorm((2, 4))  # its weight is a matrix, too
        self.fc = nn.Linear(4, 7)
        self.scale = nn.Parameter(minilm.ones(3))
        self.bias_of_pairs = nn.Parameter(minilm.ones(3, 3))
        if tied:
            self.fc.weight = self.embedding.weight


def names(groups) -> list[list[str]]:
    return [[name for name, _ in group["params"]] for group in groups]


MATRICES = ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]
REST = ["rnn.bias_ih_l0", "rnn.bias_hh_l0", "norm.weight", "norm.bias", "fc.bias"]


def test_matrices_decay_and_the_rest_does_not():
    groups = decay_groups(Model(), 0.1)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert names(groups) == [
        ["embedding.weight", *MATRICES, "fc.weight"],
        ["scale", "bias_of_pairs", *REST],
    ]


def test_embeddings_can_be_spared():
    groups = decay_groups(Model(), 0.1, decay_embeddings=False)
    assert names(groups) == [
        [*MATRICES, "fc.weight"],
        ["scale", "bias_of_pairs", "embedding.weight", *REST],
    ]


@pytest.mark.parametrize("decay", [True, False])
def test_a_shared_weight_is_there_once(decay):
    decayed, spared = names(decay_groups(Model(tied=True), 0.1, decay_embeddings=decay))
    assert "fc.weight" not in decayed + spared
    assert ("embedding.weight" in decayed) == decay
    assert ("embedding.weight" in spared) != decay


def test_what_is_not_trained_is_left_out_and_so_is_an_empty_group():
    model = Model()
    for name, param in model.named_parameters():
        param.requires_grad = "weight_ih" in name
    assert names(decay_groups(model, 0.1)) == [["rnn.weight_ih_l0"]]


def test_an_optimizer_knows_the_names():
    model = Model(tied=True)
    optimizer = optim.AdamW(decay_groups(model, 0.1), lr=0.01)
    assert optimizer.param_groups[0]["param_names"] == ["embedding.weight", *MATRICES]
    before = model.norm.weight.detach().clone()
    for param in model.parameters():
        param.grad = minilm.zeros(param.shape)
    optimizer.step()
    assert minilm.equal(model.norm.weight.detach(), before)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="weight_decay must not be negative, got -1"):
        decay_groups(Model(), -1)
    with pytest.raises(ValueError, match="Model has no parameter to train"):
        decay_groups(Model().requires_grad_(False), 0.1)
