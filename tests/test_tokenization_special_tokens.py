import warnings

import pytest
from tokenization_helpers import byte_pair_folder, byte_pairs, word_pieces
from tokenizers import AddedToken

from minilm.data import train_char_tokenizer, train_word_tokenizer
from minilm.tokenization import AutoTokenizer, PreTrainedTokenizerFast

END = "<|endoftext|>"


def char_tokenizer(**options):
    return PreTrainedTokenizerFast(tokenizer_object=train_char_tokenizer("abc"), **options)


def test_names_and_ids(tmp_path):
    tokenizer = word_pieces(tmp_path)
    assert tokenizer.special_tokens_map == {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    names = ("pad_token_id", "unk_token_id", "cls_token_id", "sep_token_id", "mask_token_id")
    assert [getattr(tokenizer, name) for name in names] == [0, 1, 2, 3, 4]
    assert sorted(tokenizer.all_special_ids) == [0, 1, 2, 3, 4]
    assert tokenizer.bos_token is None and tokenizer.eos_token_id is None


def test_gpt2_pads_with_its_end_of_text_and_says_so_once(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(byte_pair_folder(tmp_path))
    assert tokenizer.pad_token == tokenizer.eos_token == END
    with pytest.warns(UserWarning, match=f"no pad_token: '{END[:2]}.*its eos_token, fills up"):
        found = tokenizer(["a cat", "a"], padding=True)
    assert found["input_ids"][1][-1] == tokenizer.eos_token_id
    assert found["attention_mask"] == [[1, 1], [1, 0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer(["a cat", "a"], padding=True)


def test_nothing_is_said_where_the_pad_token_was_named(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(byte_pair_folder(tmp_path))
    tokenizer.pad_token = tokenizer.eos_token
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer(["a cat", "a"], padding=True)


def test_padding_needs_a_token():
    tokenizer = char_tokenizer()
    assert tokenizer.pad_token is None and tokenizer.unk_token == "<unk>"
    with pytest.raises(ValueError, match="padding needs a pad_token.*add_special_tokens"):
        tokenizer(["a", "bc"], padding=True)
    assert tokenizer.add_special_tokens({"pad_token": "[PAD]"}) == 1
    assert tokenizer(["a", "bc"], padding=True)["input_ids"] == [[1, 4], [2, 3]]
    assert tokenizer.decode([1, 4], skip_special_tokens=True) == "a"


def test_a_usual_name_does_not_change_what_is_encoded():
    made = train_word_tokenizer("a <unk> b")
    ours = PreTrainedTokenizerFast(tokenizer_object=made)
    assert ours.unk_token == "<unk>"
    assert ours.encode("a zebra <unk>") == made.encode("a zebra <unk>").ids
    assert ours.decode([0], skip_special_tokens=True) == made.decode([0])


def test_a_pad_token_named_by_itself_leaves_the_usual_names(tmp_path):
    made = byte_pairs(tmp_path).backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]")
    assert (tokenizer.eos_token, tokenizer.pad_token) == (END, "[PAD]")
    assert tokenizer.pad_token_id == made.get_vocab_size()
    named = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="a")
    assert named.special_tokens_map == {"eos_token": "a", "pad_token": "a"}


def test_adding(tmp_path):
    tokenizer = byte_pairs(tmp_path)
    size = len(tokenizer)
    assert tokenizer.add_tokens(["zebra", "cat "]) == 2
    assert tokenizer.add_tokens("zebra") == 0
    assert tokenizer.convert_tokens_to_ids("zebra") == size
    assert tokenizer.tokenize("the zebra")[-1] == "zebra"
    more = {"additional_special_tokens": ["<user>", AddedToken("<bot>", rstrip=True)]}
    assert tokenizer.add_special_tokens(more) == 2
    assert tokenizer.add_special_tokens(more) == 0
    assert tokenizer.extra_special_tokens == ["<user>", "<bot>"]
    assert tokenizer.all_special_tokens == [END, "<user>", "<bot>"]
    ids = tokenizer.encode("<user>the cat<bot>  a")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the cata"
    assert tokenizer.add_tokens(["<end>"], special_tokens=True) == 1
    assert tokenizer.decode(tokenizer.encode("a<end>"), skip_special_tokens=True) == "a"


def test_setting_by_id():
    tokenizer = char_tokenizer()
    tokenizer.pad_token_id = 2
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("b", 2)
    tokenizer.pad_token_id = None
    assert tokenizer.pad_token is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: setattr(t, "pad_token", "[PAD]"), r"'\[PAD\]' is not in the vocabulary"),
        (lambda t: setattr(t, "pad_token_id", 99), "99 is not the id of any token"),
        (lambda t: t.add_special_tokens({"end_token": "x"}), "one of bos_token,.*'end_token'"),
        (lambda t: t.add_special_tokens({"pad_token": 3}), "is text, or an object"),
        (lambda t: t.add_special_tokens({"pad_token": {"lstrip": True}}), "is text, or an object"),
    ],
)
def test_wrong_tokens(change, message):
    with pytest.raises(ValueError, match=message):
        change(char_tokenizer())
