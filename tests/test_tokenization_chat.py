import pytest
from tokenization_helpers import byte_pairs

from minilm.tokenization import BatchEncoding

jinja2 = pytest.importorskip("jinja2")

CHATML = """\
{% for message in messages %}
{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}
{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
"""
TALK = [{"role": "user", "content": "the cat?"}, {"role": "assistant", "content": "sat"}]
END = "<|endoftext|>"


@pytest.fixture
def tokenizer(tmp_path):
    return byte_pairs(tmp_path, chat_template=CHATML)


def text_of(tokenizer, *args, **options):
    return tokenizer.apply_chat_template(*args, tokenize=False, **options)


def test_a_conversation_becomes_text(tokenizer):
    whole = f"<|user|>the cat?{END}\n<|assistant|>sat{END}\n"
    assert text_of(tokenizer, TALK) == whole
    prompt = f"<|user|>the cat?{END}\n<|assistant|>"
    assert text_of(tokenizer, TALK[:1], add_generation_prompt=True) == prompt
    opened = f"<|user|>the cat?{END}\n<|assistant|>sat"
    assert text_of(tokenizer, TALK, continue_final_message=True) == opened
    assert text_of(tokenizer, [TALK, TALK[:1]])[0] == whole
    assert TALK[1]["content"] == "sat"


def test_ids(tokenizer):
    whole = text_of(tokenizer, TALK)
    found = tokenizer.apply_chat_template(TALK)
    assert isinstance(found, BatchEncoding) and found.input_ids == tokenizer.encode(whole)
    assert tokenizer.apply_chat_template(TALK, return_dict=False) == found.input_ids
    both = tokenizer.apply_chat_template([TALK, TALK[:1]], padding=True, return_tensors="np")
    assert both.input_ids.shape == both.attention_mask.shape == (2, len(found.input_ids))


def test_it_is_that_of_transformers(tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer.save_pretrained(tmp_path / "saved")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    rich = (
        "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
        "{% generation %}{{ m | tojson }}{% endgeneration %}{{ tools | tojson(indent=2) }}"
        "{{ mood }}\n   {% set x = 1 %}\n{% endfor %}"
    )
    for template in (None, rich):
        for options in ({}, {"tools": [{"name": "né"}], "mood": "<glad>"}):
            given = [{"role": "system", "content": "no"}, *TALK]
            options = {"chat_template": template, **options}
            ours = text_of(tokenizer, given, **options)
            assert ours == theirs.apply_chat_template(given, tokenize=False, **options)


def test_templates_by_name(tokenizer):
    tokenizer.chat_template = {"default": "plain", "tool_use": "tools", "rag": "texts"}
    assert text_of(tokenizer, TALK) == "plain"
    assert text_of(tokenizer, TALK, tools=[{}]) == "tools"
    assert text_of(tokenizer, TALK, chat_template="rag") == "texts"
    assert text_of(tokenizer, TALK, chat_template="{{ 1 }}") == "1"
    tokenizer.chat_template = {"rag": "texts"}
    with pytest.raises(ValueError, match="several templates, rag: name one"):
        text_of(tokenizer, TALK)


@pytest.mark.parametrize(
    ("talk", "options", "message"),
    [
        ([], {}, "at least one; got"),
        ("hello", {}, "a conversation is a list of messages"),
        ([{"content": "x"}], {}, "message 0: expected a mapping with 'role'"),
        (TALK, {"chat_template": "{% if %}"}, "the chat template is damaged"),
        (TALK, {"chat_template": "{{ raise_exception('no') }}"}, "refuses this conversation: no"),
        (TALK, {"chat_template": "{{ 1 + 'a' }}"}, "the chat template fails: TypeError"),
        (TALK, {"chat_template": "{{ ''.__class__.__mro__ }}"}, "refuses this conversation"),
        (TALK, {"chat_template": "x", "continue_final_message": True}, "does not write the last"),
        (TALK, {"add_generation_prompt": True, "continue_final_message": True}, "choose one"),
    ],
)
def test_what_is_refused(tokenizer, talk, options, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.apply_chat_template(talk, **options)


def test_no_template(tmp_path):
    with pytest.raises(ValueError, match="has no chat template: its model was not made for"):
        byte_pairs(tmp_path).apply_chat_template(TALK)


def test_jinja2_is_missing(tokenizer, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install 'minilm\[chat\]'"):
        tokenizer.apply_chat_template(TALK, chat_template="{{ 'new' }}")
