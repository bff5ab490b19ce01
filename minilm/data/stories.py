"""The text that the package carries: short stories from a source of known entropy."""

from __future__ import annotations

from array import array
from operator import index

from minilm.data.story_grammar import story_grammar
from minilm.data.story_source import Reader, Writer

_BETWEEN = "\n\n"
_END = "\n"


def stories(n_chars: int = 1_000_000, seed: int = 0) -> str:
    """Write short stories, each one paragraph, with a blank line between them.

    Parameters
    ----------
    n_chars : int, default 1_000_000
        Stop after the first story that makes the text at least this long.
    seed : int, default 0
        The same seed gives the same text on every platform. A shorter text is the beginning of
        a longer one.

    Returns
    -------
    str
        ASCII text that ends with a line feed.

    Raises
    ------
    TypeError
        When `n_chars` or `seed` is not a whole number.
    ValueError
        When `n_chars` is not positive, or `seed` is negative.

    See Also
    --------
    story_nats : How much information each character of such a text carries.

    Examples
    --------
    >>> print(stories(100, seed=1)[:40])
    One windy evening Mira the gentle miller
    """
    if index(n_chars) < 1:
        raise ValueError(f"n_chars must be at least 1, got {n_chars}")
    if index(seed) < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    grammar, pen = story_grammar(), Writer(seed)
    grammar.tell(pen)
    while pen.length + len(_END) < n_chars:
        pen.write(_BETWEEN)
        grammar.tell(pen)
    pen.write(_END)
    return pen.text()


def story_nats(text: str) -> array[float]:
    """Measure a text of `stories`: minus the log-probability of each of its characters.

    The grammar gives the exact probability of every character after all characters before it,
    so this is what a perfect model of the stories would pay. No model can do better, except by
    luck on a short text.

    Parameters
    ----------
    text : str
        Whole stories as `stories` writes them, of any seed and length.

    Returns
    -------
    array of float, shape (characters,)
        Nats of each character; NumPy takes it as it is. Sum a span for its entropy after all
        that comes before it, and divide by the number of tokens, words or characters in it. The
        nats of a token are those of its characters and of the blank before it. How long the
        text goes on is taken as given: line feeds cost nothing.

    Raises
    ------
    ValueError
        When `stories` cannot have written the text. The message says where it departs from the
        grammar, and what could have stood there.

    Examples
    --------
    >>> text = stories(10_000)
    >>> nats = story_nats(text)
    >>> 0.1 < sum(nats) / len(text) < 0.2
    True
    """
    grammar, pen = story_grammar(), Reader(text)
    grammar.tell(pen)
    while pen.position + len(_END) < len(text):
        pen.write(_BETWEEN)
        grammar.tell(pen)
    pen.write(_END)
    return pen.nats
