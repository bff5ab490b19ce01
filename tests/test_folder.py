import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import minilm
from minilm.data.tokenizer import train_char_tokenizer
from minilm.models import (
    GPT2Config,
    GPT2LMHeadModel,
    RNNModel,
    from_pretrained,
    load_tokenizer,
)
from minilm.models.folder import FolderError, read_config
from minilm.tokenization import PreTrainedTokenizerFast


@pytest.fixture
def saved(tmp_path):
    """A folder with a tiny model and its tokenizer."""
    from minilm.models import save_pretrained

    minilm.manual_seed(0)
    folder = tmp_path / "model"
    save_pretrained(RNNModel(5, 3, 4, "gru"), folder, train_char_tokenizer("hello"), {"lr": 0.1})
    return folder


def test_the_files_are_those_of_the_design(saved):
    assert sorted(p.name for p in saved.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "rnn"
    assert config["cell"] == "gru"
    assert config["training"] == {"lr": 0.1}


def test_the_weights_are_marked_as_pytorchs(saved):
    from safetensors import safe_open

    with safe_open(saved / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
        assert "rnn.weight_hh_l0" in file.keys()  # noqa: SIM118


def test_a_round_trip_keeps_every_bit(saved):
    model = from_pretrained(saved)
    assert not model.training
    for name, array in load_file(saved / "model.safetensors").items():
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), array)
    assert load_tokenizer(saved).decode([1, 3, 2]) == "ehl"[0] + "l" + "h"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FolderError, match="nowhere does not exist"):
        from_pretrained(tmp_path / "nowhere")


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(FolderError, match="file is not a folder"):
        from_pretrained(tmp_path / "file")


@pytest.mark.parametrize(
    "saved",
    [
        RNNModel(5, 3, 4),
        GPT2Config(),
        RNNModel(5, 3, 4).generation_config,
        PreTrainedTokenizerFast(tokenizer_object=train_char_tokenizer("hello")),
    ],
    ids=["model", "configuration", "generation", "tokenizer"],
)
def test_nothing_is_saved_in_place_of_a_file(saved, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"notes.txt is a file: expected a folder"):
        saved.save_pretrained(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named_with_what_is_there(saved, name):
    (saved / name).unlink()
    with pytest.raises(FolderError, match=rf"has no {name} \(it has .*tokenizer.json"):
        from_pretrained(saved)


def test_a_missing_tokenizer_is_named(saved):
    (saved / "tokenizer.json").unlink()
    with pytest.raises(
        FolderError, match="has no tokenizer: expected tokenizer.json, or vocab.json with"
    ):
        load_tokenizer(saved)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b'{"model_type": "rnn",', "config.json is damaged: .* line 1"),
        (b"[1]", "expected an object, got list"),
        (b"\xff{}", "config.json is damaged: not UTF-8 at byte offset 0"),
        (b"{}", "model_type must be one of rnn, awd_lstm, .*; got None"),
        (b'{"model_type": "bert"}', "one of rnn, .*, llama, distilbert; got 'bert'"),
        (b'{"model_type": "rnn", "vocab_size": 3}', "does not describe a RNNModel"),
    ],
)
def test_a_damaged_config_says_how(saved, damage, message):
    (saved / "config.json").write_bytes(damage)
    with pytest.raises(FolderError, match=message):
        from_pretrained(saved)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_cut_off_weights_are_damaged(saved, keep):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FolderError, match="model.safetensors"):
        from_pretrained(saved)


def test_a_damaged_tokenizer_is_named(saved):
    (saved / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FolderError, match="tokenizer.json is damaged"):
        load_tokenizer(saved)


def test_weights_that_do_not_fit_list_every_name_at_once(saved):
    path = saved / "model.safetensors"
    weights = load_file(path)
    del weights["fc.bias"], weights["rnn.bias_hh_l0"]
    weights["head.weight"] = np.zeros((2, 2), np.float32)
    weights["embedding.weight"] = np.zeros((7, 3), np.float32)
    save_file(weights, path)
    with pytest.raises(FolderError) as error:
        from_pretrained(saved)
    message = str(error.value)
    assert "missing fc.bias (5,)" in message
    assert "missing rnn.bias_hh_l0 (12,)" in message
    assert "unexpected head.weight (2, 2)" in message
    assert "embedding.weight has shape (7, 3), expected (5, 3)" in message


def test_read_config_gives_what_was_saved(saved):
    assert read_config(saved)["hidden_size"] == 4


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_full_disk_leaves_the_old_files_whole(saved):
    before = {p.name: p.read_bytes() for p in saved.iterdir()}
    program = """
import resource, signal, sys
import minilm
from minilm.models import RNNModel
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model = RNNModel(5, 300, 400)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    model.save_pretrained(sys.argv[1])
except OSError as error:
    sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", program, str(saved)], timeout=60)
    assert done.returncode == 7
    after = {p.name: p.read_bytes() for p in saved.iterdir()}
    assert after.keys() == before.keys()
    assert after["model.safetensors"] == before["model.safetensors"]
    assert from_pretrained(saved).config["hidden_size"] == 4


def test_a_tokenizer_of_another_model_is_refused(saved):
    train_char_tokenizer("quite other letters").save(str(saved / "tokenizer.json"))
    with pytest.raises(FolderError, match=r"has \d+ tokens, but vocab_size in config.json is 5"):
        load_tokenizer(saved)


def test_what_json_cannot_hold_becomes_null(tmp_path):
    from minilm.models import save_pretrained

    save_pretrained(RNNModel(5, 3, 4), tmp_path, training={"perplexity": float("inf")})
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["training"] == {
        "perplexity": None
    }


@pytest.mark.parametrize(("multiple", "loads"), [(8, False), (64, True), (128, True), (256, False)])
def test_a_vocabulary_may_be_rounded_up(tmp_path, multiple, loads):
    """As many models have it, since some machines like round numbers."""
    tokenizer = train_char_tokenizer("abcd ")
    config = GPT2Config(vocab_size=6, n_positions=4, n_embd=4, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config)
    model.resize_token_embeddings(pad_to_multiple_of=multiple)
    model.save_pretrained(tmp_path, tokenizer)
    if loads:
        assert load_tokenizer(tmp_path).encode("dab").ids == tokenizer.encode("dab").ids
    else:
        with pytest.raises(FolderError, match=f"has 6 tokens, but vocab_size .* is {multiple}"):
            load_tokenizer(tmp_path)
