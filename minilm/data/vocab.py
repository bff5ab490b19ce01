"""A vocabulary: the two-way table between tokens and their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

UNKNOWN = "<unk>"


class UnknownTokenError(KeyError, RuntimeError):
    """A token is not in the vocabulary.

    It is what a mapping raises (KeyError) as well as what torchtext raises (RuntimeError).
    """

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message in quotes


class Vocab(Mapping[str, int]):
    """Tokens and their ids, with the calls of torchtext's ``Vocab``.

    It is a mapping from token to id too, so what is done with a ``dict`` of words (``get``,
    ``items``, ``in``, ``len``) is done with it in the same way.

    Parameters
    ----------
    tokens : iterable of str
        The tokens, in the order of their ids, from 0.
    default_index : int, optional
        The id given to tokens that are not in the vocabulary. By default they are an error.

    Raises
    ------
    ValueError
        If a token comes twice.

    Examples
    --------
    >>> vocab = Vocab(["<unk>", "hello", "world"], default_index=0)
    >>> vocab(["hello", "there"])
    [1, 0]
    >>> vocab.lookup_tokens([2, 1])
    ['world', 'hello']
    """

    def __init__(self, tokens: Iterable[str], default_index: int | None = None) -> None:
        self._tokens: list[str] = []
        self._indices: dict[str, int] = {}
        self._default_index: int | None = None
        for token in tokens:
            self.append_token(token)
        self.set_default_index(default_index)

    def __len__(self) -> int:
        return len(self._tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._indices

    def __getitem__(self, token: str) -> int:
        index = self._indices.get(token, self._default_index)
        if index is None:
            raise UnknownTokenError(self._unknown_message(token))
        return index

    def get(self, token: str, default: int | None = None) -> int | None:  # type: ignore[override]
        """Return the id of a token, or `default` where it is not in the vocabulary.

        As with a ``dict``, this `default` is what counts, not the vocabulary's own.
        """
        return self._indices.get(token, default)

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        """Return the ids of several tokens; the same as `lookup_indices`."""
        return self.lookup_indices(tokens)

    def forward(self, tokens: Iterable[str]) -> list[int]:
        """Return the ids of several tokens; the same as `lookup_indices`."""
        return self.lookup_indices(tokens)

    def lookup_indices(self, tokens: Iterable[str]) -> list[int]:
        """Return the ids of several tokens.

        Raises
        ------
        UnknownTokenError
            If one is not in the vocabulary and no default index is set; the message names the
            token and those in the vocabulary that are nearest to it.
        """
        if self._default_index is not None:
            get, default = self._indices.get, self._default_index
            return [get(token, default) for token in tokens]
        return [self[token] for token in tokens]

    def lookup_token(self, index: int) -> str:
        """Return the token of an id.

        Raises
        ------
        IndexError
            If the id is not one of 0 to ``len(vocab) - 1``.
        """
        if not 0 <= index < len(self):
            raise IndexError(
                f"id {index} is outside the vocabulary of {len(self)} tokens: "
                f"expected 0 to {len(self) - 1}"
            )
        return self._tokens[index]

    def lookup_tokens(self, indices: Iterable[int]) -> list[str]:
        """Return the tokens of several ids; raises as `lookup_token` does."""
        return [self.lookup_token(index) for index in indices]

    def get_itos(self) -> list[str]:
        """Return the tokens in the order of their ids, a copy."""
        return list(self._tokens)

    def get_stoi(self) -> dict[str, int]:
        """Return the ids by token, a copy."""
        return dict(self._indices)

    def set_default_index(self, index: int | None) -> None:
        """Set the id given to tokens that are not in the vocabulary; None makes them an error."""
        if index is not None:
            self.lookup_token(index)  # refuses an id that is not there
        self._default_index = index

    def get_default_index(self) -> int | None:
        """Return the id given to tokens that are not in the vocabulary, or None."""
        return self._default_index

    def append_token(self, token: str) -> None:
        """Add a token at the end.

        Raises
        ------
        ValueError
            If it is in the vocabulary already.
        """
        self.insert_token(token, len(self))

    def insert_token(self, token: str, index: int) -> None:
        """Give a new token an id, and move those from there on up by one.

        The default index stays the number it was, as in torchtext.

        Raises
        ------
        ValueError
            If it is in the vocabulary already.
        IndexError
            If `index` is not one of 0 to ``len(vocab)``.
        """
        if token in self._indices:
            raise ValueError(
                f"token {token!r} is in the vocabulary already, with id {self._indices[token]}"
            )
        if not 0 <= index <= len(self):
            raise IndexError(f"cannot insert at id {index}: expected 0 to {len(self)}")
        self._tokens.insert(index, token)
        for moved in range(index, len(self)):
            self._indices[self._tokens[moved]] = moved

    def _unknown_message(self, token: object) -> str:
        from difflib import get_close_matches

        nearest = get_close_matches(str(token), self._tokens)
        hint = f"; nearest: {', '.join(map(repr, nearest))}" if nearest else ""
        return (
            f"token {token!r} is not in the vocabulary of {len(self)} tokens{hint}. "
            "Unknown tokens get an id of their own after vocab.set_default_index(id)"
        )

    def __repr__(self) -> str:
        return f"Vocab({len(self)} tokens, default_index={self._default_index})"


def build_vocab_from_iterator(
    iterator: Iterable[Iterable[str]],
    min_freq: int = 1,
    specials: Sequence[str] | None = None,
    special_first: bool = True,
    max_tokens: int | None = None,
) -> Vocab:
    """Build a vocabulary from tokenized texts.

    The most frequent tokens come first; those that are equally frequent in alphabetical order.

    Parameters
    ----------
    iterator : iterable of iterable of str
        One list of tokens for each text or line. (A string counts as a list of characters.)
    min_freq : int
        Leave out tokens that come less often.
    specials : sequence of str, optional
        Tokens that are always in, such as ``"<unk>"``, in this order.
    special_first : bool
        Whether `specials` take the first ids, or the last.
    max_tokens : int, optional
        Size of the vocabulary, specials included; the rarest are left out.

    Returns
    -------
    Vocab
        Without a default index: set it with ``vocab.set_default_index(vocab["<unk>"])``.

    Raises
    ------
    ValueError
        If `min_freq` is below 1, or `max_tokens` does not exceed the number of specials.

    Examples
    --------
    >>> build_vocab_from_iterator([["b", "a", "b"]], specials=["<unk>"]).get_itos()
    ['<unk>', 'b', 'a']
    """
    specials = list(specials or ())
    if min_freq < 1:
        raise ValueError(f"min_freq must be at least 1, got {min_freq}")
    if max_tokens is not None and max_tokens <= len(specials):
        raise ValueError(
            f"max_tokens={max_tokens} leaves no room beside {len(specials)} special tokens"
        )
    counts: Counter[str] = Counter()
    for tokens in iterator:
        counts.update(tokens)
    for special in specials:
        counts.pop(special, None)
    frequent = [token for token, count in counts.items() if count >= min_freq]
    frequent.sort(key=lambda token: (-counts[token], token))
    if max_tokens is not None:
        del frequent[max_tokens - len(specials) :]
    return Vocab([*specials, *frequent] if special_first else [*frequent, *specials])
