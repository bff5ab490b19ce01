"""Templates in the styles that published models have: the text is that of transformers."""

import pytest
from tokenization_helpers import byte_pairs

jinja2 = pytest.importorskip("jinja2")

TEMPLATES = {
    # Every message between marks of its own; a system message is put in where there is none.
    "chatml": """\
{%- if messages[0].role != 'system' %}
    {{- '<|im_start|>system\\nYou are a cat.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    # Turns in brackets; the system message moves into the first one; roles must alternate.
    "llama-2": (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system = messages[0]['content'] %}"
        "{% else %}{% set loop_messages = messages %}{% set system = false %}{% endif %}"
        "{% for message in loop_messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate user/assistant/user/assistant/...') }}"
        "{% endif %}"
        "{% if loop.index0 == 0 and system != false %}"
        "{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}"
        "{% else %}{% set content = message['content'] %}{% endif %}"
        "{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}"
        "{{ ' ' + content.strip() + ' ' + eos_token }}"
        "{% endif %}{% endfor %}"
    ),
    # A template with line ends and blanks of its own, which the environment's settings remove.
    "zephyr": """\
{% for message in messages %}
  {% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
  {% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
  {% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
  {% endif %}
  {% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
  {% endif %}
{% endfor %}
""",
    # The date, a namespace, a macro, a loop that ends early: what newer templates use.
    "new": """\
{%- set ns = namespace(count=0) %}
{%- macro turn(m) %}[{{ m.role | upper }}:{{ m.content }}]{% endmacro %}
{{- strftime_now('%Y') ~ '|' }}
{%- for m in messages %}
    {%- if m.role == 'assistant' and not m.content %}{% break %}{% endif %}
    {%- set ns.count = ns.count + 1 %}
    {{- turn(m) }}
{%- endfor %}
{{- ns.count | string + eos_token }}
""",
}
SYSTEM = {"role": "system", "content": " Be\nbrief. "}
TALK = [
    {"role": "user", "content": "the cat? <é> "},
    {"role": "assistant", "content": " sat\n"},
    {"role": "user", "content": "on the 'mat'"},
]
TALKS = {"first": TALK[:1], "with system": [SYSTEM, *TALK], "without": TALK, "answered": TALK[:2]}


@pytest.fixture(scope="module", params=TEMPLATES)
def both(request, tmp_path_factory):
    """The tokenizer here, and that of transformers, from one folder."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("chat")
    ours = byte_pairs(folder, chat_template=TEMPLATES[request.param])
    ours.save_pretrained(folder / "saved")
    return ours, transformers.AutoTokenizer.from_pretrained(folder / "saved")


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("add_generation_prompt", [False, True])
def test_text_and_ids_are_those_of_transformers(both, talk, add_generation_prompt):
    texts, ids = set(), []
    for tokenizer in both:
        options = {"add_generation_prompt": add_generation_prompt}
        text = tokenizer.apply_chat_template(TALKS[talk], tokenize=False, **options)
        texts.add(text)
        ids.append(tokenizer.apply_chat_template(TALKS[talk], return_dict=False, **options))
    assert len(texts) == 1 and "the cat?" in text
    assert ids[0] == list(ids[1])


def test_the_templates_say_what_their_styles_say(tmp_path):
    def text(style, talk, **options):
        tokenizer = byte_pairs(tmp_path, chat_template=TEMPLATES[style])
        return tokenizer.apply_chat_template(talk, tokenize=False, **options)

    end, open_ = "<|endoftext|>", {"add_generation_prompt": True}
    assert text("chatml", TALK[2:], **open_) == (
        "<|im_start|>system\nYou are a cat.<|im_end|>\n"
        "<|im_start|>user\non the 'mat'<|im_end|>\n<|im_start|>assistant\n"
    )
    assert text("llama-2", [SYSTEM, *TALK[:2]]) == (
        f"{end}[INST] <<SYS>>\n Be\nbrief. \n<</SYS>>\n\nthe cat? <é> [/INST] sat {end}"
    )
    assert text("zephyr", TALK[2:], **open_) == f"<|user|>\non the 'mat'{end}\n<|assistant|>\n"


def test_a_template_refuses_in_both(tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = byte_pairs(tmp_path, chat_template=TEMPLATES["llama-2"])
    ours.save_pretrained(tmp_path / "saved")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    with pytest.raises(jinja2.TemplateError, match="roles must alternate"):
        theirs.apply_chat_template(TALK[1:], tokenize=False)
    with pytest.raises(ValueError, match="refuses this conversation: roles must alternate"):
        ours.apply_chat_template(TALK[1:], tokenize=False)


def test_a_template_in_the_settings_is_read_as_well(tmp_path):
    import json

    from minilm.tokenization import AutoTokenizer

    byte_pairs(tmp_path).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    settings["chat_template"] = TEMPLATES["zephyr"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == TEMPLATES["zephyr"]
