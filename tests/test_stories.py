"""The text that the package carries: the same everywhere, readable, and exactly measured."""

import hashlib
import math
import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from minilm.data.stories import stories, story_nats
from minilm.data.story_grammar import story_grammar
from minilm.data.story_source import Writer
from minilm.data.story_words import FRIENDS, HEROES, OTHERS
from minilm.models import NGramModel

SHA256 = "1e63afb707566fa2e2bed473337b63f1b158fb586fdfc3f3b8c55b5ff21d6a7d"


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def documentation() -> str:
    page = Path(__file__).parent.parent / "docs" / "stories.md"
    return " ".join(page.read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def text() -> str:
    return stories()


@pytest.fixture(scope="module")
def nats(text):
    return story_nats(text)


class Witness(Writer):
    """A writer that keeps what it chose among, and what it chose."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.picks = []

    def pick(self, texts, weights=None) -> int:
        chosen = super().pick(texts, weights)
        self.picks.append((tuple(texts), tuple(weights or [1] * len(texts)), chosen))
        return chosen


@pytest.fixture(scope="module")
def witness() -> Witness:
    pen = Witness(seed=1)
    for _ in range(2000):
        story_grammar().tell(pen)
    return pen


def test_the_text_is_the_same_everywhere(text):
    assert hashlib.sha256(text.encode("ascii")).hexdigest() == SHA256


def test_a_shorter_text_is_the_beginning_of_a_longer_one(text):
    short = stories(10_000)
    assert 10_000 <= len(short) < 12_000
    assert text.startswith(short.rstrip("\n"))
    assert stories(len(short)) == short
    assert len(stories(len(short) + 1)) > len(short)


def test_another_seed_gives_another_text():
    assert len({stories(1000, seed) for seed in range(20)}) == 20


def test_the_text_is_about_a_megabyte_of_a_few_hundred_words(text):
    assert 950_000 <= len(text) <= 1_050_000
    counts = Counter(words(text))
    assert 300 <= len(counts) <= 600
    assert min(counts.values()) >= 10


def test_the_text_is_tidy(text):
    assert text.isascii()
    assert text.endswith(".\n") and not text.endswith("\n\n")
    assert not re.search(r"[ \t]\n|  |\n\n\n|[^\n]\n[^\n]|[][{}<>@|*_]", text)
    for story in text.rstrip("\n").split("\n\n"):
        sentences = re.split(r"(?<=[.?]) ", story)
        assert 6 <= len(sentences) <= 16
        assert all(re.fullmatch(r"[A-Z][a-zA-Z ,]*[.?]", sentence) for sentence in sentences)


def test_articles_and_pronouns_agree(text):
    assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n (?!hour\b)[^aeiou]", text)
    hero_is = {hero.text: hero.She for hero in HEROES}
    for story in text.split("\n\n"):
        hero = next(word for word in words(story) if word in hero_is)
        assert set(re.findall(r"\b(?:He|She)\b", story)) <= {hero_is[hero]}


def test_every_name_says_who_it_is():
    names = [person.text for person in HEROES + FRIENDS + OTHERS]
    assert len(set(names)) == len(names)


def test_alternatives_are_prefix_free(witness):
    for texts, _, _ in witness.picks:
        ordered = sorted(texts)
        assert not any(after.startswith(before) for before, after in pairwise(ordered))


def test_choices_are_drawn_in_proportion_to_their_weights(witness):
    drawn = defaultdict(Counter)
    for texts, weights, chosen in witness.picks:
        drawn[len(texts), weights][chosen] += 1
    for (_, weights), counts in drawn.items():
        draws = counts.total()
        expected = [draws * weight / sum(weights) for weight in weights]
        if min(expected) < 10:
            continue
        square = sum((counts[i] - e) ** 2 / e for i, e in enumerate(expected))
        freedom = max(len(weights) - 1, 1)
        assert square < freedom + 5 * math.sqrt(2 * freedom)


def test_the_reader_agrees_with_the_writer_about_every_story(witness):
    pen = Writer(seed=0)
    pieces = []
    for _ in range(300):
        before = pen.nats
        start = pen.length
        story_grammar().tell(pen)
        pieces.append((start, pen.length, pen.nats - before))
        pen.write("\n\n")
    written = pen.text()
    found = story_nats(written[:-1])
    assert written.startswith(stories(100_000).rstrip("\n"))
    for start, stop, expected in pieces:
        assert math.fsum(found[start:stop]) == pytest.approx(expected, abs=1e-9)
    assert math.fsum(found) == pytest.approx(pen.nats, abs=1e-9)


def test_stories_do_not_depend_on_each_other():
    text = stories(3000)
    whole = story_nats(text)
    start = 0
    for story in text.rstrip("\n").split("\n\n"):
        alone = story_nats(story + "\n")
        assert list(alone[:-1]) == list(whole[start : start + len(story)])
        start += len(story) + 2


def test_the_figures_are_those_of_the_documentation(text, nats):
    figures = (
        f"{len(text):,} characters",
        f"{len(words(text)):,} words and punctuation marks",
        f"{len(set(words(text)))} different ones",
        f"{len(text.split(chr(10) * 2)):,} stories",
        f"{math.fsum(nats):,.0f} nats",
        f"{math.fsum(nats) / len(words(text)):.3f} nats a word",
        f"{math.fsum(nats) / len(text):.3f} nats a character",
    )
    assert [figure for figure in figures if figure not in documentation()] == []


def test_counting_never_reaches_the_entropy(text, nats):
    tokens = words(text)
    start = text.index("\n\n", 9 * len(text) // 10)
    first = len(words(text[:start]))
    entropy = math.fsum(nats[start:]) / (len(tokens) - first)
    number = {token: i for i, token in enumerate(sorted(set(tokens)))}
    ids = np.array([number[token] for token in tokens])
    losses = [
        -NGramModel(order, len(number)).count(ids[:first]).log_prob(ids, first).mean()
        for order in range(1, 9)
    ]
    assert min(losses) == losses[4]  # a longer memory than of four words does not help to count
    assert losses[4] > 2 * entropy
    assert f"{losses[4]:.2f} nats a word on the last tenth" in documentation()


def test_counting_characters_never_reaches_the_entropy(text, nats):
    start = text.index("\n\n", 9 * len(text) // 10)
    entropy = math.fsum(nats[start:]) / (len(text) - start)
    ids = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64)
    for order in (6, 12, 24):
        model = NGramModel(order, 128).count(ids[:start])
        assert -model.log_prob(ids, start).mean() > 1.5 * entropy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("rainy", "reiny", 1), "one of .*'a rainy', .* got 'a reiny"),
        (lambda text: text[:-1], r"expected '\\n', got ''"),
        (lambda text: text + "\n", "expected one of 'One ', .* got ''"),
        (lambda text: "", "line 1, character 0: .*expected one of 'One '.*got ''"),
        (lambda text: text.upper(), "line 1, character 0"),
    ],
)
def test_another_text_is_refused_with_the_place(change, message):
    with pytest.raises(ValueError, match=message):
        story_nats(change(stories(3000)))


@pytest.mark.parametrize("wrong", [{"n_chars": 0}, {"n_chars": -5}, {"seed": -1}])
def test_sizes_and_seeds_below_the_range_are_refused(wrong):
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f"{name} must be at least [01], got {value}"):
        stories(**wrong)


@pytest.mark.parametrize("wrong", [{"n_chars": 1e6}, {"seed": 0.5}, {"seed": None}])
def test_sizes_and_seeds_are_whole_numbers(wrong):
    with pytest.raises(TypeError):
        stories(**wrong)
