import numpy as np
import pytest
from generation_helpers import MODELS, VOCAB, every_text, gpt2, recurrent

from minilm.generation import GenerationConfig, generate
from minilm.generation.beams import _best, _gumbel

PROMPT = [1, 3, 2]


def search(model, **options):
    return generate(
        model, [PROMPT], return_dict_in_generate=True, **{"do_sample": False, **options}
    )


@pytest.mark.parametrize("name", ["ngram", "lstm", "gpt2", "no state"])
def test_with_enough_beams_the_best_text_of_all_is_found(name):
    model = MODELS[name]()
    found = search(model, num_beams=VOCAB**2, max_new_tokens=3, num_return_sequences=5)
    best = sorted(every_text(model, PROMPT, 3), key=lambda text: -text[1])[:5]
    assert found.sequences.tolist() == [PROMPT + text for text, _ in best]
    np.testing.assert_allclose(
        found.sequences_scores.numpy(), [total / 3 for _, total in best], rtol=1e-4
    )


@pytest.mark.parametrize("penalty", [-1.0, 0.0, 1.0, 3.0])
def test_texts_that_end_are_weighed_by_their_lengths(penalty):
    model = recurrent("gru")
    found = search(
        model,
        num_beams=VOCAB**3,
        max_new_tokens=3,
        num_return_sequences=6,
        eos_token_id=4,
        pad_token_id=0,
        length_penalty=penalty,
        early_stopping="never",
    )
    texts = [(t, total / len(t) ** penalty) for t, total in every_text(model, PROMPT, 3, end=4)]
    best = sorted(texts, key=lambda text: -text[1])[:6]
    rows = [PROMPT + text + [0] * (3 - len(text)) for text, _ in best]
    assert found.sequences.tolist() == [row[: found.sequences.shape[1]] for row in rows]
    np.testing.assert_allclose(
        found.sequences_scores.numpy(), [score for _, score in best], rtol=1e-4
    )
    assert len({len(text) for text, _ in best}) > 1 or penalty >= 1.0


def test_one_step_of_two_beams_by_hand():
    """The likeliest first token is not that of the likeliest text."""
    model = MODELS["no state"]()
    table = model.table.weight.detach().numpy()
    table[...] = -9.0
    table[2, [0, 1]] = [1.0, 0.9]  # after the prompt, 0 is a little likelier than 1
    table[0, :] = 0.0  # but what follows 0 is anything
    table[1, 5] = 9.0  # and what follows 1 is certain
    assert generate(model, PROMPT, 2, do_sample=False).tolist()[3:] == [0, 0]
    assert generate(model, PROMPT, 2, num_beams=2).tolist()[3:] == [1, 5]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stopping", [False, True, "never"])
def test_a_text_of_a_padded_batch_is_the_one_found_alone(name, stopping):
    model = MODELS[name]()
    options = {
        "num_beams": 3,
        "num_return_sequences": 2,
        "max_new_tokens": 6,
        "eos_token_id": 2,
        "early_stopping": stopping,
        "no_repeat_ngram_size": 3,
    }
    ids, mask = [[0, 0, 3, 5], [1, 4, 2, 6]], [[0, 0, 1, 1], [1, 1, 1, 1]]
    together = generate(model, ids, attention_mask=mask, **options).numpy()[:, 4:]
    for row, prompt in enumerate([[3, 5], [1, 4, 2, 6]]):
        alone = generate(model, [prompt], **options).numpy()[:, len(prompt) :]
        pairs = zip(alone, together[2 * row : 2 * row + 2], strict=True)
        for text, same in pairs:
            assert same[: len(text)].tolist() == text.tolist()
            assert (same[len(text) :] == 2).all()


def test_scores_and_logits_are_those_of_each_step():
    found = search(gpt2(), num_beams=3, max_new_tokens=4, output_scores=True, output_logits=True)
    assert [scores.shape for scores in found.scores] == [(3, VOCAB)] * 4
    for scores, logits in zip(found.scores, found.logits, strict=True):
        probs = np.exp(logits.numpy() - logits.numpy().max(1, keepdims=True))
        expected = np.log(probs / probs.sum(1, keepdims=True))
        np.testing.assert_allclose(scores.numpy(), expected, atol=1e-5)
    assert "scores" in found and found[0] is found.sequences


def test_drawn_beams_are_drawn_without_replacement():
    """Of three ways, two are drawn: the pairs are as frequent as drawing twice makes them."""
    probs = np.array([0.6, 0.3, 0.1])
    pairs = np.zeros((3, 3))
    draws = 4000
    for seed in range(draws):
        first, second = sorted(_best(np.log(probs), 2, _gumbel(seed, 1, 3)).tolist())
        pairs[first, second] += 1
    for a, b in [(0, 1), (0, 2), (1, 2)]:
        expected = probs[a] * probs[b] / (1 - probs[a]) + probs[b] * probs[a] / (1 - probs[b])
        assert abs(pairs[a, b] / draws - expected) < 0.025  # about 3.3 standard deviations


def test_drawn_beams_depend_on_the_seed_alone():
    model = recurrent()
    options = {"num_beams": 3, "do_sample": True, "max_new_tokens": 8}
    texts = [generate(model, PROMPT, seed=seed, **options).tolist() for seed in (0, 0, 1, 2)]
    assert texts[0] == texts[1] and len({str(text) for text in texts}) > 1
    both = generate(model, [PROMPT, PROMPT], seed=0, **options).tolist()
    assert both[0] == texts[0] and both[1] == texts[2]


def test_of_equal_scores_the_first_come_first():
    assert _best(np.array([1.0, 2.0, 1.0, 2.0, 1.0]), 4, None).tolist() == [1, 3, 0, 2]
    assert _best(np.full(3, -np.inf), 5, None).tolist() == [0, 1, 2]


def test_a_constraint_that_leaves_too_few_texts_is_named():
    options = {"num_beams": 4, "prefix_allowed_tokens_fn": lambda prompt, ids: [3]}
    assert generate(recurrent(), PROMPT, 2, **options).tolist() == [*PROMPT, 3, 3]
    with pytest.raises(ValueError, match="num_return_sequences is 2, but after prompt 0 only 1"):
        generate(recurrent(), PROMPT, 2, num_return_sequences=2, **options)


def test_a_model_that_diverged_is_not_searched():
    model = MODELS["no state"]()
    model.table.weight.detach().numpy()[2, 0] = np.nan
    with pytest.raises(ValueError, match="has training diverged"):
        generate(model, PROMPT, 2, num_beams=2)


def test_early_stopping_takes_the_first_texts_that_end():
    model = recurrent("gru")
    options = {"num_beams": 2, "max_new_tokens": 12, "eos_token_id": 2}
    lengths = {
        stopping: len(search(model, early_stopping=stopping, output_scores=True, **options).scores)
        for stopping in (True, False, "never")
    }
    assert lengths[True] < lengths[False] < lengths["never"]


def test_a_config_may_ask_for_beams():
    config = GenerationConfig(num_beams=4, max_new_tokens=5)
    model = gpt2()
    expected = generate(model, PROMPT, 5, num_beams=4).tolist()
    assert generate(model, PROMPT, generation_config=config).tolist() == expected
