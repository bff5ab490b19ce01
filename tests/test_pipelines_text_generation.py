import numpy as np
import pytest
from tokenization_helpers import byte_pairs

import minilm
from minilm.pipelines import TextGenerationPipeline, pipeline

PROMPTS = ["the cat", "a dog and a cat", "It's"]
GREEDY = {"do_sample": False, "max_new_tokens": 6}
TEMPLATE = "{% for m in messages %}{{ m.role[0] + ':' + m.content }}{% endfor %}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("writer")
    tokenizer = byte_pairs(path, chat_template=TEMPLATE)
    minilm.manual_seed(1)
    config = minilm.GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=48,
        initializer_range=0.7,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    minilm.GPT2LMHeadModel(config).save_pretrained(path / "model", tokenizer)
    return path / "model"


@pytest.fixture(scope="module")
def write(folder):
    return pipeline("text-generation", folder)


def test_the_text_is_what_the_model_writes(folder, write):
    assert isinstance(write, TextGenerationPipeline)
    tokenizer = minilm.AutoTokenizer.from_pretrained(folder)
    model = minilm.AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer(PROMPTS[0], return_tensors="pt").input_ids
    text = tokenizer.decode(model.generate(ids, **GREEDY)[0], skip_special_tokens=True)
    (found,) = write(PROMPTS[0], **GREEDY)
    assert found["generated_text"] == text and text.startswith(PROMPTS[0])
    (new,) = write(PROMPTS[0], return_full_text=False, **GREEDY)
    assert new["generated_text"] == text[len(PROMPTS[0]) :]
    (raw,) = write(PROMPTS[0], return_tensors=True, **GREEDY)
    assert raw["generated_token_ids"] == model.generate(ids, **GREEDY)[0].tolist()


def test_a_text_is_the_same_alone_and_in_a_batch(write):
    alone = [write(prompt, **GREEDY) for prompt in PROMPTS]
    for size in (1, 2, 3):
        assert write(PROMPTS, batch_size=size, **GREEDY) == alone
    assert write([], **GREEDY) == []


def test_several_texts_from_one_prompt(write):
    options = dict(num_return_sequences=3, max_new_tokens=5, do_sample=True, seed=0)
    found = write(PROMPTS, batch_size=2, **options)
    assert [len(texts) for texts in found] == [3, 3, 3]
    for prompt, texts in zip(PROMPTS, found, strict=True):
        assert all(text["generated_text"].startswith(prompt) for text in texts)
    assert len({text["generated_text"] for text in found[0]}) > 1
    assert write(PROMPTS, batch_size=2, **options) == found


def test_it_is_that_of_transformers(folder, write):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch")
    theirs = transformers.pipeline("text-generation", str(folder), device="cpu")
    talk = [{"role": "user", "content": "the cat"}]
    prefilled = [*talk, {"role": "assistant", "content": "sat"}]
    for inputs in (PROMPTS[0], PROMPTS, talk, prefilled, [talk, prefilled]):
        for options in ({}, {"return_full_text": False}):
            assert write(inputs, **GREEDY, **options) == theirs(inputs, **GREEDY, **options)


def test_options_of_the_pipeline_hold_for_every_call(folder):
    write = pipeline("text-generation", folder, **GREEDY, prefix="the ")
    (found,) = write("cat", return_full_text=False)
    assert write("cat")[0]["generated_text"] == "cat" + found["generated_text"]
    plain = pipeline("text-generation", folder, **GREEDY)
    assert plain("the cat", return_full_text=False) == [found]


def test_a_stop_sequence_ends_the_text(write):
    text = write(PROMPTS[0], return_full_text=False, **GREEDY)[0]["generated_text"]
    stop = text[2:4]
    (found,) = write(PROMPTS[0], return_full_text=False, stop_sequence=stop, **GREEDY)
    assert stop in found["generated_text"] and len(found["generated_text"]) <= len(text)


def test_no_prompt(write):
    (found,) = write("", **GREEDY)
    assert found["generated_text"]
    assert write(["", ""], **GREEDY) == [[found], [found]]


def test_a_model_that_has_nothing_to_fill_up_with():
    text = "the cat sat on the mat. " * 20
    made = minilm.data.train_char_tokenizer(text)
    tokenizer = minilm.PreTrainedTokenizerFast(tokenizer_object=made)
    minilm.manual_seed(0)
    model = minilm.RNNModel(len(tokenizer), 8, 16)
    write = pipeline("text-generation", model, tokenizer)
    found = write(["the", "a cat"], batch_size=2, **GREEDY)
    assert [len(texts[0]["generated_text"]) for texts in found] == [9, 11]
    assert np.all([texts[0]["generated_text"] for texts in found])


def test_what_is_no_prompt(write):
    with pytest.raises(TypeError, match="takes a text, a conversation.*got int"):
        write([3])
