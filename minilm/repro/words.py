"""Words: a language model beside n-grams, on the package's stories or a text of one's own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from minilm.evaluation import yardstick
from minilm.repro.experiment import Experiment, Outcome, Say
from minilm.training import Architecture, Recipe, Settings
from minilm.training.progress import Progress
from minilm.training.recipe import STORIES
from minilm.training.run import Run

EPOCHS = 10


def _run(path: Path, share: float, say: Say) -> list[Outcome]:
    own = path.name != STORIES
    recipe = Recipe(
        str(path) if own else STORIES,
        "word",
        Architecture(dropout=0.5 if own else 0.2),
        Settings(epochs=max(1, round(EPOCHS * share)), patience=2),
    )
    with tempfile.TemporaryDirectory() as folder:
        training = Run(recipe, Path(folder))
        training.fit(Progress())
        summary, corpus = training.summary(), training.corpus
    best = yardstick(corpus.train_ids, corpus.valid_ids, corpus.vocab_size)
    say(best.compare(summary["loss"]))
    return [
        Outcome("validation, perplexity", summary["perplexity"], best.perplexity),
        Outcome(f"best Witten-Bell n-gram (order {best.order})", best.perplexity),
    ]


WORDS = Experiment(
    "words",
    "an LSTM on words beside the best n-gram: of the stories, or of --data FILE",
    STORIES,
    _run,
)
