"""Experiments whose results are claimed somewhere: each can be done again with one command."""

from minilm.repro.experiment import Experiment, Outcome
from minilm.repro.names import NAMES
from minilm.repro.nanogpt import NANOGPT
from minilm.repro.shakespeare import SHAKESPEARE
from minilm.repro.word_language_model import WORD_LANGUAGE_MODEL
from minilm.repro.words import WORDS

EXPERIMENTS = {one.name: one for one in (SHAKESPEARE, NANOGPT, NAMES, WORDS, WORD_LANGUAGE_MODEL)}

__all__ = ["EXPERIMENTS", "Experiment", "Outcome"]
