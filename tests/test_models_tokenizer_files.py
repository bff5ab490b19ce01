"""``load_tokenizer`` takes each form that a folder's tokenizer may have."""

import json

import pytest
from cli_helpers import minilm
from tokenization_helpers import byte_pair_folder, byte_pairs, word_piece_folder, word_pieces

from minilm.models import FolderError, GPT2Config, GPT2LMHeadModel, load_tokenizer

TEXT = "the cat sat on the mat. né"


def with_model(folder, size):
    config = GPT2Config(
        vocab_size=size, n_positions=32, n_embd=8, n_layer=1, n_head=2, eos_token_id=None
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_byte_pairs_of_two_files(tmp_path):
    (tmp_path / "known").mkdir()
    known = byte_pairs(tmp_path / "known")
    folder = with_model(byte_pair_folder(tmp_path / "gpt2"), len(known))
    assert not (folder / "tokenizer.json").exists()
    tokenizer = load_tokenizer(folder)
    assert tokenizer.encode(TEXT).ids == known.encode(TEXT)
    assert tokenizer.decode(tokenizer.encode(TEXT).ids) == TEXT
    done = minilm("generate", folder, "-p", "the cat", "-m", 5, "--seed", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the cat")
    assert minilm("eval", folder, "-", stdin=TEXT).returncode == 0


def test_word_pieces_and_what_the_settings_say_of_them(tmp_path):
    ids = []
    for name, settings in (("lower", {}), ("cased", {"do_lower_case": False})):
        (tmp_path / name).mkdir()
        known = word_pieces(tmp_path / name, **settings)
        folder = with_model(word_piece_folder(tmp_path / f"{name}-model", **settings), len(known))
        tokenizer = load_tokenizer(folder)
        ids.append(tokenizer.encode("The CAT").ids)
        assert ids[-1] == known.encode("The CAT")
    assert ids[0] != ids[1]


def test_tokenizer_json_is_taken_before_the_others(tmp_path):
    folder = byte_pair_folder(tmp_path / "gpt2")
    word_piece_folder(folder)
    byte_pairs(tmp_path).save_pretrained(folder)
    settings = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    with_model(folder, len(settings["model"]["vocab"]))
    (folder / "vocab.json").write_text("{", encoding="utf-8")  # nobody reads it
    assert load_tokenizer(folder).decode(load_tokenizer(folder).encode(TEXT).ids) == TEXT


def test_tokens_that_were_added_count(tmp_path):
    size = len(byte_pairs(tmp_path))
    folder = with_model(byte_pair_folder(tmp_path / "gpt2"), size + 2)
    with pytest.raises(FolderError, match=rf"has {size} tokens, but vocab_size .* is {size + 2}"):
        load_tokenizer(folder)
    added = {"<new>": size, "<newer>": size + 1}
    (folder / "added_tokens.json").write_text(json.dumps(added), encoding="utf-8")
    assert load_tokenizer(folder).token_to_id("<newer>") == size + 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("vocab.json", "{", "vocab.json"),
        ("merges.txt", "one two three\n", "merges.txt is damaged: 'one two three' is not a pair"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, text, message):
    folder = with_model(byte_pair_folder(tmp_path / "gpt2"), 9)
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(FolderError, match=message):
        load_tokenizer(folder)
    (folder / name).unlink()
    with pytest.raises(FolderError, match="has no tokenizer: expected tokenizer.json, or vocab.js"):
        load_tokenizer(folder)
