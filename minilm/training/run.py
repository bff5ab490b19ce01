"""From a text to a folder: a model, its history, a report, and what it writes."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minilm.data import DataLoader, RandomSampler, StreamLoader, TokenDataset
from minilm.data.vocab import UNKNOWN
from minilm.evaluation import Evaluation, Yardstick, evaluate
from minilm.generation import stream_text
from minilm.lock import hold_folder
from minilm.models import save_pretrained
from minilm.nn import init
from minilm.random import Generator, manual_seed
from minilm.svg import Reference
from minilm.training.arguments import TrainingArguments
from minilm.training.build import build_engine
from minilm.training.callback import TrainerCallback
from minilm.training.checkpoint import RUN_ID
from minilm.training.corpus import Corpus
from minilm.training.diagnose import NonFiniteError
from minilm.training.diagnostics import DIAGNOSTICS, Diagnostics
from minilm.training.early_stopping import EarlyStopping
from minilm.training.environment import environment
from minilm.training.estimate import Estimate, estimate, require_room
from minilm.training.history import History
from minilm.training.interrupt import interrupt_deferred
from minilm.training.logs import LOG
from minilm.training.recipe import RECIPE, Recipe
from minilm.training.report import Report
from minilm.training.text import Text

REPORT = "report.html"
PASSAGE_TOKENS = {"char": 400, "word": 90, "bpe": 120}
TEMPERATURES = (0.8, 0.5, 1.0)  # the first one's passage is the run's own


class Run:
    """One training run, and the folder that it fills.

    Parameters
    ----------
    recipe : Recipe
        What to train, on what, and how.
    folder : Path
        Where ``config.json``, ``model.safetensors``, ``tokenizer.json``, ``run.json``,
        ``history.csv``, ``log.jsonl``, ``diagnostics.jsonl``, ``report.html`` and checkpoints go;
        made when missing.
    resume : bool
        Go on with the run that the folder holds.
    say : callable
        Told, in words, where a run goes on.
    text : Text, optional
        The recipe's, if another run has read it already.

    Attributes
    ----------
    corpus : Corpus
        What it trains and validates on.

    Raises
    ------
    DoesNotFitError
        If the model takes more memory than there is.
    ValueError
        If the text is too short for the settings, or a size is not positive.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        *,
        resume: bool = False,
        say: Callable[[str], object] = lambda message: None,
        text: Text | None = None,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.settings, self.architecture = recipe.settings, recipe.architecture
        self._arguments(folder)  # which checks them
        self._text = text or Text(recipe)
        self.corpus, self.best_possible = self._text.corpus, self._text.best_possible
        _check_length(self.corpus, self.settings.seq_len)
        self._refuse_too_large()
        manual_seed(self.settings.seed)
        self.model = recipe.model(self.corpus.vocab_size)
        self.samples: dict[str, str] = {}
        self._resume, self._say = resume, say
        self.history = History(1)

    def _refuse_too_large(self) -> None:
        """Refuse sizes that no batch size can help, before any of the memory is touched."""
        if self.recipe.init is None:
            with init.skipped():
                model = self.recipe.model(self.corpus.vocab_size)
            require_room(model, self._arguments(None), made=False)

    @property
    def ngram(self) -> Yardstick:
        """What the best Witten-Bell n-gram reaches on the same split."""
        return self._text.ngram

    @property
    def passage(self) -> str:
        """What the model wrote after training; empty before, and after Ctrl-C."""
        return next(iter(self.samples.values()), "")

    def fit(self, *callbacks: TrainerCallback) -> None:
        """Train, saving each epoch that is the best so far, and write samples and report.

        After Ctrl-C, what was trained is saved just the same, without the samples, and a
        checkpoint from which the run can go on.

        Raises
        ------
        CheckpointError
            If the run is to go on, but the folder's is another one.
        DoesNotFitError
            If the run would take more memory than there is; the message says what to change.
        NonFiniteError
            If the loss becomes NaN or infinite; the folder keeps the best epoch before.
        OSError
            If nothing can be written into the folder, another run is writing there, or a file
            cannot be written; the one before it stays.
        """
        _check_writable(self.folder)
        with hold_folder(self.folder):
            self._train(callbacks)
            if not self.history.step_losses:  # Ctrl-C came at once
                return
            if not self.history.interrupted:
                self._write_samples()
            self._report().write(self.folder / REPORT)

    def train(self, *callbacks: TrainerCallback) -> None:
        """Do as `fit` does, without samples and report: for a run among many."""
        _check_writable(self.folder)
        with hold_folder(self.folder):
            self._train(callbacks)

    def estimate(self, *, timed: bool = True) -> Estimate:
        """Measure what the run will take; see :func:`minilm.training.estimate.estimate`."""
        return estimate(self.model, self._loader(), self._arguments(None), timed=timed)

    def _arguments(self, folder: Path | None) -> TrainingArguments:
        return self.settings.arguments(folder, self.architecture.model)

    def _loader(self) -> StreamLoader | DataLoader:
        """Make a stream for a model that carries its state along, random windows for any other."""
        ids, settings = self.corpus.train_ids, self.settings
        if hasattr(self.model, "forward_with_state"):
            return StreamLoader(ids, settings.batch_size, settings.seq_len, seed=settings.seed)
        windows = TokenDataset(ids, settings.seq_len)
        count = max(len(ids) // settings.seq_len, 1)  # as many as the text has side by side
        sampler = RandomSampler(windows, True, count, Generator(settings.seed))
        return DataLoader(windows, min(settings.batch_size, count), sampler=sampler, drop_last=True)

    def _train(self, callbacks: tuple[TrainerCallback, ...]) -> None:
        settings = self.settings
        args = self._arguments(self.folder)
        args.resume_from_checkpoint = self._resume
        self.estimate(timed=False).require_fit()
        stop = [EarlyStopping(patience=settings.patience)] if settings.patience else []
        diagnostics = Diagnostics(self.corpus.tokenizer.token_to_id(UNKNOWN))
        engine = build_engine(
            self.model,
            self._loader(),
            args,
            validate=self._validate,
            callbacks=[*callbacks, *stop, _SaveBest(self), diagnostics],
            tokenizer=self.corpus.tokenizer,
            say=self._say,
        )
        self.history = engine.history
        self.recipe.save(self.folder)
        try:
            engine.run()
        except NonFiniteError as error:
            best = self.history.best_record()
            kept = f"epoch {best['epoch']:g} is in {self.folder}" if best else "nothing was saved"
            raise NonFiniteError(f"{error}; {kept}") from None
        else:
            if self.history.step_losses:
                self.save()
        finally:
            if not self.history.step_losses:
                for name in (RECIPE, LOG, DIAGNOSTICS, RUN_ID):
                    (self.folder / name).unlink(missing_ok=True)

    def _validate(self, poll: Callable[[], object]) -> dict[str, float]:
        ids, window = self.corpus.valid_ids, self.settings.seq_len
        reached = evaluate(self.model, ids, seq_len=window, on_window=poll)
        return {"loss": reached.loss, "perplexity": reached.perplexity}

    def save(self) -> None:
        """Write the model, its tokenizer, and what was asked for."""
        training = {"data": self.corpus.name, **asdict(self.settings), **self.summary()}
        with interrupt_deferred():
            save_pretrained(self.model, self.folder, self.corpus.tokenizer, training)

    def summary(self) -> dict[str, Any]:
        """Return what the run reached, as numbers and names that JSON can hold."""
        summary: dict[str, Any] = {
            "level": self.corpus.level,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "train_tokens": len(self.corpus.train_ids),
            "valid_tokens": len(self.corpus.valid_ids),
            "steps": len(self.history.step_losses),
            "interrupted": self.history.interrupted,
            "ngram_order": self.ngram.order,
            "ngram_loss": self.ngram.loss,
            "ngram_perplexity": self.ngram.perplexity,
        }
        if self.best_possible is not None:
            summary["best_possible_loss"] = self.best_possible
        best = self.history.best_record()
        if best is not None:
            reached = Evaluation(best["val_loss"], len(self.corpus.valid_ids) - 1)
            summary |= {
                "epoch": best["epoch"],
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

    @property
    def _kind(self) -> str:
        if self.recipe.init is not None:
            return f"{type(self.model).__name__} of {self.recipe.init}, trained on"
        tokens = {"char": "characters", "word": "words", "bpe": "byte pairs"}
        return f"{self.architecture.model.upper()}, {tokens[self.corpus.level]}"

    def _report(self) -> Report:
        references = [Reference(f"{self.ngram.order}-gram", self.ngram.loss)]
        if self.best_possible is not None:
            references.append(Reference("best possible", self.best_possible))
        summary = self.summary()
        return Report(
            title=f"{self.corpus.name}: {self._kind}",
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


class _SaveBest(TrainerCallback):
    """Save the model whenever an epoch is the best so far, for those who cannot wait."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save what is best."""
        if state.best_global_step == state.global_step:
            with kwargs["engine"].averaged_weights():
                self._run.save()


def _check_length(corpus: Corpus, seq_len: int) -> None:
    train, valid = len(corpus.train_ids), len(corpus.valid_ids)
    if train <= seq_len or valid < 2:
        raise ValueError(
            f"{corpus.name} has {train + valid} tokens; of the first 90 % ({train}) a window takes "
            f"--seq-len {seq_len} and the next one, and the rest ({valid}) must hold at "
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
