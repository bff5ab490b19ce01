"""The source of the stories: what a writer draws, a reader finds again with its probability."""

import itertools
import math

import pytest

from minilm.data.story_source import Grammar, Reader, Writer
from minilm.data.story_words import Entity


def person(name: str, she: str) -> Entity:
    return Entity(key=name, text=name, she=she)


CAST = {
    slot: (person("Ann", "she"), person("Bob", "he"), person("Abe", "he"))
    for slot in ("hero", "friend")
}

RULES = {
    "story": ("@weather*3", "Then <hero> met <friend>[.| and {she} [ran|sang*2].]"),
    "weather": ("[It rained|It snowed*2].", "[It cleared|The sun [rose|set]]."),
}


class Odometer:
    """A pen that goes through all choices, one text after the other."""

    def __init__(self) -> None:
        self.wheels: list[list[int]] = []  # of each pick: the position and the number of options
        self.restart()

    def restart(self) -> None:
        self.text, self.nats, self.depth = "", 0.0, 0

    def write(self, text: str) -> None:
        self.text += text

    def pick(self, texts, weights=None) -> int:
        weights = weights or [1] * len(texts)
        if self.depth == len(self.wheels):
            self.wheels.append([0, len(texts)])
        chosen = self.wheels[self.depth][0]
        self.depth += 1
        self.text += texts[chosen]
        self.nats += math.log(sum(weights)) - math.log(weights[chosen])
        return chosen

    def advance(self) -> bool:
        while self.wheels and self.wheels[-1][0] + 1 == self.wheels[-1][1]:
            self.wheels.pop()
        if self.wheels:
            self.wheels[-1][0] += 1
        return bool(self.wheels)


def all_texts(grammar: Grammar, rule: str = "story") -> list[tuple[str, float]]:
    """Return every text of a grammar and its nats."""
    pen, found, more = Odometer(), [], True
    while more:
        pen.restart()
        grammar.tell(pen, rule)
        found.append((pen.text, pen.nats))
        more = pen.advance()
    return found


def write(grammar: Grammar, seed: int) -> Writer:
    pen = Writer(seed)
    grammar.tell(pen)
    return pen


def read(grammar: Grammar, text: str) -> Reader:
    pen = Reader(text)
    grammar.tell(pen)
    return pen


def test_the_texts_and_their_probabilities_are_those_of_the_templates():
    weather = {"It rained.": 2 / 12, "It snowed.": 4 / 12, "It cleared.": 3 / 12}
    weather |= {"The sun rose.": 3 / 24, "The sun set.": 3 / 24}
    expected = {text: 3 / 4 * share for text, share in weather.items()}
    for hero, friend in itertools.permutations(CAST["hero"], 2):
        start, share = f"Then {hero} met {friend}", 1 / 4 / 6
        expected[f"{start}."] = share / 2
        expected[f"{start} and {hero.she} ran."] = share / 6
        expected[f"{start} and {hero.she} sang."] = share / 3
    texts = all_texts(Grammar(RULES, CAST))
    assert {text: math.exp(-nats) for text, nats in texts} == pytest.approx(expected)
    assert len(texts) == len(expected)
    assert math.fsum(math.exp(-nats) for _, nats in texts) == pytest.approx(1, abs=1e-12)


def test_a_reader_finds_the_probability_of_every_character():
    texts = dict(all_texts(Grammar(RULES, CAST)))

    def begins(start: str) -> float:
        return math.fsum(math.exp(-nats) for text, nats in texts.items() if text.startswith(start))

    for text, nats in texts.items():
        found = read(Grammar(RULES, CAST), text).nats
        assert math.fsum(found) == pytest.approx(nats, abs=1e-12)
        for at in range(len(text)):
            assert math.exp(-found[at]) == pytest.approx(begins(text[: at + 1]) / begins(text[:at]))


def test_a_writer_draws_in_proportion_to_the_probabilities():
    grammar, draws = Grammar(RULES, CAST), 40_000
    pen = Writer(seed=0)
    for _ in range(draws):
        grammar.tell(pen)
        pen.write("\n")
    written = pen.text().splitlines()
    for text, nats in all_texts(grammar):
        share = math.exp(-nats)
        deviation = math.sqrt(draws * share * (1 - share))
        assert abs(written.count(text) - draws * share) < 4 * deviation


def test_a_writer_knows_the_nats_of_what_it_wrote():
    grammar = Grammar(RULES, CAST)
    nats = dict(all_texts(grammar))
    for seed in range(50):
        pen = write(grammar, seed)
        assert pen.nats == pytest.approx(nats[pen.text()], abs=1e-12)
        assert pen.length == len(pen.text())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "It hailed.",
            r"line 1, character 0: .* one of 'It rained', 'It snowed', .*got 'It hailed\.'",
        ),
        ("Then Ann met Ann.", r"character 13: .* expected one of 'Bob', 'Abe', got 'Ann\.'"),
        ("Then Ann met Bob and he ran.", r"character 16: .*' and she ', got ' and he ran\.'"),
        ("It rained", r"character 9: .* expected '\.', got ''"),
        ("", r"character 0: .*, got ''"),
    ],
)
def test_a_reader_says_where_a_text_departs_from_the_grammar(text, message):
    with pytest.raises(ValueError, match=message):
        read(Grammar(RULES, CAST), text)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a [b|<hero>]", "must begin with text or a choice"),
        ("a [b|]", "must begin with text or a choice"),
        ("a [b|c", "nothing closes the bracket after 'c'"),
        ("a b] c", r"nothing opens the bracket before '\] c'"),
    ],
)
def test_a_broken_template_is_refused(template, message):
    with pytest.raises(ValueError, match=message):
        write(Grammar({"story": (template,)}, CAST), seed=0)
