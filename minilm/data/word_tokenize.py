"""Words and punctuation, cut as NLTK's ``word_tokenize`` cuts them, with nothing to download.

NLTK first splits a text into sentences with Punkt, then cuts each with the rules of the Penn
Treebank. The rules come with the library. Punkt's model does not, but its algorithm does, so it is
trained here on the text at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Abbreviations that NLTK's English model knows and that a short text cannot teach.
ABBREVIATIONS = frozenset(
    """
    mr mrs ms messrs dr prof st jr sr ph.d
    adm capt col gen gov lt maj rep sen sgt
    bros co corp cos inc ltd vs ft
    jan feb aug sep sept oct nov dec tues wed
    a.m p.m d.c u.k u.n u.s u.s.a
    """.split()
)

# How sure Punkt must be of a new abbreviation. At its own default, 0.3, the last word of one short
# sentence passes for one ("I saw it." -> "it."); 10 takes several sightings.
ABBREVIATION_SCORE = 10.0

# Characters that Punkt learns from: more change nothing that matters, and cost seconds.
TRAINING_LENGTH = 500_000

# Characters split into sentences at a time: NLTK gives up on what takes it longer than 5 s.
PIECE_LENGTH = 200_000


def word_tokenize(text: str) -> list[str]:
    """Cut a text into words and punctuation marks, as NLTK's ``word_tokenize`` does.

    Contractions are cut apart (``do n't``, ``it 's``), straight double quotes become ``` `` ``` and
    ``''``, and a period is cut off at the end of a sentence but not from an abbreviation. The same
    text always gives the same tokens; since abbreviations are learned from the text itself, a
    passage cut on its own may differ from the same passage inside a longer text.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    list of str
        The tokens; none if the text holds only white space.

    Examples
    --------
    >>> word_tokenize("Dr. No didn't pay $3.88. Did he?")
    ['Dr.', 'No', 'did', "n't", 'pay', '$', '3.88', '.', 'Did', 'he', '?']
    """
    from nltk.tokenize.destructive import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    sentences = PunktSentenceTokenizer(_punkt_parameters(text))
    words = NLTKWordTokenizer()
    return [
        word
        for piece in _pieces(text)
        for sentence in sentences.tokenize(piece)
        for word in words.tokenize(sentence)
    ]


def _punkt_parameters(text: str) -> Any:
    """Train Punkt on (the start of) a text."""
    from nltk.tokenize.punkt import PunktParameters, PunktTrainer

    sample = text[:TRAINING_LENGTH]
    if not sample.strip():
        return PunktParameters()
    trainer = PunktTrainer()
    trainer.ABBREV = ABBREVIATION_SCORE
    trainer.ABBREV_BACKOFF = 0  # no abbreviations from a single sighting
    for piece in _pieces(sample):
        trainer.train(piece, finalize=False)
    parameters = trainer.get_params()
    parameters.abbrev_types |= ABBREVIATIONS
    if sample.islower():
        # Which words are seen in capitals, and where, tells nothing in a text that has none.
        parameters.clear_ortho_context()
    return parameters


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text after a paragraph; failing that, after a line or a word."""
    start = 0
    while len(text) - start > PIECE_LENGTH:
        end = start + PIECE_LENGTH
        for separator in ("\n\n", "\n", " "):
            found = text.rfind(separator, start, end)
            if found >= 0:
                end = found + len(separator)
                break
        yield text[start:end]
        start = end
    yield text[start:]
