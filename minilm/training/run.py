"""From a text to a folder: a model, its history, a report, and what it writes."""

from __future__ import annotations

import io
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minilm.evaluation import Evaluation, perplexity
from minilm.generation import stream_text
from minilm.models import NGramModel, RNNModel, save_pretrained
from minilm.random import manual_seed
from minilm.svg import Reference
from minilm.training.callback import Callback
from minilm.training.corpus import Corpus
from minilm.training.diagnose import NonFiniteError
from minilm.training.engine import Engine
from minilm.training.environment import environment
from minilm.training.history import History
from minilm.training.interrupt import interrupt_deferred
from minilm.training.report import Report
from minilm.training.settings import Architecture, Settings

NGRAM_ORDER = 5
HISTORY = "history.csv"
REPORT = "report.html"
PASSAGE_TOKENS = {"char": 400, "word": 90}
TEMPERATURES = (0.8, 0.5, 1.0)  # the first one's passage is the run's own


class Run:
    """One training run, and the folder that it fills.

    Parameters
    ----------
    corpus : Corpus
        What to train and validate on.
    architecture : Architecture
        What to train.
    settings : Settings
        How to train it.
    folder : Path
        Where ``config.json``, ``model.safetensors``, ``tokenizer.json``, ``history.csv`` and
        ``report.html`` go; made when missing.
    best_possible : float, optional
        Loss of a perfect model on the validation tokens, nats a token, where it is known.

    Attributes
    ----------
    ngram_loss : float
        What a Witten-Bell n-gram of order `NGRAM_ORDER` reaches on the same split, nats a token.

    Raises
    ------
    OSError
        If nothing can be written into the folder.
    ValueError
        If the corpus is too short for the settings, or a size is not positive.
    """

    def __init__(
        self,
        corpus: Corpus,
        architecture: Architecture,
        settings: Settings,
        folder: Path,
        best_possible: float | None = None,
    ) -> None:
        _check_length(corpus, settings)
        self.corpus = corpus
        self.architecture = architecture
        self.settings = settings
        self.folder = folder
        self.best_possible = best_possible
        manual_seed(settings.seed)
        self.model = _build(architecture, corpus.vocab_size)
        self._engine = Engine(self.model, corpus.train_ids, corpus.valid_ids, settings)
        _check_writable(folder)
        ngram = NGramModel(NGRAM_ORDER, corpus.vocab_size).fit(corpus.train_ids)
        self.ngram_loss = ngram.loss(corpus.valid_ids)
        self.samples: dict[str, str] = {}

    @property
    def history(self) -> History:
        """What was measured so far."""
        return self._engine.history

    @property
    def passage(self) -> str:
        """What the model wrote after training; empty before, and after Ctrl-C."""
        return next(iter(self.samples.values()), "")

    def fit(self, *callbacks: Callback) -> None:
        """Train, saving each epoch that is the best so far, and write samples and report.

        After Ctrl-C, what was trained is saved just the same, without the samples.

        Raises
        ------
        NonFiniteError
            If the loss becomes NaN or infinite; the folder keeps the best epoch before.
        OSError
            If a file cannot be written; the one before it stays.
        """
        self._engine.callbacks = (*callbacks, _SaveBest(self))
        try:
            self._engine.fit()
        except NonFiniteError as error:
            best = self.history.best
            kept = f"epoch {best.epoch} is in {self.folder}" if best else "nothing was saved"
            raise NonFiniteError(f"{error}; {kept}") from None
        if not self.history.step_losses:  # Ctrl-C came at once
            return
        self.save()
        if not self.history.interrupted:
            self._write_samples()
        self._report().write(self.folder / REPORT)

    def save(self) -> None:
        """Write the model, its tokenizer and the history."""
        training = {"data": self.corpus.name, **asdict(self.settings), **self.summary()}
        with interrupt_deferred():
            save_pretrained(self.model, self.folder, self.corpus.tokenizer, training)
            self.history.to_csv(self.folder / HISTORY)

    def summary(self) -> dict[str, Any]:
        """Return what the run reached, as numbers and names that JSON can hold."""
        summary: dict[str, Any] = {
            "level": self.corpus.level,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "train_tokens": len(self.corpus.train_ids),
            "valid_tokens": len(self.corpus.valid_ids),
            "steps": len(self.history.step_losses),
            "interrupted": self.history.interrupted,
            "ngram_order": NGRAM_ORDER,
            "ngram_loss": self.ngram_loss,
            "ngram_perplexity": perplexity(self.ngram_loss),
        }
        if self.best_possible is not None:
            summary["best_possible_loss"] = self.best_possible
        best = self.history.best
        if best is not None:
            reached = Evaluation(best.valid_loss, len(self.corpus.valid_ids) - 1)
            summary |= {
                "epoch": best.epoch,
                "loss": reached.loss,
                "perplexity": reached.perplexity,
                "bits_per_char": reached.bits_per_char(self.corpus.chars_per_token),
            }
        return summary

    def _write_samples(self) -> None:
        for number, temperature in enumerate(TEMPERATURES):
            passage = io.StringIO()
            stream_text(
                self.model,
                self.corpus.tokenizer,
                max_new_tokens=PASSAGE_TOKENS[self.corpus.level],
                write=passage.write,
                temperature=temperature,
                seed=self.settings.seed + number,
            )
            self.samples[f"temperature {temperature}"] = passage.getvalue().strip()

    def _report(self) -> Report:
        references = [Reference(f"{NGRAM_ORDER}-gram", self.ngram_loss)]
        if self.best_possible is not None:
            references.append(Reference("best possible", self.best_possible))
        summary = self.summary()
        return Report(
            title=f"{self.corpus.name}: {self.architecture.model.upper()}, {self.corpus.level}s",
            lead=(
                f"{summary['parameters']:,} parameters, trained on {summary['train_tokens']:,} "
                f"tokens of {self.corpus.vocab_size:,} types, validated on "
                f"{summary['valid_tokens']:,}."
            ),
            history=self.history,
            references=references,
            settings={
                "data": self.corpus.name,
                "level": self.corpus.level,
                **asdict(self.architecture),
                **asdict(self.settings),
            },
            environment=environment(),
            samples=self.samples,
        )


class _SaveBest(Callback):
    """Save the run whenever an epoch is the best so far: a crash then costs an epoch at most."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_epoch_end(self, engine: Engine) -> None:
        if engine.history.best is engine.history.records[-1]:
            self._run.save()


def _build(chosen: Architecture, vocab_size: int) -> RNNModel:
    return RNNModel(
        vocab_size, chosen.embed, chosen.hidden, chosen.model, chosen.layers, chosen.dropout
    )


def _check_length(corpus: Corpus, settings: Settings) -> None:
    train, valid = len(corpus.train_ids), len(corpus.valid_ids)
    if train <= settings.seq_len or valid < 2:
        raise ValueError(
            f"{corpus.name} has {train + valid} tokens; of the first 90 % ({train}) a window takes "
            f"--seq-len {settings.seq_len} and the next one, and the rest ({valid}) must hold at "
            "least 2: give more text or a smaller --seq-len"
        )


def _check_writable(folder: Path) -> None:
    """Fail before training rather than after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        message = f"cannot write into the folder: {error.strerror}"
        raise OSError(error.errno, message, str(folder)) from None
