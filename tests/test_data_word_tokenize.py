import sys
from collections.abc import Callable

import pytest

import minilm.data
from minilm.data import word_tokenize

module = sys.modules["minilm.data.word_tokenize"]  # its name in the package is the function


def test_the_tutorials_example() -> None:
    tokens = word_tokenize("Hello world. Hello again.".lower())
    assert tokens == ["hello", "world", ".", "hello", "again", "."]


# What NLTK documents of its word_tokenize, and what its own tests expect.
NLTK_SAYS = {
    "Good muffins cost $3.88\nin New York.  Please buy me\ntwo of them.\n\nThanks.": (
        "Good muffins cost $ 3.88 in New York . Please buy me two of them . Thanks ."
    ),
    "They'll save and invest more.": "They 'll save and invest more .",
    "hi, my name can't hello,": "hi , my name ca n't hello ,",
    '"We beat some pretty good teams to get here," Slocum said.': (
        "`` We beat some pretty good teams to get here , '' Slocum said ."
    ),
    "At eight o'clock on Thursday morning\nArthur didn't feel very good.": (
        "At eight o'clock on Thursday morning Arthur did n't feel very good ."
    ),
    "The 'v', I've been fooled but I'll seek revenge.": (
        "The ' v ' , I 've been fooled but I 'll seek revenge ."
    ),
    "'v' 're'": "' v ' 're '",
    "I cannot cannot work under these conditions!": (
        "I can not can not work under these conditions !"
    ),
    "The company spent $30,000,000 last year.": "The company spent $ 30,000,000 last year .",
    "The company spent 40.75% of its income last year.": (
        "The company spent 40.75 % of its income last year ."
    ),
    "He arrived at 3:00 pm.": "He arrived at 3:00 pm .",
    "I bought these items: books, pencils, and pens.": (
        "I bought these items : books , pencils , and pens ."
    ),
    "There were 300,000, but that wasn't enough.": (
        "There were 300,000 , but that was n't enough ."
    ),
    "It's more'n enough.": "It 's more 'n enough .",
    "Mr. and Mrs. Smith met Dr. Who at 5 p.m. on Jan. 3. He was late.": (
        "Mr. and Mrs. Smith met Dr. Who at 5 p.m. on Jan. 3 . He was late ."
    ),
    "Wait... what?! No -- (yes) [no]; a*b": "Wait ... what ? ! No -- ( yes ) [ no ] ; a * b",
}


@pytest.mark.parametrize("text", NLTK_SAYS)
def test_cuts_as_nltk_does(text: str) -> None:
    assert word_tokenize(text) == NLTK_SAYS[text].split()


def test_last_words_of_short_sentences_are_no_abbreviations() -> None:
    words = "it me so go him up we us you day".split()
    text = " ".join(f"I saw {word}. He ran off." for word in words)
    tokens = word_tokenize(text.lower())
    assert tokens.count(".") == 2 * len(words)
    assert not [token for token in tokens if len(token) > 1 and token.endswith(".")]


def test_abbreviations_are_learned_from_the_text() -> None:
    text = "Die alte Katze bzw. der junge Hund lag am Abend lange vor dem Ofen und schlief. "
    assert "bzw." not in word_tokenize(text)
    tokens = word_tokenize(text * 60)
    assert tokens.count("bzw.") == 60
    assert tokens.count("schlief") == tokens.count(".") == 60


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_no_words(text: str) -> None:
    assert word_tokenize(text) == []


def test_long_texts_are_cut_into_pieces_without_loss(monkeypatch) -> None:
    monkeypatch.setattr(module, "PIECE_LENGTH", 50)
    for unit in ("One line here.\n\nAnd more. ", "One line here.\nMore. ", "some words ", "aaaa"):
        text = unit * 40
        pieces = list(module._pieces(text))
        assert "".join(pieces) == text
        assert len(pieces) > 1
        assert max(map(len, pieces)) <= 50
        if " " in unit:
            assert all(piece[-1].isspace() for piece in pieces[:-1])


def test_pieces_do_not_change_the_tokens(monkeypatch) -> None:
    text = 'He said "no, Mr. Fox." It was late...\n\n"Go on," said she. They didn\'t.\n\n' * 20
    whole = word_tokenize(text)
    monkeypatch.setattr(module, "PIECE_LENGTH", 300)
    assert word_tokenize(text) == whole


def test_the_same_tokens_in_every_run(run_python: Callable[..., str]) -> None:
    text = "Mr. A. Fox (b. 1990) won't go. So. He did! 'Tis no. 3. " * 5
    program = f"from minilm.data import word_tokenize; print(word_tokenize({text!r}))"
    outputs = {run_python("-c", program, PYTHONHASHSEED=seed) for seed in ("1", "2", "3")}
    assert outputs == {f"{word_tokenize(text)}\n"}


def test_libraries_are_imported_when_they_are_used(run_python: Callable[..., str]) -> None:
    program = "import sys, minilm.data; print({'nltk', 'tokenizers'} & set(sys.modules))"
    assert run_python("-c", program) == "set()\n"


def test_the_package_exports_the_function() -> None:
    assert minilm.data.word_tokenize is module.word_tokenize
