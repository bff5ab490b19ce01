import json
import math

import pytest
from cli_helpers import TEXT, minilm


@pytest.fixture(scope="module")
def result(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    done = minilm("eval", trained, path, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_json_has_the_four_figures(result):
    assert list(result) == ["loss", "perplexity", "tokens", "bits_per_char"]
    assert result["tokens"] == len(TEXT) - 1
    assert result["perplexity"] == pytest.approx(math.exp(result["loss"]))
    assert result["bits_per_char"] == pytest.approx(result["loss"] / math.log(2))
    assert result["loss"] < 1


def test_standard_input_gives_the_same(trained, result):
    assert json.loads(minilm("eval", trained, "-", "--json", stdin=TEXT).stdout) == result


def test_people_get_lines(trained, result):
    done = minilm("eval", trained, "-", stdin=TEXT)
    assert f"{result['loss']:.4f} nats a token" in done.stdout
    assert f"{result['tokens']}" in done.stdout
    assert done.stderr == ""


def test_unknown_characters_are_counted_on_standard_error(trained):
    done = minilm("eval", trained, "-", stdin="the cat sät")
    assert done.returncode == 0
    assert done.stderr == "standard input: 1 of 11 tokens are unknown, read as <unk>\n"


def test_bits_per_char_of_words_count_characters(trained_on_words):
    result = json.loads(minilm("eval", trained_on_words, "-", "--json", stdin=TEXT).stdout)
    words = 60 * 15  # fourteen words and full stops, and the line's end
    assert result["tokens"] == words - 1
    expected = result["loss"] / math.log(2) * words / len(TEXT)
    assert result["bits_per_char"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "standard input is empty"),
        (b"x", "has 1 tokens, at least 2 needed"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_bad_text_is_an_error_in_one_line(trained, text, message):
    done = minilm("eval", trained, "-", stdin=text)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_damaged_folder_is_an_error(trained, tmp_path):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes((trained / name).read_bytes()[:100])
    done = minilm("eval", tmp_path, "-", stdin=TEXT)
    assert done.returncode == 1
    assert "config.json is damaged" in done.stderr


def test_both_arguments_are_needed(trained):
    done = minilm("eval", trained)
    assert done.returncode == 2
    assert "FILE" in done.stderr
