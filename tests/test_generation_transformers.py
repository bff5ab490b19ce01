"""Greedy texts and beams of a GPT-2 are those of Hugging Face, token for token."""

import json

import numpy as np
import pytest
from reference.generation import CASES, IDS, MODEL, SHARPER, answer
from reference.stored import DATA

import minilm
from minilm.models import GPT2Config, GPT2LMHeadModel

STORED = json.loads((DATA / "generation.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ours() -> GPT2LMHeadModel:
    model = GPT2LMHeadModel(GPT2Config(**MODEL.settings)).eval()
    state = model.state_dict()
    weights = MODEL.weights({name: list(tensor.shape) for name, tensor in state.items()})
    for name, parameter in model.named_parameters():
        times = SHARPER if len(parameter.shape) > 1 else 1
        parameter.detach().numpy()[...] = weights[name] * np.float32(times)
    return model


def agree(found, expected) -> None:
    pairs = zip(texts_of(found), texts_of(expected), strict=True)
    for ours, theirs in pairs:
        assert ours["sequences"] == theirs["sequences"]
        assert ours["steps"] == theirs["steps"]
        if theirs["sequences_scores"] is not None:
            np.testing.assert_allclose(
                ours["sequences_scores"], theirs["sequences_scores"], rtol=1e-3, atol=1e-4
            )


def texts_of(answers) -> list:
    return [answers["together"], *answers["alone"]]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: str(CASES[n]))
def test_texts_are_those_of_transformers(number, ours):
    agree(answer(ours, minilm, CASES[number]), STORED[number])


def test_the_cases_tell_rules_and_beams_apart():
    texts = {json.dumps(found["together"]["sequences"]) for found in STORED}
    assert len(STORED) == len(CASES) and len(texts) > len(CASES) / 2
    steps = {text["steps"] for found in STORED for text in found["alone"]}
    assert len(steps) > 3  # some end early


def test_what_is_stored_is_what_transformers_says_today(ours):
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from reference.make_generation import theirs

    model = theirs()
    for number in (0, 3, 12, 30, 35):
        agree(answer(model, torch, CASES[number]), STORED[number])


def test_warpers_keep_what_those_of_transformers_keep():
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("transformers.generation.logits_process")
    from minilm import generation as ours

    scores = np.random.default_rng(0).normal(size=(50, 40), scale=2).astype(np.float32)
    ids = np.random.default_rng(1).integers(0, 40, (50, 20))
    for name, arguments in [
        ("TemperatureLogitsWarper", [0.7]),
        ("TopKLogitsWarper", [5]),
        ("TopPLogitsWarper", [0.8]),
        ("MinPLogitsWarper", [0.1]),
        ("TypicalLogitsWarper", [0.6]),
        ("RepetitionPenaltyLogitsProcessor", [1.5]),
        ("NoRepeatNGramLogitsProcessor", [2]),
    ]:
        expected = getattr(theirs, name)(*arguments)(torch.tensor(ids), torch.tensor(scores))
        found = getattr(ours, name)(*arguments)(ids, scores)
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6, err_msg=name)


def test_a_model_writes_what_it_writes_there_with_nothing_said(ours, tmp_path):
    """A folder of Hugging Face's is read with Hugging Face's defaults."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from reference.make_generation import theirs

    model = theirs()
    model.save_pretrained(tmp_path)
    expected = model.generate(torch.tensor(IDS[1:2]), attention_mask=torch.ones(1, 5))
    found = GPT2LMHeadModel.from_pretrained(tmp_path).generate(minilm.tensor(IDS[1:2]))
    assert found.tolist() == expected.tolist()
