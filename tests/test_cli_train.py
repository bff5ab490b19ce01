import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import COMMAND, TEXT, TINY, environment, minilm
from safetensors.numpy import load_file

from minilm.data import train_bpe_tokenizer
from minilm.models import GPT2Config, GPT2LMHeadModel, from_pretrained
from minilm.training.settings import Architecture, Settings

FILES = [
    ".run",
    "config.json",
    "diagnostics.jsonl",
    "history.csv",
    "log.jsonl",
    "model.safetensors",
    "report.html",
    "run.json",
    "tokenizer.json",
]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "cats.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_it_trains_saves_and_writes(data, tmp_path):
    done = minilm("train", "--data", data, *TINY, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "run") == FILES
    lines = done.stdout.splitlines()
    assert lines[0].split() == "nats a token perplexity validation is".split()
    assert lines[1].startswith("validation ")
    assert re.match(r"[1-6]-gram ", lines[2])
    assert lines[2].endswith(("below", "above"))
    assert len("\n".join(lines[3:])) > 200  # the passage
    assert "epoch 2/2" in done.stderr
    assert "saved in" in done.stderr
    with open(tmp_path / "run" / "history.csv", encoding="utf-8", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]


def test_json_has_all_figures(data, tmp_path):
    done = minilm("train", "--data", data, *TINY, "--out", tmp_path, "--json")
    result = json.loads(done.stdout)
    assert result["perplexity"] == pytest.approx(np.exp(result["loss"]))
    assert 1 <= result["ngram_order"] <= 6
    assert 0 < result["ngram_loss"] < 1
    assert result["train_tokens"] + result["valid_tokens"] == len(TEXT)
    assert result["interrupted"] is False
    assert result["passage"]
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["training"]["loss"] == result["loss"]
    assert config["training"]["seed"] == 3


def test_one_seed_gives_one_model_whatever_the_threads(data, tmp_path):
    for name, more in [("a", ["--threads", 1]), ("b", ["--threads", 2]), ("c", ["--seed", 4])]:
        minilm("train", "--data", data, *TINY, "--dropout", 0.1, *more, "--out", tmp_path / name)
    a, b, c = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not any(np.array_equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize("model", ["rnn", "gru", "mingru"])
@pytest.mark.parametrize("level", ["char", "word"])
def test_every_option_reaches_the_model(data, tmp_path, model, level):
    options = ["--model", model, "--level", level, "--layers", 2, "--dropout", 0.25]
    done = minilm("train", "--data", data, *TINY, *options, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    config = from_pretrained(tmp_path).config
    assert config.pop("vocab_size") == {"char": 16, "word": 10}[level]
    assert config == {
        "embed_size": 8,
        "hidden_size": 16,
        "cell": model,
        "num_layers": 2,
        "dropout": 0.25,
        "tie_weights": False,
    }


def test_standard_input_is_a_text_too(tmp_path):
    done = minilm("train", "--data", "-", *TINY, "--json", cwd=tmp_path, stdin=TEXT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / json.loads(done.stdout)["folder"] / "model.safetensors").exists()


def test_each_run_gets_a_folder_of_its_own(data, tmp_path):
    folders = [
        json.loads(minilm("train", "--data", data, *TINY, "--json", cwd=tmp_path).stdout)["folder"]
        for _ in range(2)
    ]
    assert folders == [str(Path("runs", "cats-char-lstm")), str(Path("runs", "cats-char-lstm-2"))]


def test_the_stories_come_with_the_best_possible_loss(tmp_path):
    done = minilm(
        "train", "--hidden", 16, "--epochs", 1, "--batch-size", 64, "--out", tmp_path, "--json"
    )
    result = json.loads(done.stdout)
    assert result["level"] == "word"
    assert 0 < result["best_possible_loss"] < result["ngram_loss"] < result["loss"]
    assert "best possible" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_help_shows_every_default():
    shown = " ".join(minilm("train", "--help").stdout.split())
    for defaults in (Architecture(), Settings()):
        for name, value in vars(defaults).items():
            assert f"--{name.replace('_', '-')}" in shown
            assert value in (None, False) or f"(default: {value})" in shown


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--hidden", "-5", "--hidden: expected a whole number of at least 1, got '-5'"),
        ("--epochs", "0", "expected a whole number of at least 1, got '0'"),
        ("--batch-size", "2.5", "expected a whole number of at least 1, got '2.5'"),
        ("--lr", "0", "expected a number above 0, got '0'"),
        ("--lr", "nan", "expected a number above 0, got 'nan'"),
        ("--clip", "inf", "expected a number of at least 0, got 'inf'"),
        ("--dropout", "1", "expected a number of at least 0 and at most 0.99, got '1'"),
        ("--seed", "-1", "expected a whole number of at least 0"),
        ("--model", "transformer", "invalid choice: 'transformer'"),
        ("--level", "byte", "invalid choice: 'byte'"),
    ],
)
def test_wrong_usage_says_what_was_expected(option, value, message):
    done = minilm("train", f"{option}={value}")
    assert done.returncode == 2
    assert message in done.stderr


def check_error(done: subprocess.CompletedProcess, *parts: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("minilm train: ")
    for part in parts:
        assert part in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["empty"]),
        (b" \n", ["only white space"]),
        (b"too short", ["has 9 tokens", "--seq-len 16", "smaller --seq-len"]),
        (b"fine\nnot \xff fine", ["not UTF-8", "line 2", "byte offset 9"]),
    ],
)
def test_a_bad_text_is_described(tmp_path, content, parts):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    done = minilm("train", "--data", path, *TINY, "--out", tmp_path / "run")
    check_error(done, *parts)


def test_a_missing_text_is_named(tmp_path):
    done = minilm("train", "--data", tmp_path / "no.txt", "--out", tmp_path)
    check_error(done, "no.txt", "No such file")


def test_an_error_can_show_where_it_came_from(tmp_path):
    done = minilm("train", "--data", tmp_path / "no.txt", "--traceback")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_folder_that_is_a_file_is_refused_before_training(data, tmp_path):
    (tmp_path / "run").write_text("mine", encoding="utf-8")
    done = minilm("train", "--data", data, *TINY, "--out", tmp_path / "run")
    check_error(done, "run", "cannot write into the folder")
    assert "epoch" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder_is_refused_before_training(data, tmp_path):
    tmp_path.chmod(0o500)
    done = minilm("train", "--data", data, *TINY, "--out", tmp_path)
    tmp_path.chmod(0o700)
    check_error(done, str(tmp_path), "cannot write into the folder")


def test_a_loss_that_is_no_number_stops_the_run(data, tmp_path):
    done = minilm("train", "--data", data, *TINY, "--lr", "1e38", "--clip", 0, "--out", tmp_path)
    check_error(done, "at step ", "(epoch 1); first bad tensor: the ", "learning rate")
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_saves_what_was_trained_within_a_second(data, tmp_path):
    folder = tmp_path / "run"
    arguments = ["--data", data, *TINY, "--epochs", "100000", "--out", folder]
    with subprocess.Popen(
        [*COMMAND, "train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        for line in process.stderr:
            if b"epoch 3/" in line:
                break
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, said = process.communicate(timeout=30)
        took = time.monotonic() - sent
    assert process.returncode == 130
    assert took < 5  # a second, on a machine that does nothing else
    assert said.decode("utf-8").splitlines()[-3:] == [
        f"saved in {folder}",
        f"go on with: minilm train --resume {folder}",
        "minilm: interrupted",
    ]
    assert files(folder) == FILES
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["training"]["interrupted"] is True
    assert config["training"]["epoch"] >= 3
    assert minilm("generate", folder, "-m", 5).returncode == 0


def test_an_estimate_begins_nothing(data, tmp_path):
    done = minilm("train", "--data", data, *TINY, "--out", tmp_path / "run", "--estimate")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["memory", "free", "an"]
    assert not (tmp_path / "run").exists()
    result = minilm("train", "--data", data, *TINY, "--estimate", "--json", cwd=tmp_path).stdout
    assert json.loads(result)["fits"] is True


def test_resume_goes_on_with_the_run_of_a_folder(data, tmp_path):
    folder = tmp_path / "run"
    minilm("train", "--data", data, *TINY, "--out", folder)
    done = minilm("train", "--resume", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stderr
    assert json.loads(done.stdout)["steps"] == 2 * (2592 // 64)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (["--hidden", 32], ["goes on with a run as it began", "--hidden cannot be given"]),
        (["--data", "OTHER"], ["of another run", "data is", "architecture: ", "tokenizer is"]),
    ],
)
def test_resume_refuses_another_run(data, tmp_path, change, parts):
    folder, other = tmp_path / "run", tmp_path / "other.txt"
    other.write_text("quite another text. " * 200, encoding="utf-8")
    minilm("train", "--data", data, *TINY, "--out", folder)
    change = [other if word == "OTHER" else word for word in change]
    check_error(minilm("train", "--resume", folder, *change), *parts)


def test_resume_of_a_folder_that_is_no_run(tmp_path):
    check_error(minilm("train", "--resume", tmp_path), "no run of minilm train to go on with")


def test_a_second_run_in_one_folder_is_refused(data, tmp_path):
    from minilm.lock import FolderLock

    with FolderLock(tmp_path):
        done = minilm("train", "--data", data, *TINY, "--out", tmp_path)
    check_error(done, "another run", "is writing into this folder")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (
            "--model gpt --layers 2 --heads 2 --hidden 16 --lr 0.003 --gradient-checkpointing",
            "GPT2LMHeadModel",
        ),
        ("--model gpt-nano --tokenizer bpe --vocab-size 280", "GPT2LMHeadModel"),
        ("--model awd-lstm --level word --layers 2 --hidden 16 --embed 8", "AWDLSTM"),
        ("--model gru --tie --hidden 16", "RNNModel"),
        ("--model mingru --layers 2 --hidden 16", "RNNModel"),
        ("--model minlstm --tie --hidden 16", "RNNModel"),
        ("--model lstm --level word --vocab-size 8", "RNNModel"),
    ],
)
def test_every_kind_of_model_trains_goes_on_and_writes(data, tmp_path, options, kind):
    more = "--seq-len 16 --batch-size 8 --epochs 1 --seed 3".split()
    folder = tmp_path / "run"
    done = minilm("train", "--data", data, *options.split(), *more, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passage"]
    assert type(from_pretrained(folder)).__name__ == kind
    if "--vocab-size" in options:
        limit = int(options.split()[-1])
        assert json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"] <= limit
    again = minilm("train", "--resume", folder, "--json")
    assert json.loads(again.stdout)["loss"] == result["loss"]


def test_training_on_from_a_model(data, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    minilm("train", "--data", data, *TINY, "--out", first)
    settings = TINY[TINY.index("--seq-len") :]
    done = minilm("train", "--data", data, *settings, "--init", first, "--out", second, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["level"] == "char"
    before = json.loads((first / "config.json").read_text("utf-8"))["training"]["loss"]
    assert json.loads(done.stdout)["loss"] < before
    again = minilm("train", "--resume", second)
    assert again.returncode == 0, again.stderr


def test_a_model_is_trained_on_as_it_is(data, tmp_path):
    done = minilm("train", "--data", data, "--init", tmp_path, "--hidden", 32, "--level", "word")
    check_error(done, "--init trains on a model as it is", "so --hidden, --level cannot be given")
    tokenizer = train_bpe_tokenizer(data.read_text("utf-8"), vocab_size=300)
    size = tokenizer.get_vocab_size()
    config = GPT2Config(vocab_size=size, n_positions=16, n_embd=8, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "other", tokenizer)
    options = ["--seq-len", 16, "--epochs", 1, "--json"]
    done = minilm("train", "--data", data, "--init", "other", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["level"], Path(result["folder"]).name) == ("bpe", f"{data.stem}-bpe-other")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--model gpt --embed 8", ["'gpt' has no --embed"]),
        ("--model lstm --heads 2", ["'lstm' has no --heads"]),
        ("--model gpt --heads 3 --hidden 16", ["n_head", "n_embd"]),
        ("--tie --hidden 16 --embed 8", ["tie"]),
        ("--vocab-size 9", ["characters", "leave --vocab-size out"]),
        ("--init NOWHERE", ["NOWHERE", "does not exist"]),
        ("--schedule cosin", ["did you mean 'cosine'"]),
    ],
)
def test_sizes_that_do_not_fit(data, tmp_path, options, parts):
    done = minilm("train", "--data", data, *options.split(), "--out", tmp_path / "run")
    check_error(done, *parts)
    assert not (tmp_path / "run").exists()
