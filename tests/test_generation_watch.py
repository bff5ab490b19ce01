"""Attentions and hidden states of each step, beside those of transformers."""

import numpy as np
import pytest
from generation_helpers import MODELS, VOCAB, gpt2, llama, ngram, recurrent
from reference.generation import IDS, MASK, TOKENS

import minilm
from minilm.generation import GenerationConfig, generate
from minilm.generation.watch import Watch
from minilm.models import AutoModelForCausalLM

SIZES = {"vocab_size": 17, "initializer_range": 0.4, **TOKENS}
KINDS = {
    "GPT2": {"n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 2},
    "Llama": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 40,
    },
}
LOOK = {
    "output_attentions": True,
    "output_hidden_states": True,
    "return_dict_in_generate": True,
    "do_sample": False,
}
CASES = {
    "greedy": {},
    "without a cache": {"use_cache": False},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "beams without a cache": {"num_beams": 3, "use_cache": False},
    "beams that end early": {"num_beams": 4, "early_stopping": True, "length_penalty": 0.0},
}


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """The same model there and here."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    name = request.param
    config = getattr(transformers, f"{name}Config")(**SIZES, **KINDS[name])
    auto = transformers.AutoModelForCausalLM
    theirs = auto.from_config(config, attn_implementation="eager").eval()
    folder = tmp_path_factory.mktemp(name)
    theirs.save_pretrained(folder)
    return theirs, AutoModelForCausalLM.from_pretrained(folder)


def both(pair, ids, mask, case):
    import torch

    written = []
    for model, lib in zip(pair, (torch, minilm), strict=True):
        given = {"attention_mask": lib.tensor(mask), "max_new_tokens": 7, **LOOK, **case}
        written.append(model.generate(lib.tensor(ids), **given))
    return written


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("padded", [False, True], ids=["one", "padded"])
def test_they_are_those_of_transformers(pair, case, padded):
    ids, mask = (IDS, MASK) if padded else (IDS[1:2], MASK[1:2])
    theirs, ours = both(pair, ids, mask, CASES[case])
    assert ours.sequences.tolist() == theirs.sequences.tolist()
    beams = CASES[case].get("num_beams", 1)
    seen = np.repeat(np.array(mask, bool), beams, axis=0)
    for name in ("attentions", "hidden_states"):
        expected, found = theirs[name], ours[name]
        assert [len(step) for step in found] == [len(step) for step in expected]
        for their_step, our_step in zip(expected, found, strict=True):
            for a, b in zip(their_step, our_step, strict=True):
                assert b.shape == tuple(a.shape)
                np.testing.assert_allclose(*_at_tokens(name, seen, a, b), rtol=1e-4, atol=2e-5)
    if beams > 1:
        assert ours.beam_indices.tolist() == theirs.beam_indices.tolist()


def _at_tokens(name, seen, *arrays):
    """Return what stands at queries that are tokens: padding says nothing."""
    axis = 2 if name == "attentions" else 1
    for array in arrays:
        values = np.moveaxis(array.numpy(), axis, 1)
        if values.shape[1] == 1:
            yield values
        else:
            places = np.pad(seen, ((0, 0), (0, values.shape[1] - seen.shape[1])), "edge")
            places[:, seen.shape[1] :] = True
            yield values[places]


@pytest.mark.parametrize("make", [gpt2, llama])
@pytest.mark.parametrize("beams", [1, 3])
def test_a_cache_changes_nothing(make, beams):
    options = {"max_new_tokens": 6, "num_beams": beams, **LOOK}
    quick = make().generate([[1, 2, 3]], **options)
    slow = make().generate([[1, 2, 3]], use_cache=False, **options)
    for name, axis in (("attentions", 2), ("hidden_states", 1)):
        for step, (a, b) in enumerate(zip(quick[name], slow[name], strict=True)):
            for ours, whole in zip(a, b, strict=True):
                new = 3 if step == 0 else 1
                last = np.moveaxis(whole.numpy(), axis, 0)[-new:]
                np.testing.assert_allclose(np.moveaxis(ours.numpy(), axis, 0), last, atol=1e-5)


def test_beam_indices_lead_to_a_texts_own_scores():
    out = gpt2().generate([[1, 2, 3], [4, 5, 6]], 6, num_beams=3, output_scores=True, **LOOK)
    for text, rows in enumerate(out.beam_indices.tolist()):
        new = out.sequences.tolist()[text][3:]
        total = sum(
            float(out.scores[step].numpy()[row, new[step]])
            for step, row in enumerate(rows)
            if row >= 0
        )
        count = sum(row >= 0 for row in rows)
        assert total / count == pytest.approx(float(out.sequences_scores.numpy()[text]), abs=1e-5)


def test_where_the_positions_end_all_that_was_read_is_kept():
    model = gpt2()
    out = model.generate(list(np.arange(38) % VOCAB), 5, **LOOK)
    assert [step[0].shape[2:] for step in out.attentions] == [
        (38, 38),
        (1, 39),
        (1, 40),
        (40, 40),
        (40, 40),
    ]
    last = model(out.sequences.numpy()[None, 2:42], output_attentions=True).attentions
    np.testing.assert_allclose(out.attentions[-1][1].numpy(), last[1].detach().numpy(), atol=1e-6)


def test_watching_changes_no_text_and_is_silent_where_nothing_is_asked():
    model = gpt2()
    plain = model.generate([1, 2], 8, seed=4)
    watched = model.generate([1, 2], 8, seed=4, **{**LOOK, "do_sample": True})
    assert plain.tolist() == watched.sequences.tolist()
    neither = model.generate([1, 2], 2, return_dict_in_generate=True)
    assert neither.attentions is None and neither.hidden_states is None
    with pytest.warns(UserWarning, match="output_attentions has no effect without return_dict"):
        model.generate([1, 2], 2, output_attentions=True)


def test_a_configuration_may_ask():
    config = GenerationConfig(output_attentions=True, return_dict_in_generate=True)
    out = gpt2().generate([1, 2], 2, generation_config=config)
    assert "attentions" in out and "hidden_states" not in out
    assert GenerationConfig.from_dict(config.to_dict()).output_attentions is True


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("gpt2", "llama")])
@pytest.mark.parametrize("option", ["output_attentions", "output_hidden_states"])
def test_models_that_have_none_say_so(name, option):
    with pytest.raises(ValueError, match=f"{option}=True: .* (has|does not)"):
        generate(MODELS[name](), [1, 2], 2, **{option: True}, return_dict_in_generate=True)


def test_the_reason_is_the_models_own():
    for model, reason in [
        (recurrent(), "has no attention: a recurrent model"),
        (ngram(), "an n-gram model"),
        (gpt2().quantize(), "the model that quantize.. was called on"),
    ]:
        with pytest.raises(ValueError, match=reason):
            Watch(["attentions"]).check(model)
    with pytest.raises(ValueError, match="forward_with_state returns"):
        Watch(["hidden_states"]).check(recurrent())
