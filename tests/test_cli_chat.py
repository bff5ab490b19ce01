"""``minilm chat``: with pipes, in a terminal, and the conversation behind it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from cli_helpers import COMMAND, TEXT, environment, minilm, save_transformer
from hub_server import hub

import minilm as lm
from minilm.cli.chat import converse
from minilm.cli.conversation import Conversation
from minilm.data.tokenizer import train_char_tokenizer
from minilm.models import RNNModel, from_pretrained
from minilm.tokenization import AutoTokenizer

pytest.importorskip("jinja2")

TEMPLATE = (
    "{% for m in messages %}{{ m.role[0] + ':' + m.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)


def recurrent(folder, template=TEMPLATE):
    """A model without an end: it writes as long as it may."""
    lm.manual_seed(4)
    tokenizer = train_char_tokenizer(TEXT + "?:us")
    RNNModel(tokenizer.get_vocab_size(), 8, 16, "gru").save_pretrained(folder, tokenizer)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def transformer(folder):
    save_transformer(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return folder


def conversation(folder, system=None, **options):
    options = {"max_tokens": 12, "do_sample": True, **options}
    return Conversation(
        from_pretrained(folder), AutoTokenizer.from_pretrained(folder), system, **options
    )


def ask(talk, text, told=None):
    pieces, told = [], [] if told is None else told
    answer = talk.ask(text, pieces.append, told.append)
    assert "".join(pieces) == answer
    return answer


# --- a conversation -------------------------------------------------------------------------------


def test_an_answer_goes_on_from_the_whole_history(tmp_path):
    talk = conversation(recurrent(tmp_path), "the dog", seed=3, temperature=0.7)
    first = ask(talk, "the cat?")
    second = ask(talk, "the log?")
    model, tokenizer = from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    unknown = tokenizer.backend_tokenizer.token_to_id("<unk>")
    prompt = f"s:the dog\nu:the cat?\na:{first}\nu:the log?\na:"
    ids = tokenizer.encode(prompt)
    expected = model.generate(ids, 12, temperature=0.7, seed=4, suppress_tokens=[unknown])
    assert tokenizer.decode(expected.tolist()) == prompt + second
    assert talk.messages == [
        {"role": "system", "content": "the dog"},
        {"role": "user", "content": "the cat?"},
        {"role": "assistant", "content": first},
        {"role": "user", "content": "the log?"},
        {"role": "assistant", "content": second},
    ]
    talk.reset()
    assert talk.messages == [{"role": "system", "content": "the dog"}]


def test_an_answer_ends_with_the_model_or_the_tokenizer(tmp_path):
    folder = recurrent(tmp_path)
    told = []
    long = ask(conversation(folder, seed=1), "the cat", told)
    assert len(long) == 12 and told == []  # nothing could have ended it
    end = long[4]
    assert end not in long[:4]
    model, tokenizer = from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = end
    options = {"max_tokens": 12, "seed": 1, "do_sample": True}
    told = []
    assert ask(Conversation(model, tokenizer, **options), "the cat", told) in (long[:4], long[:5])
    assert told == []
    tokenizer.eos_token = None
    ids = [tokenizer.backend_tokenizer.token_to_id(end), 50256]  # the latter behind the vocabulary
    model.generation_config.eos_token_id = ids
    assert ask(Conversation(model, tokenizer, **options), "the cat", told) == long[:5]
    assert told == []
    options["max_tokens"] = 3
    assert ask(Conversation(model, tokenizer, **options), "the cat", told) == long[:3]
    assert told == ["the answer is cut off after 3 tokens: --max-tokens"]


def test_the_oldest_turns_are_dropped_and_it_is_said(tmp_path):
    folder = transformer(tmp_path)  # of 32 positions
    talk = conversation(folder, "mat", max_tokens=4)
    told = []
    answers = [ask(talk, text, told) for text in ("on", "at", "the")]
    # s:mat u:on a:.... u:at a:.... u:the a: has 6 + 5 + 7 + 5 + 7 + 6 + 2 = 38 tokens
    assert told == ["the oldest turn is dropped: the model reads 32 tokens at most"]
    assert [m["content"] for m in talk.messages] == ["mat", "at", answers[1], "the", answers[2]]
    told.clear()
    ask(talk, "the cat sat on", told)
    assert told == ["the 2 oldest turns are dropped: the model reads 32 tokens at most"]
    before = list(talk.messages)
    with pytest.raises(ValueError, match="it has 38 tokens, and the model reads 32"):
        talk.ask("the cat sat on the mat. the", print, print)
    assert talk.messages == before


def test_an_answer_takes_the_positions_that_are_left(tmp_path):
    talk = conversation(transformer(tmp_path), max_tokens=100)
    answer = ask(talk, "the cat sat on the")  # 23 tokens of 32
    assert len(answer) == 10  # the last of which is not read


def test_ctrl_c_stops_the_answer_and_what_was_written_stays(tmp_path):
    talk = conversation(recurrent(tmp_path), max_tokens=50)
    pieces, told = [], []

    def write(piece):
        pieces.append(piece)
        if len(pieces) == 5:
            raise KeyboardInterrupt

    answer = talk.ask("the cat", write, told.append)
    assert answer == "".join(pieces) and len(pieces) == 5
    assert told == ["stopped"]
    assert talk.messages[-1] == {"role": "assistant", "content": answer}
    assert len(ask(talk, "the dog")) == 50


def test_what_does_not_fit_is_refused_at_the_beginning(tmp_path):
    folder = recurrent(tmp_path)
    model, tokenizer = from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ raise_exception('no system, please') }}"
    with pytest.raises(ValueError, match="refuses this conversation: no system, please"):
        Conversation(model, tokenizer, "be brief")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["cat"])
    with pytest.raises(ValueError, match=r"has \d+ tokens, the model \d+.*resize_token_embeddings"):
        Conversation(model, tokenizer)
    model.resize_token_embeddings(len(tokenizer))
    assert ask(Conversation(model, tokenizer, max_tokens=3), "the cat")


def test_a_template_that_leaves_the_system_message_out_is_noticed(tmp_path):
    talk = conversation(recurrent(tmp_path), "the dog")
    assert not talk.ignores_system()
    leaves_out = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    folder = recurrent(tmp_path / "other", leaves_out)
    assert conversation(folder, "the dog").ignores_system()
    assert not conversation(folder).ignores_system()


def test_commands(capsys):
    class Log:
        def __init__(self):
            self.resets = 0

        def reset(self):
            self.resets += 1

    lines, asked, log = (
        iter(["", " the cat \n", "/reset\n", "/what\n", "/etc/x?\n", "no\n", "stop"]),
        [],
        Log(),
    )

    def answer(_, text):
        if text == "no":
            raise ValueError("too long")
        if text == "stop":
            raise KeyboardInterrupt
        asked.append(text)

    assert converse(log, lambda: next(lines, None), answer, goes_on=True) == 1
    assert asked == ["the cat", "/etc/x?"] and log.resets == 1
    said = capsys.readouterr().err
    assert "what was said is forgotten" in said
    assert "no such command: /what\n/reset" in said
    assert said.endswith("too long\n\n")
    assert converse(log, iter(["a", "/exit", "b"]).__next__, answer) == 0
    assert asked[2:] == ["a"]
    with pytest.raises(KeyboardInterrupt):
        converse(log, iter(["stop", "/exit"]).__next__, answer)


# --- the command line -----------------------------------------------------------------------------


def test_by_pipes(tmp_path):
    folder = recurrent(tmp_path)
    options = ["-m", 12, "--seed", 3, "--temp", 0.7, "--system", "the dog"]
    done = minilm("chat", folder, *options, stdin="the cat?\n\n/reset\nthe cat?\n/exit\nnever\n")
    assert done.returncode == 0, done.stderr
    talk = conversation(folder, "the dog", seed=3, temperature=0.7)
    first = ask(talk, "the cat?")
    talk.reset()
    assert done.stdout == f"{first}\n{ask(talk, 'the cat?')}\n"
    assert done.stderr == "what was said is forgotten\n"


def test_json_is_a_line_an_answer(tmp_path):
    folder = recurrent(tmp_path)
    done = minilm("chat", folder, "--json", "--temp", 0, "-m", 5, stdin="the\nthe\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(answer) for answer in answers] == [["role", "content"]] * 2
    talk = conversation(folder, do_sample=False, max_tokens=5)
    assert [answer["content"] for answer in answers] == [ask(talk, "the"), ask(talk, "the")]


def test_int8(tmp_path):
    folder = transformer(tmp_path)
    done = minilm("chat", folder, "--int8", "--seed", 3, "-m", 8, stdin="on the\n")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    options = {"max_tokens": 8, "seed": 3, "do_sample": True, "temperature": 0.8}
    talk = Conversation(from_pretrained(folder, load_in_8bit=True), tokenizer, **options)
    assert done.stdout == ask(talk, "on the") + "\n"


def test_a_name_of_the_hub(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    folder = transformer(tmp_path / "served")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    options = ["--seed", 3, "-m", 8]
    with hub("user/talker", folder) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        done = minilm("chat", "user/talker", *options, stdin="on the\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == minilm("chat", folder, *options, stdin="on the\n").stdout


def test_without_a_template_it_says_what_to_do(tmp_path):
    folder = recurrent(tmp_path, template=None)
    done = minilm("chat", folder, stdin="the cat\n")
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "has no chat template, neither chat_template.jinja nor" in line
    assert f"`minilm generate {folder} -i` writes with it" in line


def test_a_message_that_is_too_long_is_said_and_fails_at_the_end(tmp_path):
    done = minilm("chat", transformer(tmp_path), "-m", 3, stdin="the cat " * 9 + "\non\n")
    assert done.returncode == 1
    assert "the message is too long" in done.stderr
    assert len(done.stdout) == 4  # the next one is answered


def test_a_system_message_that_is_left_out_is_said(tmp_path):
    folder = recurrent(tmp_path, "{{ messages[-1].content }}")
    done = minilm("chat", folder, "--system", "dog", "-m", 3, stdin="on\n")
    assert "--system: this model's template leaves it out" in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("option", ["--max-tokens=0", "--temp=-1", "--seed=x"])
def test_wrong_usage(option):
    assert minilm("chat", "folder", option).returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_in_a_terminal_ctrl_c_stops_the_answer_and_ctrl_d_ends(tmp_path):
    import pty

    master, slave = pty.openpty()
    command = [*COMMAND, "chat", str(recurrent(tmp_path)), "-m", "5000000"]
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment(), start_new_session=True
    )
    os.close(slave)
    seen = Screen(master)
    try:
        seen.wait(lambda text: text.endswith("> "))
        assert "/exit    end, as Ctrl-D does" in seen.text
        os.write(master, b"the cat\n")
        for text in (b"the dog\n", b""):
            begun = len(seen.text)
            seen.wait(lambda text, begun=begun: len(text) > begun + 2000)
            process.send_signal(signal.SIGINT)
            seen.wait(lambda text: "(stopped)" in text[-200:] and text.endswith("> "))
            os.write(master, text)
        # At the prompt it asks again. A signal or an end that comes between the prompt and the wait
        # for a key is lost to Python: it is sent again.
        seen.wait(
            lambda text: text.endswith("> \r\n> "),
            again=lambda: process.send_signal(signal.SIGINT),
        )
        assert process.poll() is None
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            os.write(master, b"\x04")
            time.sleep(0.1)
        assert process.poll() == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


class Screen:
    """What a program printed into a pseudo-terminal so far."""

    def __init__(self, master):
        self._master = master
        self.text = ""

    def wait(self, seen, again=lambda: None):
        """Read until something is seen; do something `again` while nothing comes."""
        import select

        until = time.monotonic() + 60
        while not seen(self.text):
            assert time.monotonic() < until, self.text[-2000:]
            if select.select([self._master], [], [], 0.5)[0]:
                self.text += os.read(self._master, 65536).decode("utf-8", "replace")
            else:
                again()
