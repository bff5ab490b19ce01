"""Beam search: several texts side by side, to find one that is likely as a whole.

What is kept, when a text ends the search, and how scores are divided by lengths is as in Hugging
Face's ``_beam_search`` (transformers 5), written for one prompt at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from minilm.generation.config import GenerationConfig
from minilm.generation.logits_process import LogitsProcessorList
from minilm.generation.output import Record
from minilm.generation.prompt import Prompt
from minilm.generation.readers import Reader
from minilm.generation.stopping_criteria import StoppingCriteriaList
from minilm.generation.warpers import log_probabilities

DEAD = -np.inf  # the score of a row that holds no text


@dataclass(frozen=True)
class FoundTexts:
    """What beam search found, the best of each prompt first.

    Attributes
    ----------
    tokens : ndarray of int64
        New tokens ``(prompts * num_return_sequences, time)``, filled up.
    scores : ndarray of float32
        ``(prompts * num_return_sequences,)``.
    rows : ndarray of int64
        ``(prompts * num_return_sequences, time)``: the row of prompts * beams that each token was
        written on from; -1 behind the end of a text.
    """

    tokens: np.ndarray
    scores: np.ndarray
    rows: np.ndarray


@dataclass
class Search:
    """The search from one prompt.

    Attributes
    ----------
    config : GenerationConfig
        ``num_beams``, ``length_penalty``, ``early_stopping``.
    new_tokens : int
        Tokens to add, at most.
    scores : ndarray of float64
        ``(beams,)``: log probabilities of the texts that go on, the best first.
    found : list of tuple of float, ndarray and ndarray
        The best texts that have ended: score, new tokens, and the row each was written on from,
        the best first.
    done : bool
        Whether no better text is to be found.
    """

    config: GenerationConfig
    new_tokens: int
    scores: np.ndarray
    found: list[tuple[float, np.ndarray, np.ndarray]] = field(default_factory=list)
    done: bool = False

    @classmethod
    def begin(cls, config: GenerationConfig, new_tokens: int) -> Search:
        """Return a search whose rows hold the same prompt: all but the first are dead."""
        scores = np.full(config.num_beams, DEAD)
        scores[0] = 0.0
        return cls(config, new_tokens, scores)

    def advance(
        self,
        totals: np.ndarray,
        candidates: np.ndarray,
        new_ids: np.ndarray,
        ends: np.ndarray,
        from_rows: np.ndarray,
    ) -> np.ndarray:
        """Take the best ways to go on; return which of them do.

        Parameters
        ----------
        totals : ndarray
            ``(candidates,)``: their log probabilities, the best first.
        candidates : ndarray
            ``(candidates,)``: their numbers.
        new_ids : ndarray of int64
            ``(candidates, length)``: their new tokens.
        ends : ndarray of bool
            ``(candidates,)``: whether they end.
        from_rows : ndarray of int64
            ``(candidates, length)``: the row that each new token was written on from.

        Returns
        -------
        ndarray of int
            ``(beams,)``: places among the candidates.
        """
        beams = self.config.num_beams
        length = new_ids.shape[1]
        if not self.done:
            best = np.flatnonzero(ends[:beams] & (totals[:beams] > DEAD))
            self.found += [
                (self._score(float(totals[place]), length), new_ids[place], from_rows[place])
                for place in best
            ]
            self.found = sorted(self.found, key=lambda text: -text[0])[:beams]  # stable
        going = np.flatnonzero(~ends)[:beams]
        dead = np.setdiff1d(np.arange(len(candidates)), going)[: beams - len(going)]
        kept = np.concatenate([going, dead])
        self.scores = np.where(np.arange(beams) < len(going), totals[kept], DEAD)
        self.done = self.done or self._is_done(length)
        return kept

    def _score(self, total: float, length: int) -> float:
        return total / math.pow(length, self.config.length_penalty)

    def _is_done(self, length: int) -> bool:
        """Tell whether those that go on cannot become better than those found, or need not."""
        if self.scores[0] == DEAD:
            return True
        if len(self.found) < self.config.num_beams:
            return False
        if self.config.early_stopping is True:
            return True
        to_the_end = self.config.early_stopping == "never" and self.config.length_penalty > 0
        possible = self._score(float(self.scores[0]), self.new_tokens if to_the_end else length)
        return possible <= self.found[-1][0]


def write_beams(
    reader: Reader,
    prompt: Prompt,
    new_tokens: int,
    rules: LogitsProcessorList,
    criteria: StoppingCriteriaList,
    config: GenerationConfig,
    seed: int,
    record: Record,
) -> FoundTexts:
    """Write on from prompts, each in ``num_beams`` rows.

    Parameters
    ----------
    reader : Reader
        The model.
    prompt : Prompt
        What to write on from.
    new_tokens : int
        Tokens to add, at most; at least 1.
    rules : LogitsProcessorList
        Change the log probabilities.
    criteria : StoppingCriteriaList
        When a text ends.
    config : GenerationConfig
        What is asked for.
    seed : int
        With ``do_sample``, ways to go on are drawn without replacement; prompt p has the stream
        ``seed + p``.
    record : Record
        Keeps what is asked for.

    Returns
    -------
    FoundTexts

    Raises
    ------
    ValueError
        If the rules leave fewer texts than are to be returned.
    """
    beams, start = config.num_beams, prompt.ids.shape[1]
    searches = [Search.begin(config, new_tokens) for _ in range(len(prompt))]
    ids = prompt.repeated(beams).ids
    rows = np.arange(len(prompt)).repeat(beams)  # of what was read, those to go on from
    history = np.empty((len(ids), 0), np.int64)  # the row that each new token was written on from
    count = max(2, 1 + len(config.eos_ids)) * beams  # so that enough of them do not end
    for length in range(1, new_tokens + 1):
        if length == 1:
            logits = reader.start(prompt)[rows]
            reader.reorder(rows)
            record.watch.pick(rows)
        else:
            reader.reorder(rows)
            logits = reader.step(ids[:, -1])
        _refuse_nan(logits)
        log_probs = rules(ids, log_probabilities(logits))
        record.keep(log_probs, logits)
        next_ids, next_rows, next_history = [], [], []
        for number, search in enumerate(searches):
            mine = slice(number * beams, (number + 1) * beams)
            totals = (search.scores[:, None] + log_probs[mine]).ravel()
            noise = _gumbel(seed + number, length, len(totals)) if config.do_sample else None
            chosen = _best(totals, count, noise)
            parents = number * beams + chosen // log_probs.shape[1]
            tokens = chosen % log_probs.shape[1]
            candidates = np.concatenate([ids[parents], tokens[:, None]], axis=1)
            path = np.concatenate([history[parents], parents[:, None]], axis=1)
            ends = criteria(candidates, None if record.scores is None else tuple(record.scores))
            ends = ends | (length == new_tokens)
            kept = search.advance(totals[chosen], chosen, candidates[:, start:], ends, path)
            next_ids.append(candidates[kept])
            next_rows.append(parents[kept])
            next_history.append(path[kept])
        ids, rows, history = map(np.concatenate, (next_ids, next_rows, next_history))
        if all(search.done for search in searches):
            break
    return _best_texts(searches, config)


def _best(totals: np.ndarray, count: int, noise: np.ndarray | None) -> np.ndarray:
    """Return the places of the best totals, the best first; of equal ones, the first.

    With Gumbel noise, the best of the sums are a draw without replacement from the softmax of the
    totals: Kool et al. 2019, arXiv:1903.06059.
    """
    ranks = totals if noise is None else totals + noise
    count = min(count, len(ranks))
    bar = np.partition(ranks, len(ranks) - count)[len(ranks) - count]
    places = np.flatnonzero(ranks >= bar)
    places = places[np.argsort(-ranks[places], kind="stable")][:count]
    return places if noise is None else places[np.argsort(-totals[places], kind="stable")]


def _gumbel(seed: int, step: int, size: int) -> np.ndarray:
    """Return Gumbel noise, a function of (seed, step)."""
    key = seed % 2**64  # as the core takes seeds
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, step]))
    noise: np.ndarray = -np.log(-np.log(1 - generator.random(size)))  # 1 - u is above 0
    return noise


def _refuse_nan(logits: np.ndarray) -> None:
    if np.isnan(logits).any():
        raise ValueError("the model gave logits that are not numbers; has training diverged?")


def _best_texts(searches: list[Search], config: GenerationConfig) -> FoundTexts:
    wanted = config.num_return_sequences
    for number, search in enumerate(searches):
        if len(search.found) < wanted:
            raise ValueError(
                f"num_return_sequences is {wanted}, but after prompt {number} only "
                f"{len(search.found)} texts are allowed: take fewer, or loosen the rules"
            )
    texts = [text for search in searches for text in search.found[:wanted]]
    longest = max(len(tokens) for _, tokens, _ in texts)
    fill = 0 if config.fill_id is None else config.fill_id
    sequences = np.full((len(texts), longest), fill, np.int64)
    rows = np.full((len(texts), longest), -1, np.int64)
    for place, (_, tokens, path) in enumerate(texts):
        sequences[place, : len(tokens)] = tokens
        rows[place, : len(path)] = path
    return FoundTexts(sequences, np.array([score for score, _, _ in texts], np.float32), rows)
