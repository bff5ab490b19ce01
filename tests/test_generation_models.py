"""Every kind of model writes with every option, alone and in a padded batch."""

import numpy as np
import pytest
from generation_helpers import MODELS, VOCAB, gpt2, logits_after, ngram, recurrent

import minilm
from minilm.data.tokenizer import train_char_tokenizer
from minilm.generation import GenerationConfig, generate, likeliest, start_ids
from minilm.models import GPT2Config, GPT2LMHeadModel, RNNModel

IDS = [[0, 0, 3, 5], [1, 4, 2, 6], [0, 5, 5, 1]]
MASK = [[0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]]
TEXTS = [[3, 5], [1, 4, 2, 6], [5, 5, 1]]

OPTIONS = [
    {"do_sample": False},
    {"temperature": 0.8, "top_k": 5, "top_p": 0.95},
    {"min_p": 0.05, "typical_p": 0.9},
    {"do_sample": False, "repetition_penalty": 1.5, "no_repeat_ngram_size": 2},
    {"bad_words_ids": [[1], [2, 3]], "suppress_tokens": [4], "min_new_tokens": 3},
    {"prefix_allowed_tokens_fn": lambda prompt, ids: [prompt, 5, int(ids[-1] + 1) % VOCAB]},
    {"num_return_sequences": 3, "repetition_penalty": 1.2},
]


def label(options) -> str:
    return ",".join(options)


@pytest.mark.parametrize("options", OPTIONS, ids=label)
@pytest.mark.parametrize("name", MODELS)
def test_a_text_of_a_padded_batch_is_the_one_written_alone(name, options):
    model = MODELS[name]()
    options = {"max_new_tokens": 9, "eos_token_id": 2, "pad_token_id": 2, **options}
    together = generate(model, IDS, attention_mask=MASK, seed=7, **options).numpy()
    times = options.get("num_return_sequences", 1)
    assert together[:, :4].tolist() == np.repeat(IDS, times, axis=0).tolist()
    for number, text in enumerate(TEXTS):
        mine = dict(options)
        if "prefix_allowed_tokens_fn" in options:
            allowed = options["prefix_allowed_tokens_fn"]
            mine["prefix_allowed_tokens_fn"] = lambda _, ids, n=number, f=allowed: f(n, ids)
        alone = generate(model, [text], seed=7 + number * times, **mine).numpy()[:, len(text) :]
        for row in range(times):
            same = together[number * times + row, 4:]
            assert same[: alone.shape[1]].tolist() == alone[row].tolist()
            assert (same[alone.shape[1] :] == 2).all()


@pytest.mark.parametrize("name", MODELS)
def test_padding_may_be_on_the_right(name):
    model = MODELS[name]()
    left = generate(model, IDS, 6, attention_mask=MASK, seed=1).numpy()
    right_ids = [[3, 5, 0, 0], [1, 4, 2, 6], [5, 5, 1, 0]]
    right_mask = [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]
    right = generate(model, right_ids, 6, attention_mask=right_mask, seed=1).numpy()
    assert right[:, 4:].tolist() == left[:, 4:].tolist()
    assert right[:, :4].tolist() == right_ids


@pytest.mark.parametrize("name", MODELS)
def test_reading_all_again_writes_the_same(name):
    model = MODELS[name]()
    texts = [generate(model, IDS, 12, seed=3, use_cache=cache).tolist() for cache in (True, False)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", MODELS)
def test_the_likeliest_is_taken_by_a_loop_in_plain_sight(name):
    model, ids = MODELS[name](), [1, 4]
    for _ in range(8):
        ids.append(int(np.argmax(logits_after(model, ids))))
    assert model_generate(model, [1, 4], 8, do_sample=False).tolist() == ids


def model_generate(model, *args, **options):
    """Call the method where there is one: users' own modules have none."""
    return getattr(model, "generate", lambda *a, **o: generate(model, *a, **o))(*args, **options)


@pytest.mark.parametrize("name", MODELS)
def test_called_with_no_arguments_it_works(name):
    minilm.manual_seed(0)
    out = model_generate(MODELS[name]())
    begin = 1 if name.startswith(("gpt2", "llama")) else 0
    assert out.shape == (1, 51) and int(out.numpy()[0, 0]) == begin


def test_without_a_prompt_a_small_vocabulary_does_not_begin_with_what_it_lacks():
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=2))
    assert model.generation_config.bos_token_id == 50256  # the published model's
    assert int(model.generate(max_new_tokens=2)[0, 0]) == 0
    with pytest.raises(IndexError, match="expected 0 to 49"):
        model.generate(bos_token_id=60, max_new_tokens=2)
    rules = {"min_new_tokens": 2, "repetition_penalty": 1.1}
    assert model.generate([[5, 6]], max_new_tokens=3, **rules).shape == (1, 5)


def test_padding_in_the_prompt_is_no_text():
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=9, n_positions=16, n_embd=8, n_layer=1, n_head=2, eos_token_id=1)
    )
    ids, options = [[0, 0, 3, 4], [5, 6, 7, 8]], {"max_new_tokens": 4, "do_sample": False}
    mask = [[0, 0, 1, 1], [1, 1, 1, 1]]
    expected = model.generate(ids, attention_mask=mask, pad_token_id=0, **options).tolist()
    assert model.generate(ids, pad_token_id=0, **options).tolist() == expected
    alone = model.generate([[3, 4]], pad_token_id=0, **options).tolist()
    assert expected[0][4:] == alone[0][2:]
    whole = model.generate(ids, attention_mask=np.ones((2, 4)), pad_token_id=0, **options)
    for as_text in ({"pad_token_id": 1}, {}):  # 1 ends a text, too: nobody can tell
        assert model.generate(ids, **as_text, **options).tolist()[0] == whole.tolist()[0]


def test_without_a_prompt_a_tokenizer_says_where_to_begin():
    tokenizer = train_char_tokenizer("ab.\n")
    model = RNNModel(tokenizer.get_vocab_size(), 4, 6)
    out = model.generate(tokenizer=tokenizer, max_new_tokens=4)
    assert out.numpy()[0, :-4].tolist() == start_ids(tokenizer).tolist()


@pytest.mark.parametrize("name", ["ngram", "lstm", "gpt2", "no state"])
def test_scores_and_logits_of_each_step(name):
    model = MODELS[name]()
    options = {"top_k": 3, "temperature": 0.5, "suppress_tokens": [0], "seed": 2}
    asked = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    found = generate(model, [[1, 4]], 5, **options, **asked)
    assert found.sequences.tolist() == generate(model, [[1, 4]], 5, **options).tolist()
    (ids,) = found.sequences.tolist()
    for step in range(5):
        logits = logits_after(model, ids[: 2 + step])
        np.testing.assert_allclose(found.logits[step].numpy()[0], logits, rtol=1e-3, atol=1e-3)
        scores = found.scores[step].numpy()[0]
        kept = np.flatnonzero(np.isfinite(scores))
        assert len(kept) == 3 and 0 not in kept and ids[2 + step] in kept
        np.testing.assert_allclose(scores[kept], logits[kept] / 0.5, rtol=1e-3, atol=2e-3)
    bare = generate(model, [1, 4], 5, return_dict_in_generate=True)
    assert bare.scores is None and bare.sequences.shape == (7,) and bare.keys() == ["sequences"]


def test_the_core_and_the_loop_in_python_write_the_same():
    model = recurrent()
    for options in ({}, {"top_k": 4, "top_p": 0.9}, {"eos_token_id": 2}, {"do_sample": False}):
        fast = generate(model, IDS, 40, attention_mask=MASK, seed=3, **options).tolist()
        slow = generate(
            model, IDS, 40, attention_mask=MASK, seed=3, return_dict_in_generate=True, **options
        )
        assert slow.sequences.tolist() == fast


def test_several_ids_end_a_text_and_something_else_fills_up():
    model = recurrent()
    out = generate(model, IDS, 30, seed=0, eos_token_id=[2, 4], pad_token_id=6).numpy()[:, 4:]
    for row in out:
        ends = np.flatnonzero(np.isin(row, [2, 4]))
        assert len(ends) == 1 and (row[ends[0] + 1 :] == 6).all()


def test_texts_do_not_end_before_their_time():
    model = gpt2()
    for seed in range(5):
        out = generate(model, [[1]], 20, seed=seed, eos_token_id=[2, 4], min_new_tokens=6).numpy()
        ends = np.flatnonzero(np.isin(out[0, 1:], [2, 4]))
        assert len(ends) == 0 or ends[0] >= 6


def test_strings_end_a_text():
    tokenizer = train_char_tokenizer("abcdef")
    model = recurrent()
    options = {"stop_strings": ["cd", "ff"], "tokenizer": tokenizer, "pad_token_id": 0}
    texts = [
        tokenizer.decode(row, skip_special_tokens=False)
        for row in generate(model, [[1], [2], [3]], 200, seed=0, **options).tolist()
    ]
    for text in texts:
        written = text.split("<unk>")[0] if text.endswith("<unk>") else text
        assert "cd" not in written[:-1] and "ff" not in written[:-1]
    assert min(map(len, texts)) < 200


def test_criteria_see_all_ids_and_scores():
    steps = []

    def three(ids, scores):
        steps.append((ids.shape, scores if scores is None else len(scores)))
        return ids.shape[1] == 4

    assert generate(recurrent(), [1], 9, stopping_criteria=[three]).shape == (4,)
    assert steps == [((1, 2), None), ((1, 3), None), ((1, 4), None)]
    options = {"return_dict_in_generate": True, "output_scores": True}
    generate(recurrent(), [1], 9, stopping_criteria=[three], **options)
    assert [count for _, count in steps[3:]] == [1, 2, 3]


def test_time_ends_all_texts():
    assert generate(recurrent(), [[1], [2]], 10_000, max_time=0.0).shape == (2, 2)


def test_what_a_model_says_of_itself_counts_unless_the_caller_says_otherwise():
    model = recurrent()
    model.generation_config = GenerationConfig(do_sample=False, max_new_tokens=4, eos_token_id=2)
    greedy = generate(recurrent(), [1], 4, do_sample=False, eos_token_id=2).tolist()
    assert model.generate([1]).tolist() == greedy
    assert model.generate([1], do_sample=True, seed=3, max_new_tokens=20).tolist() != greedy
    other = model.generate([1], generation_config={"top_k": 3}, seed=0)
    expected = generate(recurrent(), [1], top_k=3, seed=0, eos_token_id=2)
    assert other.tolist() == expected.tolist()


def test_an_ngram_model_may_begin_with_nothing():
    both = ngram().generate([[0, 0], [3, 1]], 5, attention_mask=[[0, 0], [1, 1]], seed=1).numpy()
    assert both[0, 2:].tolist() == ngram().generate([], 5, seed=1).tolist()


@pytest.mark.parametrize("name", MODELS)
def test_what_is_likeliest_next(name):
    model = MODELS[name]()
    logits = logits_after(model, [1, 4])
    probs = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    found = likeliest(model, [1, 4], count=3)
    assert [token for token, _ in found] == np.argsort(-probs, kind="stable")[:3].tolist()
    np.testing.assert_allclose([p for _, p in found], np.sort(probs)[::-1][:3], rtol=2e-3)
    assert len(likeliest(model, [1])) == VOCAB


def test_likeliest_looks_at_one_text():
    with pytest.raises(ValueError, match="one text; got 2"):
        likeliest(recurrent(), [[1], [2]])
