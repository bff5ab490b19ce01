"""Characters of tiny-shakespeare, the text that small models are compared on."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from minilm.repro.experiment import Experiment, Outcome, Say
from minilm.training import Architecture, Recipe, Settings
from minilm.training.progress import Progress
from minilm.training.run import Run

NANOGPT = 1.4697  # its 10.7-million-parameter GPT, trained on a GPU (nanoGPT's README)
MINUTES = 20

ARCHITECTURE = Architecture(model="lstm", layers=1, hidden=512, embed=128, dropout=0.35)
SETTINGS = Settings(epochs=12, batch_size=32, seq_len=96, lr=6e-3, weight_decay=0.05)


def _run(path: Path, share: float, say: Say) -> list[Outcome]:
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        if share < 1:
            path = Path(folder) / path.name
            path.write_text(text[: int(share * len(text))], encoding="utf-8")
        settings = replace(SETTINGS, epochs=max(1, round(share * SETTINGS.epochs)))
        training = Run(Recipe(str(path), "char", ARCHITECTURE, settings), Path(folder) / "run")
        started = time.perf_counter()
        training.fit(Progress())
        minutes = (time.perf_counter() - started) / 60
        summary = training.summary()
    say(training.passage)
    return [
        Outcome("validation, nats a character", summary["loss"], 1.50),
        Outcome("the same, against nanoGPT's GPT", summary["loss"], NANOGPT),
        Outcome(f"Witten-Bell {summary['ngram_order']}-gram", summary["ngram_loss"]),
        Outcome("minutes", minutes, MINUTES),
    ]


SHAKESPEARE = Experiment(
    "shakespeare",
    "an LSTM on the characters of tiny-shakespeare, its last tenth to validate on",
    "tinyshakespeare.txt",
    _run,
)
