from minilm.models import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    RNNModel,
)
from minilm.models.model_card import model_card


def header(card: str) -> dict[str, str]:
    """Return the plain entries between the first two lines of dashes."""
    lines = card.split("---\n")[1].splitlines()
    return dict(line.split(": ") for line in lines if ": " in line)


def test_a_language_model_of_a_known_architecture():
    model = GPT2LMHeadModel(GPT2Config.from_preset("gpt-nano", vocab_size=65, n_positions=64))
    card = model_card(model, "user/my-gpt")
    assert header(card) == {"library_name": "transformers", "pipeline_tag": "text-generation"}
    assert "- gpt2\n" in card and "# my-gpt\n" in card
    assert f"A GPT2LMHeadModel of {model.num_parameters():,} parameters" in card
    assert 'minilm.AutoModelForCausalLM.from_pretrained("user/my-gpt")' in card


def test_a_recurrent_model_is_minilms_own():
    assert header(model_card(RNNModel(5, 3, 4), "a/b"))["library_name"] == "minilm"


def test_a_classifier():
    config = DistilBertConfig(vocab_size=9, dim=4, hidden_dim=4, n_layers=1, n_heads=1)
    card = model_card(DistilBertForSequenceClassification(config), "a/b")
    assert header(card)["pipeline_tag"] == "text-classification"
    assert "AutoModelForSequenceClassification" in card
