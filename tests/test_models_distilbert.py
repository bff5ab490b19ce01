import numpy as np
import pytest

import minilm
from minilm import optim
from minilm.models import DistilBertConfig, DistilBertForSequenceClassification

IDS = np.array([[1, 4, 2, 7, 3, 6, 5], [1, 3, 8, 2, 4, 7, 6]])


def tiny(**settings) -> DistilBertForSequenceClassification:
    minilm.manual_seed(0)
    sizes = {
        "vocab_size": 9,
        "max_position_embeddings": 10,
        "dim": 12,
        "hidden_dim": 20,
        "n_layers": 2,
        "n_heads": 3,
        "initializer_range": 0.3,
    }
    return DistilBertForSequenceClassification(DistilBertConfig(**(sizes | settings))).eval()


def close(a, b) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_padding_on_the_right_changes_nothing():
    model, ids, mask = tiny(), IDS.copy(), np.ones_like(IDS)
    ids[1, 4:], mask[1, 4:] = 0, 0
    found = model(ids, attention_mask=mask).logits
    close(found[1], model(IDS[1:, :4]).logits[0])
    close(found[0], model(IDS[:1]).logits[0])


def test_every_position_sees_every_other():
    output = tiny()(IDS, output_attentions=True, output_hidden_states=True)
    assert [w.shape for w in output.attentions] == [(2, 3, 7, 7)] * 2
    assert (output.attentions[0].detach().numpy() > 0).all()
    assert [x.shape for x in output.hidden_states] == [(2, 7, 12)] * 3
    assert output.logits.shape == (2, 2)
    assert tiny()(IDS).attentions is None


def test_waves_as_positions():
    model = tiny(sinusoidal_pos_embds=True)
    table = model.distilbert.embeddings.position_embeddings.weight
    assert not table.requires_grad
    np.testing.assert_allclose(table.numpy()[1, :2], [np.sin(1), np.cos(1)], rtol=1e-6)
    np.testing.assert_allclose(table.numpy()[:, 11], np.cos(np.arange(10) / 10000 ** (10 / 12)))


def test_waves_agree_with_transformers():
    modeling = pytest.importorskip("transformers.models.distilbert.modeling_distilbert")
    import torch

    expected = modeling._create_sinusoidal_embeddings(10, 12, torch.zeros(10, 12)).numpy()
    table = tiny(sinusoidal_pos_embds=True).distilbert.embeddings.position_embeddings.weight
    np.testing.assert_allclose(table.numpy(), expected, atol=1e-7)


def test_it_learns_classes():
    model = tiny(dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0).train()
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    labels = np.array([1, 0])
    for _ in range(30):
        loss = model(IDS, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert model.eval()(IDS).logits.argmax(-1).tolist() == [1, 0]
    assert not model.distilbert.embeddings.word_embeddings.weight.detach().numpy()[0].any()


def test_dropout_acts_in_training_only():
    model = tiny()
    close(model(IDS).logits, model(IDS).logits)
    model.train()
    first, second = (model(IDS).logits.detach().numpy() for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("ids", "options", "error", "message"),
    [
        ([[9]], {}, IndexError, "id 9 at"),
        ([[1] * 11], {}, ValueError, "has 11 tokens, but the model has 10 positions"),
        (IDS, {"labels": np.array([0, 2])}, IndexError, "target 2"),
        (IDS, {"labels": IDS}, ValueError, r"labels have shape \(2, 7\), expected \(2,\)"),
    ],
)
def test_wrong_arguments_say_so(ids, options, error, message):
    with pytest.raises(error, match=message):
        tiny()(ids, **options)
