"""A random source of text whose every choice is written down: one grammar, a writer and a reader.

A grammar is a set of templates in a language of four marks:

====================  ==========================================================================
``{slot.form}``       recall: what fills the slot, in one of its forms (``{She}``: the hero's)
``<slot.form>``       introduce: draw what fills the slot, among what this story has not used
``[this|that*3]``     choose: one alternative, here the second three times as often as the first
``@rule``             go on with the rule of that name
====================  ==========================================================================

Telling a story walks through the templates and asks a pen at every choice. A `Writer` draws
the choice at random. A `Reader` finds it out from a text, and so knows the probability of that
text. Both walk the same way, so what is written and what is measured cannot drift apart.

A reader needs each choice to show at once. Alternatives are therefore *prefix-free*: none of the
texts that a pen chooses among begins with another one. Then a text has one derivation at most.
"""

import math
import random
import re
from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import accumulate
from typing import Protocol

from minilm.data.story_words import Entity

_MARK = re.compile(r"(\[|\]|\||<[^>]*>|@\w+)")
_WEIGHT = re.compile(r"\*(\d+)$")


@dataclass(frozen=True, slots=True)
class Recall:
    """Text without a choice; braces in it name slots that are filled already."""

    template: str


@dataclass(frozen=True, slots=True)
class Introduce:
    """Draw what fills `slot`, each candidate equally likely, and write it in `form`."""

    slot: str
    form: str


@dataclass(frozen=True, slots=True)
class Choose:
    """Choose an alternative: its lead is what shows the choice, its rest what comes after."""

    leads: tuple[str, ...]
    rests: tuple[tuple["Node", ...], ...]
    weights: tuple[int, ...]


Node = Recall | Introduce | Choose


class Pen(Protocol):
    """What a story is told with: something that writes text and makes choices."""

    def write(self, text: str) -> None:
        """Add text that follows from what came before."""

    def pick(self, texts: Sequence[str], weights: Sequence[int] | None = None) -> int:
        """Add one of `texts`, with probabilities in proportion to `weights`; return its index."""


class Grammar:
    """Templates ready to be told.

    Parameters
    ----------
    rules : mapping of str to sequence of str
        The alternatives of each rule. No rule may lead back to itself.
    cast : mapping of str to sequence of Entity
        What each slot may be filled with.

    Raises
    ------
    ValueError
        By `tell`, when brackets do not pair, or when an alternative begins neither with text nor
        with a choice: nothing would show that it was chosen.
    """

    def __init__(
        self, rules: Mapping[str, Sequence[str]], cast: Mapping[str, Sequence[Entity]]
    ) -> None:
        self._cast = cast
        self._rules = rules
        self._rule = cache(self._parse_rule)

    def tell(self, pen: Pen, rule: str = "story") -> None:
        """Tell one story with `pen`, from `rule` on."""
        _Telling(self._cast, pen).follow(self._rule(rule))

    def _parse_rule(self, name: str) -> tuple[Node, ...]:
        alternatives = [" ".join(source.split()) for source in self._rules[name]]
        source = alternatives[0] if len(alternatives) == 1 else f"[{'|'.join(alternatives)}]"
        tokens = deque(filter(None, _MARK.split(source)))
        nodes = self._parse_sequence(tokens)
        if tokens:
            raise ValueError(f"rule {name!r}: nothing opens the bracket before {''.join(tokens)!r}")
        return nodes

    def _parse_sequence(self, tokens: deque[str]) -> tuple[Node, ...]:
        nodes: list[Node] = []
        while tokens and tokens[0] not in "|]":
            token = tokens.popleft()
            if token == "[":
                nodes.append(self._parse_choice(tokens))
            elif token[0] == "<":
                slot, _, form = token[1:-1].partition(".")
                nodes.append(Introduce(slot, form or "text"))
            elif token[0] == "@":
                nodes.extend(self._rule(token[1:]))
            else:
                nodes.append(Recall(token))
        return tuple(nodes)

    def _parse_choice(self, tokens: deque[str]) -> Choose:
        alternatives: list[_Alternative] = []
        closing = "|"
        while closing == "|":
            alternatives.extend(_alternatives(self._parse_sequence(tokens)))
            if not tokens:
                raise ValueError(f"nothing closes the bracket after {alternatives[-1][0]!r}")
            closing = tokens.popleft()
        leads, rests, shares = zip(*alternatives, strict=True)
        scale = math.lcm(*(share.denominator for share in shares))
        return Choose(leads, rests, tuple(int(share * scale) for share in shares))


_Alternative = tuple[str, tuple[Node, ...], Fraction]


def _alternatives(nodes: tuple[Node, ...]) -> list[_Alternative]:
    """Lead, rest and share of what an alternative offers: several where it begins with a choice."""
    share = Fraction(1)
    if nodes and isinstance(last := nodes[-1], Recall) and (found := _WEIGHT.search(last.template)):
        share = Fraction(found[1])
        nodes = (*nodes[:-1], Recall(last.template[: found.start()]))
    first, rest = nodes[:1], nodes[1:]
    match first:
        case (Recall(template),) if template:
            return [(template, rest, share)]
        case (Choose(leads, rests, weights),):
            options = zip(leads, rests, weights, strict=True)
            total = sum(weights)
            return [(lead, own + rest, share * weight / total) for lead, own, weight in options]
    raise ValueError(f"an alternative must begin with text or a choice, got {nodes}")


class _Slots(dict[str, Entity]):
    """What fills the slots of one story; a bare form such as ``She`` is the hero's."""

    def __missing__(self, form: str) -> str:
        return str(getattr(self["hero"], form))


class _Telling:
    """One story on its way: what fills the slots, and the pen that it is told with."""

    def __init__(self, cast: Mapping[str, Sequence[Entity]], pen: Pen) -> None:
        self._cast = cast
        self._pen = pen
        self._slots = _Slots()

    def follow(self, nodes: Sequence[Node]) -> None:
        """Write, introduce and choose what `nodes` say, one after the other."""
        for node in nodes:
            if isinstance(node, Recall):
                self._pen.write(node.template.format_map(self._slots))
            elif isinstance(node, Introduce):
                self._introduce(node)
            else:
                leads = [lead.format_map(self._slots) for lead in node.leads]
                self.follow(node.rests[self._pen.pick(leads, node.weights)])

    def _introduce(self, node: Introduce) -> None:
        used = {entity.key for entity in self._slots.values()}
        free = [entity for entity in self._cast[node.slot] if entity.key not in used]
        chosen = self._pen.pick([getattr(entity, node.form) for entity in free])
        self._slots[node.slot] = free[chosen]


class Writer:
    """A pen that draws every choice at random.

    Parameters
    ----------
    seed : int
        The same seed gives the same choices on every platform: they come from
        `random.Random.random`, whose sequence Python promises to keep.

    Attributes
    ----------
    nats : float
        Minus the natural logarithm of the probability of all choices made so far.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._parts: list[str] = []
        self.length = 0
        self.nats = 0.0

    def write(self, text: str) -> None:
        """Add text that follows from what came before."""
        self._parts.append(text)
        self.length += len(text)

    def pick(self, texts: Sequence[str], weights: Sequence[int] | None = None) -> int:
        """Add one of `texts`, drawn in proportion to `weights`; return its index."""
        weights = weights or [1] * len(texts)
        total = sum(weights)
        mark = self._random.random() * total
        chosen = next(i for i, upper in enumerate(accumulate(weights)) if mark < upper)
        self.nats += math.log(total / weights[chosen])
        self.write(texts[chosen])
        return chosen

    def text(self) -> str:
        """Everything written so far."""
        return "".join(self._parts)


class Reader:
    """A pen that follows a text, and finds in it the choices that it was written with.

    Parameters
    ----------
    text : str
        What to read.

    Attributes
    ----------
    position : int
        How many characters have been read.
    nats : array of float, shape (characters,)
        For each character read, minus the natural logarithm of its probability given all
        characters before it.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.position = 0
        self.nats = array("d", bytes(8 * len(text)))

    def write(self, text: str) -> None:
        """Read text that follows from what came before."""
        self._read(text, [text])

    def pick(self, texts: Sequence[str], weights: Sequence[int] | None = None) -> int:
        """Read one of `texts`; return its index."""
        weights = weights or [1] * len(texts)
        possible = list(range(len(texts)))
        mass = sum(weights)
        depth = 0
        while len(possible) > 1:
            # A character's probability: the weight of the alternatives that it leaves, over the
            # weight of those that agreed with the text so far.
            at = self.position + depth
            left = [i for i in possible if self._text[at : at + 1] == texts[i][depth : depth + 1]]
            if not left:
                raise self._surprise(texts)
            left_mass = sum(weights[i] for i in left)
            self.nats[at] = math.log(mass / left_mass)
            possible, mass, depth = left, left_mass, depth + 1
        self._read(texts[possible[0]], texts)
        return possible[0]

    def _read(self, text: str, instead_of: Sequence[str]) -> None:
        if not self._text.startswith(text, self.position):
            raise self._surprise(instead_of)
        self.position += len(text)

    def _surprise(self, expected: Sequence[str]) -> ValueError:
        line = self._text.count("\n", 0, self.position) + 1
        got = self._text[self.position : self.position + 30]
        some = ", ".join(map(repr, expected[:6])) + (", ..." if len(expected) > 6 else "")
        return ValueError(
            f"line {line}, character {self.position}: not a text of this grammar; "
            f"expected {'one of ' if len(expected) > 1 else ''}{some}, got {got!r}"
        )
