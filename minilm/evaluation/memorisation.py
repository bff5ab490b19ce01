"""How much of what a model wrote stands in its training text, word for word."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minilm.data.checks import positive_int
from minilm.evaluation.batches import integers
from minilm.evaluation.names import Names
from minilm.evaluation.spans import longest_match, windows_found


@dataclass(frozen=True)
class Copied:
    """What a text shares with the training text.

    Attributes
    ----------
    tokens : int
        Length of the text.
    longest : int
        Tokens of the longest span that the training text has, too.
    start, source : int
        Where that span begins in the text and in the training text, in tokens from 0: the first
        of several.
    span : str or None
        The span, where a tokenizer was given.
    ngrams : int
        N-grams of the text, each place counted.
    new : int
        Of these, how many the training text does not have.
    """

    tokens: int
    longest: int
    start: int
    source: int
    span: str | None
    ngrams: int
    new: int

    @property
    def new_share(self) -> float:
        """Share of n-grams that are new, from 0 to 1."""
        return self.new / self.ngrams


@dataclass(frozen=True)
class Memorisation:
    """What a model copied, beside what a text has by chance that it never saw.

    Attributes
    ----------
    n : int
        Tokens in an n-gram.
    generated : Copied
        Of what the model wrote.
    held_out : Copied or None
        Of as much held-out text: people repeat one another, too.
    """

    n: int
    generated: Copied
    held_out: Copied | None

    def to_dict(self) -> dict[str, Any]:
        """Return all figures under their names, as JSON can hold them."""
        values = asdict(self)
        for name, copied in (("generated", self.generated), ("held_out", self.held_out)):
            if copied is not None:
                values[name]["new_share"] = copied.new_share
        return values

    def __str__(self) -> str:
        """Return the figures in a few lines."""
        one = self.generated
        lines = [
            f"written   {self._figures(one)}",
            *([f"held out  {self._figures(self.held_out)}"] if self.held_out else []),
        ]
        if one.longest:
            lines.append(
                f"The longest span begins at token {one.start:,} of what was written, and at token "
                f"{one.source:,} of the training text{':' if one.span else '.'}"
            )
        return "\n".join([*lines, *([repr(one.span)] if one.span else [])])

    def _figures(self, copied: Copied) -> str:
        return (
            f"{copied.tokens:,} tokens: longest span copied {copied.longest:,}, "
            f"{copied.new_share:.1%} of {self.n}-grams new"
        )


def memorisation(
    generated: Any,
    training: Any,
    *,
    held_out: Any = None,
    n: int = 8,
    tokenizer: Any = None,
) -> Memorisation:
    """Compare what a model wrote with the text that it was trained on.

    Everything is compared token by token, exactly. A training text of ten million tokens takes
    seconds, however repetitive.

    Parameters
    ----------
    generated : str, or Tensor, ndarray or sequence of int
        What the model wrote, without its prompt.
    training : str, or Tensor, ndarray or sequence of int
        What it was trained on.
    held_out : str, or Tensor, ndarray or sequence of int, optional
        Text of the same kind that it was not trained on. As many of its tokens are compared in the
        same way as were generated, since longer texts share longer spans.
    n : int
        Tokens in an n-gram.
    tokenizer : tokenizers.Tokenizer or Vocab, optional
        Encodes texts (a Vocab cannot), and gives the span as text.

    Returns
    -------
    Memorisation

    Raises
    ------
    ValueError
        If a text has fewer than `n` tokens, or `n` is not positive.
    TypeError
        If a text comes without a tokenizer, or ids are not whole numbers.

    Examples
    --------
    >>> report = memorisation([1, 2, 3, 4, 9], training=[0, 1, 2, 3, 4, 5], n=2)
    >>> report.generated.longest, report.generated.new_share
    (4, 0.25)
    """
    positive_int("n", n)
    names = Names(tokenizer)
    written = _ids("generated", generated, names, n)
    source = _ids("training", training, names, n)
    baseline = None
    if held_out is not None:
        cut = _ids("held_out", held_out, names, n)[: len(written)]
        baseline = _copied(cut, source, n, names)
    return Memorisation(n, _copied(written, source, n, names), baseline)


def _copied(text: np.ndarray, source: np.ndarray, n: int, names: Names) -> Copied:
    match = longest_match(text, source)
    span = text[match.query : match.query + match.length].tolist()
    found = windows_found(text, source, n)
    return Copied(
        tokens=len(text),
        longest=match.length,
        start=match.query,
        source=match.text,
        span=names.text(span),
        ngrams=len(found),
        new=int((~found).sum()),
    )


def _ids(name: str, text: Any, names: Names, n: int) -> np.ndarray:
    ids = names.encode(text) if isinstance(text, str) else integers(name, text)
    if ids.ndim != 1 or len(ids) < n:
        raise ValueError(
            f"{name}: expected ids (tokens,), at least the {n} of one n-gram; got the shape "
            f"{ids.shape}"
        )
    return ids
