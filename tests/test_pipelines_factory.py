import pytest
from tokenization_helpers import byte_pairs

import minilm
from minilm.models import FolderError, HubError
from minilm.pipelines import pipeline


def test_unknown_tasks_are_refused():
    with pytest.raises(ValueError, match="a task is one of text-classification,.*'fill-mask'"):
        pipeline("fill-mask")


def test_a_model_comes_with_its_tokenizer(tmp_path):
    settings = dict(n_embd=4, n_layer=1, n_head=1, n_positions=8)
    tokenizer = byte_pairs(tmp_path)
    model = minilm.GPT2LMHeadModel(minilm.GPT2Config(vocab_size=len(tokenizer), **settings))
    with pytest.raises(ValueError, match="pass tokenizer= as well"):
        pipeline("text-generation", model)
    model.save_pretrained(tmp_path / "model")
    write = pipeline("text-generation", tmp_path / "model", tokenizer, max_new_tokens=2)
    assert len(write("a")) == 1
    with pytest.raises(FolderError, match="no tokenizer"):
        pipeline("text-generation", tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "other")
    write = pipeline("text-generation", str(tmp_path / "model"), str(tmp_path / "other"))
    assert write.tokenizer.get_vocab() == tokenizer.get_vocab()


def test_the_model_tells_the_task(tmp_path):
    tokenizer = byte_pairs(tmp_path)
    sizes = dict(vocab_size=len(tokenizer), n_layers=1, n_heads=1, max_position_embeddings=8)
    config = minilm.DistilBertConfig(dim=4, hidden_dim=4, **sizes)
    settings = dict(n_embd=4, n_layer=1, n_head=1, n_positions=8)
    writer = minilm.GPT2LMHeadModel(minilm.GPT2Config(vocab_size=len(tokenizer), **settings))
    judge = minilm.AutoModelForSequenceClassification.from_config(config)
    for model, runner in ((writer, "TextGeneration"), (judge, "TextClassification")):
        folder = tmp_path / runner
        model.save_pretrained(folder, tokenizer)
        for made in (pipeline(model=model, tokenizer=tokenizer), pipeline(model=str(folder))):
            assert type(made).__name__ == runner + "Pipeline"
    own = minilm.nn.Embedding(len(tokenizer), len(tokenizer))  # the smallest language model
    assert type(pipeline(model=own, tokenizer=tokenizer)).__name__ == "TextGenerationPipeline"
    with pytest.raises(ValueError, match="a task is one of .*; got None"):
        pipeline()


@pytest.mark.parametrize("device", [None, -1, "cpu"])
def test_devices(device, tmp_path):
    with pytest.raises(FolderError):
        pipeline("text-generation", tmp_path, device=device)
    with pytest.raises(RuntimeError, match="CPU only"):
        pipeline("text-generation", tmp_path, device=0)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("sentiment-analysis", "distilbert/distilbert-base-uncased-finetuned-sst-2-english"),
        ("text-generation", "openai-community/gpt2"),
    ],
)
def test_without_a_network_the_default_says_what_to_do(task, name, monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HubError, match=f"hf download {name}") as caught:
        pipeline(task)
    assert name in caught.value.__notes__[0] and "model='FOLDER'" in caught.value.__notes__[0]
    with pytest.raises(HubError) as caught:
        pipeline(task, "somebody/other")
    assert not hasattr(caught.value, "__notes__")
