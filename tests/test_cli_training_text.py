import json

import pytest

from minilm.cli.training_text import training_ids
from minilm.data.tokenizer import encode_text, train_char_tokenizer

TEXT = "a text of thirty-one characters"
TOKENIZER = train_char_tokenizer(TEXT)


@pytest.mark.parametrize(
    ("training", "cut"),
    [
        ({"train_tokens": 27, "valid_tokens": 4}, 27),
        ({"train_tokens": 27, "valid_tokens": 5}, None),  # of another file
        ({}, None),
        ("by hand", None),
        (None, None),
    ],
)
def test_the_split_is_that_of_the_run(tmp_path, training, cut):
    (tmp_path / "config.json").write_text(json.dumps({"training": training}), encoding="utf-8")
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    train, held_out = training_ids(str(tmp_path), TOKENIZER, str(tmp_path / "text.txt"))
    ids = encode_text(TOKENIZER, TEXT).tolist()
    assert train.tolist() == ids[:cut]
    assert (None if held_out is None else held_out.tolist()) == (ids[cut:] if cut else None)
