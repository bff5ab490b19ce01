"""The text that the package carries: short stories from a source of known entropy."""

from array import array

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
        The same seed gives the same text on every platform.

    Returns
    -------
    str
        ASCII text that ends with a line feed.

    Raises
    ------
    ValueError
        When `n_chars` is not positive.

    See Also
    --------
    story_nats : How much information each character of such a text carries.

    Examples
    --------
    >>> text = stories(100)
    >>> text.endswith(".\\n")
    True
    """
    if n_chars < 1:
        raise ValueError(f"n_chars must be at least 1, got {n_chars}")
    grammar, pen = story_grammar(), Writer(seed)
    grammar.tell(pen)
    while pen.length + len(_END) < n_chars:
        pen.write(_BETWEEN)
        grammar.tell(pen)
    pen.write(_END)
    return pen.text()


def story_nats(text: str) -> "array[float]":
    """Measure a text of `stories`: minus the log-probability of each of its characters.

    The grammar tells the exact probability of every character given all characters before it,
    so this is what a perfect model of the stories would pay. No model can do better, except by
    luck on a short text.

    Parameters
    ----------
    text : str
        Whole stories as `stories` writes them, with any seed and length.

    Returns
    -------
    array of float, shape (characters,)
        Nats of each character; `numpy.frombuffer` and `numpy.asarray` take it as it is. Sum a span for
        its entropy given all that comes before it, and divide by the number of tokens, words or
        characters in it. The nats of a token are those of its characters and of the blanks
        before it. How long the text goes on is taken as given: line feeds cost nothing.

    Raises
    ------
    ValueError
        When the text is not one that `stories` writes. The message says where it departs from
        the grammar, and what could have stood there.

    Examples
    --------
    >>> text = stories(1000)
    >>> 0.1 < sum(story_nats(text)) / len(text) < 0.5
    True
    """
    grammar, pen = story_grammar(), Reader(text)
    grammar.tell(pen)
    while text[pen.position :] != _END:
        pen.write(_BETWEEN)
        grammar.tell(pen)
    return pen.nats
