import numpy as np
import pytest
from tokenization_helpers import word_pieces

import minilm
from minilm.pipelines import TextClassificationPipeline, pipeline

TEXTS = ["the cat sat on the mat", "a dog", "hello world and a cat"]


def classifier(tokenizer, labels=("NEGATIVE", "POSITIVE"), **settings):
    minilm.manual_seed(0)
    config = minilm.DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=16,
        n_layers=2,
        n_heads=2,
        hidden_dim=32,
        max_position_embeddings=16,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        **settings,
    )
    return minilm.DistilBertForSequenceClassification(config)


@pytest.fixture
def folder(tmp_path):
    tokenizer = word_pieces(tmp_path, model_max_length=16)
    classifier(tokenizer, ["bad", "fair", "good"]).save_pretrained(tmp_path / "model", tokenizer)
    return tmp_path / "model"


def test_results_are_softmax_of_the_logits(folder):
    classify = pipeline("text-classification", folder)
    assert isinstance(classify, TextClassificationPipeline)
    tokenizer = minilm.AutoTokenizer.from_pretrained(folder)
    model = minilm.AutoModelForSequenceClassification.from_pretrained(folder)
    logits = model(**tokenizer(TEXTS[0], return_tensors="pt")).logits.detach().numpy()[0]
    scores = np.exp(logits) / np.exp(logits).sum()
    found = classify(TEXTS[0], top_k=None)
    assert [entry["score"] for entry in found] == pytest.approx(sorted(scores)[::-1], rel=1e-5)
    names = np.array(["bad", "fair", "good"])
    assert [entry["label"] for entry in found] == list(names[np.argsort(-scores)])
    assert classify(TEXTS[0]) == [found[0]]
    assert classify(TEXTS[0], top_k=2) == found[:2]


def test_a_text_is_the_same_alone_and_in_a_batch(folder):
    classify = minilm.pipeline("sentiment-analysis", model=str(folder))
    alone = [classify(text)[0] for text in TEXTS]
    for size in (1, 2, 3):
        together = classify(TEXTS, batch_size=size)
        assert [entry["label"] for entry in together] == [entry["label"] for entry in alone]
        scores = [entry["score"] for entry in alone]
        assert [entry["score"] for entry in together] == pytest.approx(scores, rel=1e-5)
    assert [len(entries) for entries in classify(TEXTS, top_k=2)] == [2, 2, 2]
    assert classify([]) == []


@pytest.mark.parametrize("options", [{}, {"top_k": None}, {"function_to_apply": "sigmoid"}])
def test_it_is_that_of_transformers(folder, options):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch")
    theirs = transformers.pipeline("text-classification", str(folder), device="cpu")
    ours = pipeline("text-classification", folder)
    pair = {"text": TEXTS[0], "text_pair": TEXTS[1]}
    for inputs in (TEXTS[0], TEXTS, pair, [pair]):
        one, other = ours(inputs, **options), theirs(inputs, **options)
        _assert_alike(one, other)


def _assert_alike(one, other):
    if isinstance(other, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            _assert_alike(a, b)
    else:
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], rel=1e-4)


def test_scores_by_kind_of_problem(tmp_path):
    tokenizer = word_pieces(tmp_path)
    for labels, problem, rule in (
        (["a", "b"], "multi_label_classification", lambda x: 1 / (1 + np.exp(-x))),
        (["x"], None, lambda x: 1 / (1 + np.exp(-x))),
        (["x"], "regression", lambda x: x),
    ):
        model = classifier(tokenizer, labels, problem_type=problem)
        classify = pipeline("text-classification", model, tokenizer, top_k=None)
        logits = model(**tokenizer(TEXTS[0], return_tensors="pt")).logits.detach().numpy()[0]
        found = {entry["label"]: entry["score"] for entry in classify(TEXTS[0])}
        assert [found[label] for label in labels] == pytest.approx(list(rule(logits)), rel=1e-5)


def test_long_texts_can_be_cut(folder):
    classify = pipeline("text-classification", folder)
    with pytest.raises(ValueError, match="truncation"):
        classify("cat " * 40)
    assert len(classify(["cat " * 40, "dog"], truncation=True, batch_size=2)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"function_to_apply": "tanh"}, "one of softmax, sigmoid, none; got 'tanh'"),
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
    ],
)
def test_wrong_options(folder, options, message):
    with pytest.raises(ValueError, match=message):
        pipeline("text-classification", folder)(TEXTS, **options)
