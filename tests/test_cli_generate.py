import json
import subprocess

import pytest
from cli_helpers import COMMAND, environment, minilm, save_transformer

from minilm.models import from_pretrained, load_tokenizer


def test_it_goes_on_from_the_prompt(trained):
    done = minilm("generate", trained, "-p", "the cat", "-m", 40, "--temp", 0.8, "--seed", 0)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the cat")
    assert len(done.stdout) == len("the cat") + 40 + len("\n")
    assert done.stderr == ""


def test_the_same_seed_writes_the_same(trained):
    def write(seed):
        options = ["--temp", 0.8, "--top-k", 40, "--top-p", 0.95, "--seed", seed]
        return minilm("generate", trained, "-p", "the", *options).stdout

    assert write(0) == write(0)
    assert write(0) != write(1)


def test_without_a_seed_each_time_is_another(trained):
    def write():
        return minilm("generate", trained, "-p", "the", "--temp", 1.5).stdout

    assert write() != write()


def test_temperature_zero_always_takes_the_likeliest(trained):
    texts = {
        minilm("generate", trained, "-p", "the", "--temp", 0, "--seed", seed).stdout
        for seed in (1, 2)
    }
    greedy = minilm("generate", trained, "-p", "the", "--top-k", 1, "--seed", 3).stdout
    assert texts == {greedy}


def test_in_int8_it_writes_from_rounded_weights(trained):
    model = from_pretrained(trained)
    tokenizer = load_tokenizer(trained)
    ids = model.quantize().generate(tokenizer.encode("the cat").ids, 60, temperature=0.8, seed=3)
    options = ["-p", "the cat", "-m", 60, "--temp", 0.8, "--seed", 3]
    done = minilm("generate", trained, *options, "--int8")
    assert done.stdout == tokenizer.decode(ids.tolist()) + "\n"


def test_without_a_prompt_it_begins_by_itself(trained):
    done = minilm("generate", trained, "-m", 10)
    assert len(done.stdout) == 11


def test_the_prompt_may_come_from_standard_input(trained):
    done = minilm("generate", trained, "-p", "-", "-m", 3, stdin="on the ")
    assert done.stdout.startswith("on the ")


def test_json(trained):
    done = minilm("generate", trained, "-p", "the", "-m", 10, "--json")
    result = json.loads(done.stdout)
    assert result["prompt"] == "the"
    assert result["text"].startswith("the")
    assert len(result["text"]) == 13
    again = minilm("generate", trained, "-p", "the", "-m", 10, "--seed", result["seed"])
    assert again.stdout == result["text"] + "\n"


def test_unknown_characters_of_the_prompt_are_counted(trained):
    done = minilm("generate", trained, "-p", "the Zoë", "-m", 3)
    assert done.returncode == 0
    assert done.stdout.startswith("the Zoë")
    assert done.stderr == "the prompt: 2 of 7 tokens are unknown, read as <unk>\n"


def test_a_missing_folder_is_an_error_in_one_line(tmp_path):
    done = minilm("generate", tmp_path / "none")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("minilm generate: ")
    assert "none does not exist" in line


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--temp=-1", "expected a number of at least 0, got '-1'"),
        ("--top-p=1.5", "expected a number of at least 0 and at most 1, got '1.5'"),
        ("--top-k=-2", "expected a whole number of at least 0, got '-2'"),
        ("-m=-1", "expected a whole number of at least 0"),
    ],
)
def test_wrong_usage(option, message):
    done = minilm("generate", "folder", option)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error_to_shout_about(trained):
    with subprocess.Popen(
        [*COMMAND, "generate", str(trained), "-m", "200000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        process.stdout.read(20)
        process.stdout.close()
        assert process.stderr.read() == b""


def test_beams_find_one_text(trained):
    options = ["-p", "the cat", "-m", 12, "--num-beams", 3, "--length-penalty", 0.5]
    texts = {minilm("generate", trained, *options, "--seed", seed).stdout for seed in (1, 2)}
    (text,) = texts
    model, tokenizer = from_pretrained(trained), load_tokenizer(trained)
    unknown = tokenizer.token_to_id("<unk>")
    ids = model.generate(
        tokenizer.encode("the cat").ids,
        12,
        num_beams=3,
        length_penalty=0.5,
        suppress_tokens=[unknown],
    )
    assert text == tokenizer.decode(ids.tolist()) + "\n"


def test_beams_do_not_draw(trained):
    done = minilm("generate", trained, "--num-beams", 3, "--top-k", 3)
    assert done.returncode == 1
    assert "--num-beams searches, --top-k is for drawing: give one of them" in done.stderr


def test_rules_and_stop_strings(trained):
    options = ["-p", "the cat", "--temp", 0, "--no-repeat-ngram-size", 4, "--stop", "at t"]
    text = minilm("generate", trained, *options).stdout.rstrip("\n")
    assert text.count("at t") == 1 and text.endswith("at t")
    options = ["-p", "the cat", "--temp", 0, "-m", 60, "--repetition-penalty", 3]
    penalised = minilm("generate", trained, *options, "--min-p", 0.1).stdout
    assert penalised != minilm("generate", trained, "-p", "the cat", "--temp", 0, "-m", 60).stdout


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_transformers_write_in_int8(kind, tmp_path):
    folder = save_transformer(tmp_path, kind)
    model, tokenizer = from_pretrained(folder), load_tokenizer(folder)
    ids = model.quantize().generate(
        tokenizer.encode("the cat").ids,
        20,
        seed=3,
        suppress_tokens=[tokenizer.token_to_id("<unk>")],
    )
    options = ["-p", "the cat", "-m", 20, "--temp", 1, "--seed", 3]
    done = minilm("generate", folder, *options, "--int8")
    assert done.stdout == tokenizer.decode(ids.tolist()) + "\n"
    assert done.stderr == ""
    shown = minilm("generate", folder, "-i", "-p", "the", "--int8", stdin="w 3\nq\n")
    assert shown.returncode == 0, shown.stderr
