import re

import pytest
from cli_helpers import minilm

from minilm.cli.interactive import Session, converse
from minilm.data.tokenizer import encode_text
from minilm.generation import likeliest
from minilm.models import from_pretrained, load_tokenizer

OPTIONS = {"seed": 5, "temperature": 0.8}


@pytest.fixture
def session(trained):
    return Session(from_pretrained(trained), load_tokenizer(trained), "the c", OPTIONS)


def talk(session, *commands) -> list[str]:
    lines, said = iter(commands), []
    converse(session, lambda: next(lines, None), said.append)
    return said


def test_the_ten_likeliest_are_shown_with_their_probabilities(session, trained):
    lines = list(session.show())
    assert lines[0] == "text: 'the c'"
    tokenizer = load_tokenizer(trained)
    ids = encode_text(tokenizer, "the c")
    for number, (line, (token, prob)) in enumerate(
        zip(lines[1:], likeliest(from_pretrained(trained), ids), strict=True), 1
    ):
        found = re.fullmatch(r" *(\d+)  ('.*'|\".*\") +([\d.]+)%(?:  (#*))?", line)
        assert int(found[1]) == number
        assert found[2] == repr(tokenizer.decode([token], skip_special_tokens=False))
        assert float(found[3]) == pytest.approx(100 * prob, abs=0.051)
        assert len(found[4] or "") == round(30 * prob)
    assert len(lines) == 11


def test_a_number_takes_a_token_and_b_goes_back(session):
    (first, *_) = [line for line in session.show() if line.startswith("  1")]
    token = re.search(r"'(.)'", first)[1]
    talk(session, "1")
    assert session.text == f"the c{token}"
    talk(session, "b")
    assert session.text == "the c"
    assert "this is the beginning" in talk(session, "b")


def test_text_is_taken_as_it_stands(session):
    talk(session, "+ sat ")
    assert session.text == "the c sat "
    assert "there is no text behind the +" in talk(session, "+")


def test_the_model_writes_on(session):
    talk(session, "w 7")
    first = session.text
    assert len(first) == len("the c") + 7
    talk(session, "w")
    assert len(session.text) == len(first) + 1
    talk(session, "b", "b", "w 7")
    assert session.text == first  # the same seed at the same place


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("0", "take one of 1 to 10; got 0"),
        ("11", "take one of 1 to 10; got 11"),
        ("w none", "how many tokens? w 40, say; got 'none'"),
        ("w 0", "how many tokens? w 40, say; got '0'"),
        ("write", "no such command: 'write'"),
        ("", "no such command: ''"),
    ],
)
def test_what_is_no_command_is_said_and_changes_nothing(session, command, answer):
    said = talk(session, command)
    assert any(line.startswith(answer) for line in said)
    assert session.text == "the c"
    assert sum(line.startswith("text:") for line in said) == 1  # not shown again


def test_by_the_command_line(trained):
    typed = "1\n+ the \nw 3\nb\nq\n"
    done = minilm("generate", trained, "-p", "the c", "-i", "--seed", 1, stdin=typed)
    assert done.returncode == 0 and done.stderr == ""
    assert "text: 'the c'" in done.stdout
    last = done.stdout.rstrip("\n").split("> ")[-1]
    assert re.fullmatch("the c. the ", last + " " * (10 - len(last)))
    assert "#" in done.stdout and "\x1b" not in done.stdout


def test_without_a_prompt_and_with_nothing_typed(trained):
    done = minilm("generate", trained, "--interactive")
    assert done.returncode == 0
    assert "text: ''" in done.stdout


@pytest.mark.parametrize("other", [["--json"], ["-p", "-"]])
def test_it_does_not_go_with_what_uses_the_same_streams(trained, other):
    done = minilm("generate", trained, "-i", *other)
    assert done.returncode == 1
    assert "--interactive asks on standard input; it does not go with --" in done.stderr
