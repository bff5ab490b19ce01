import json
import math

import pytest
from cli_helpers import TEXT, minilm, save_transformer

from minilm.data.tokenizer import encode_text
from minilm.evaluation import evaluate, yardstick
from minilm.models import from_pretrained, load_tokenizer


@pytest.fixture(scope="module")
def result(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    done = minilm("eval", trained, path, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_json_has_the_figures_and_their_terms(result):
    assert list(result) == [
        "loss",
        "perplexity",
        "tokens",
        "bits_per_char",
        "bits_per_byte",
        "terms",
    ]
    assert result["terms"][:2] == ["all but the first", "end of line counted"]
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
    assert (
        f"over {result['tokens']:,} tokens, all but the first, end of line counted" in done.stdout
    )
    assert done.stderr == ""


def test_detail_shows_what_costs_most(trained):
    result = json.loads(minilm("eval", trained, "-", "--detail", "--json", stdin=TEXT).stdout)
    assert 0.5 < result["accuracy"] <= result["top5_accuracy"] <= 1
    assert 0 <= result["calibration_error"] < 0.5
    assert sum(one["count"] for one in result["calibration"]) == result["tokens"]
    costs = [one["nats"] for one in result["costliest"]]
    assert costs == sorted(costs, reverse=True)
    assert sum(costs) == pytest.approx(result["loss"] * result["tokens"])  # not 20 types
    worst = result["worst"][0]
    assert TEXT[worst["position"]] == worst["text"]
    assert TEXT[: worst["position"]].endswith(worst["context_text"])
    shown = minilm("eval", trained, "-", "--detail", stdin=TEXT).stdout
    for part in ("accuracy", "expected calibration error", "costliest tokens", "instead of"):
        assert part in shown
    assert f"{result['costliest'][0]['text']!r}" in shown


def test_ngrams_are_counted_in_what_was_trained_on(trained, tmp_path):
    training, other = tmp_path / "training.txt", "the dog sat on the cat.\n" * 9
    training.write_text(TEXT, encoding="utf-8")
    done = minilm("eval", trained, "-", "--ngram", training, "--json", stdin=other)
    result = json.loads(done.stdout)
    tokenizer = load_tokenizer(trained)
    ids = encode_text(tokenizer, TEXT)
    expected = yardstick(
        ids[: int(0.9 * len(ids))], encode_text(tokenizer, other), tokenizer.get_vocab_size()
    )
    assert result["ngram"] == {
        "order": expected.order,
        "loss": expected.loss,
        "perplexity": expected.perplexity,
        "comparison": expected.compare(result["loss"]),
    }
    assert done.stderr == ""
    assert (
        expected.compare(result["loss"])
        in minilm("eval", trained, "-", "--ngram", training, stdin=other).stdout
    )


def test_a_text_that_was_trained_on_is_noticed(trained, tmp_path):
    (tmp_path / "training.txt").write_text(TEXT, encoding="utf-8")
    done = minilm("eval", trained, "-", "--ngram", tmp_path / "training.txt", stdin=TEXT[:500])
    assert done.returncode == 0
    assert "standard input: 500 of its 500 tokens stand in one piece in the training" in done.stderr


def test_a_stride_is_said(trained, result):
    strided = json.loads(minilm("eval", trained, "-", "--stride", 64, "--json", stdin=TEXT).stdout)
    assert strided["terms"][-1] == "stride 64 after 128 tokens of context or more"
    assert strided["tokens"] == result["tokens"]
    assert strided["loss"] == pytest.approx(result["loss"], rel=0.05)
    assert minilm("eval", trained, "-", "--stride", 0, stdin=TEXT).returncode == 2


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


def test_int8_measures_the_rounded_weights(trained, tmp_path):
    for folder in (trained, save_transformer(tmp_path)):
        expected = evaluate(
            from_pretrained(folder).quantize(), TEXT, tokenizer=load_tokenizer(folder)
        ).loss
        done = minilm("eval", folder, "-", "--json", "--int8", stdin=TEXT)
        loss = json.loads(done.stdout)["loss"]
        assert loss == expected
        exact = json.loads(minilm("eval", folder, "-", "--json", stdin=TEXT).stdout)["loss"]
        assert loss != exact and loss == pytest.approx(exact, abs=0.02)
