import json

import pytest
from cli_helpers import TEXT, minilm

from minilm.data.tokenizer import encode_text
from minilm.evaluation import memorisation
from minilm.models import load_tokenizer


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "training.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_what_the_model_writes_is_looked_up(trained, training):
    arguments = ("memorisation", trained, "--train", training, "-m", 300, "--seed", 1)
    done = minilm(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["generated"]["tokens"] == 300
    assert result["generated"]["longest"] >= 8
    assert result["generated"]["span"] in TEXT[: int(0.9 * len(TEXT))]
    assert 0 <= result["generated"]["new_share"] < 1
    assert result["held_out"]["new_share"] == 0.0  # the text says the same again and again
    assert json.loads(minilm(*arguments, "--json").stdout) == result
    shown = minilm(*arguments).stdout
    assert f"longest span copied {result['generated']['longest']}" in shown
    assert shown.splitlines()[-1] == repr(result["generated"]["span"])


def test_a_text_can_be_looked_up(trained, training):
    text = "the cat sat on the dog.\n" * 3
    done = minilm(
        "memorisation", trained, "--train", training, "--text", "-", "-n", 5, "--json", stdin=text
    )
    tokenizer = load_tokenizer(trained)
    ids = encode_text(tokenizer, TEXT)
    cut = int(0.9 * len(ids))
    expected = memorisation(text, ids[:cut], held_out=ids[cut:], n=5, tokenizer=tokenizer)
    assert json.loads(done.stdout) == expected.to_dict()


def test_another_file_is_training_text_as_a_whole(trained, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("a mat on a log. " * 20, encoding="utf-8")
    arguments = ("memorisation", trained, "--train", path, "-m", 50, "--json")
    assert json.loads(minilm(*arguments).stdout)["held_out"] is None
    held_out = tmp_path / "held-out.txt"
    held_out.write_text("a log on a mat. " * 20, encoding="utf-8")
    compared = json.loads(minilm(*arguments, "--held-out", held_out).stdout)["held_out"]
    assert compared["tokens"] == 50 and compared["longest"] > 5


def test_the_training_text_is_needed(trained, tmp_path):
    done = minilm("memorisation", trained)
    assert done.returncode == 2
    assert "--train" in done.stderr
    done = minilm("memorisation", trained, "--train", tmp_path / "none.txt")
    assert done.returncode == 1
    assert "none.txt: No such file" in done.stderr


def test_a_text_that_is_too_short(trained, training):
    done = minilm("memorisation", trained, "--train", training, "--text", "-", stdin="cat")
    assert done.returncode == 1
    assert done.stderr.startswith("minilm memorisation: generated: expected ids")


def test_a_model_in_int8_is_looked_into_as_well(trained, training):
    done = minilm("memorisation", trained, "--train", training, "-m", 100, "--int8", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["generated"]["tokens"] == 100
