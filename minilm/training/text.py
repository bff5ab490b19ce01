"""What a recipe reads, for one run or for many on the same text."""

from __future__ import annotations

from functools import cached_property

from minilm.evaluation import Yardstick, yardstick
from minilm.training.recipe import Recipe


class Text:
    """A text, cut and split, and what counting reaches on it.

    Parameters
    ----------
    recipe : Recipe
        Whose text it is; architecture and settings make no difference.

    Attributes
    ----------
    corpus : Corpus
        What to train and validate on.
    best_possible : float or None
        The loss of a perfect model on its validation tokens, where that is known.

    Raises
    ------
    OSError, ValueError
        If the text cannot be read, or there is nothing in it.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.corpus, self.best_possible = recipe.corpus()

    @cached_property
    def ngram(self) -> Yardstick:
        """What the best Witten-Bell n-gram reaches on the same split."""
        corpus = self.corpus
        return yardstick(corpus.train_ids, corpus.valid_ids, corpus.vocab_size)
