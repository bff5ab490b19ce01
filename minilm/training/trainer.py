"""Hugging Face's door to training: ``Trainer``."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minilm.lock import hold_folder
from minilm.models.pretrained import PretrainedModel
from minilm.random import manual_seed
from minilm.serialization import save
from minilm.training.arguments import TrainingArguments
from minilm.training.build import build_engine
from minilm.training.callback import CallbackList, TrainerControl, TrainerState
from minilm.training.columns import collator_for, keep_columns
from minilm.training.engine import Engine, Validate
from minilm.training.estimate import Estimate, estimate
from minilm.training.interrupt import warn_of_interrupt
from minilm.training.prediction import PredictionOutput, predict
from minilm.training.progress import Progress
from minilm.training.search import BestRun, call_model_init, search
from minilm.training.setup import make_loader
from minilm.training.validation import make_validate


class TrainOutput(NamedTuple):
    """What `Trainer.train` returns.

    Attributes
    ----------
    global_step : int
        Optimizer steps done.
    training_loss : float
        Mean over all steps, nats a token.
    metrics : dict
        ``train_runtime`` (seconds), ``train_samples_per_second``, ``train_steps_per_second``,
        ``train_loss``, ``epoch``.
    """

    global_step: int
    training_loss: float
    metrics: dict[str, float]


class Trainer:
    """Train and evaluate a model, with the names and the meaning of ``transformers.Trainer``.

    Parameters
    ----------
    model : nn.Module, optional
        To train; or `model_init`.
    args : TrainingArguments, optional
        How to.
    data_collator : callable, optional
        Takes the list of samples of a batch and joins them. By default those of Hugging Face's
        data sets are stacked column by column, and filled up where `processing_class` can.
    train_dataset, eval_dataset : Dataset, DataLoader, StreamLoader or array of int, optional
        Samples are pairs (inputs, targets), or mappings with ``input_ids`` and ``labels``. Of
        Hugging Face's data sets the columns that the model does not take are left out.
        `eval_dataset` may be a mapping of several, by name.
    processing_class : tokenizers.Tokenizer or PreTrainedTokenizerFast, optional
        Saved with the model.
    model_init : callable, optional
        Returns a new model, each time that training begins; if it takes an argument, a trial of
        `hyperparameter_search`, and None elsewhere.
    compute_metrics : callable, optional
        Takes an `EvalPrediction` and returns metrics by name. The logits of the whole evaluation
        set are kept for it in memory.
    callbacks : sequence of TrainerCallback
        Told what happens.
    optimizers : (Optimizer, LRScheduler)
        Instead of those that the arguments name; either may be None.

    Attributes
    ----------
    state : TrainerState
        Where training stands.
    history : History
        What it measured, when `train` was called.

    Raises
    ------
    ValueError
        If there is no model, or `model_init` comes with `optimizers`, which would hold the
        parameters of another model.

    Examples
    --------
    >>> trainer = Trainer(model, TrainingArguments(output_dir="run"), train_dataset=dataset)
    >>> trainer.train().training_loss
    """

    def __init__(
        self,
        model: Any = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], Any] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        model_init: Callable[..., Any] | None = None,
        compute_metrics: Callable[[Any], Mapping[str, float]] | None = None,
        callbacks: Sequence[Any] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
    ) -> None:
        self.args = args or TrainingArguments()
        manual_seed(self.args.seed)
        if model is None and model_init is None:
            raise ValueError("Trainer takes a model, or model_init, which makes one; got neither")
        if model_init is not None and any(one is not None for one in optimizers):
            raise ValueError(
                "model_init makes a new model for each training, whose parameters `optimizers` "
                "cannot hold: name them in the arguments (optim, lr_scheduler_type)"
            )
        self.model_init = model_init
        self.model = model if model_init is None else call_model_init(model_init)
        self.data_collator = data_collator
        self.train_dataset = train_dataset
        self.eval_dataset = eval_dataset
        self.processing_class = processing_class
        self.compute_metrics = compute_metrics
        self.optimizer, self.lr_scheduler = optimizers
        self.callbacks: list[Any] = CallbackList(callbacks or ()).callbacks
        self.state = TrainerState()
        self.control = TrainerControl()
        self.history: Any = None
        self.trial: Any = None  # of hyperparameter_search, while it runs

    # --- callbacks --------------------------------------------------------------------------------

    def add_callback(self, callback: Any) -> None:
        """Add a callback, or make one of a class."""
        self.callbacks += CallbackList([callback]).callbacks

    def pop_callback(self, callback: Any) -> Any:
        """Remove a callback, or the first one of a class, and return it; None if there is none."""
        for one in self.callbacks:
            if one is callback or (isinstance(callback, type) and isinstance(one, callback)):
                self.callbacks.remove(one)
                return one
        return None

    def remove_callback(self, callback: Any) -> None:
        """Remove a callback, or the first one of a class."""
        self.pop_callback(callback)

    # --- training ---------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | bool | None = None) -> TrainOutput:
        """Train the model.

        Parameters
        ----------
        resume_from_checkpoint : str or bool, optional
            A checkpoint to go on from, or True for the newest whole one in ``output_dir``. The
            run goes on exactly: its weights and its history will be, bit for bit, those of a run
            that was never stopped.

        Returns
        -------
        TrainOutput

        Raises
        ------
        CheckpointError
            If the checkpoint is damaged, or of another run.
        FolderInUseError
            If another run is writing into ``output_dir``.
        NonFiniteError
            If a loss or a gradient becomes NaN or infinite.
        ValueError
            If there is nothing to train on, or nothing to evaluate on though the arguments ask
            for it.
        """
        args = self.args
        if resume_from_checkpoint is not None:
            args = dataclasses.replace(args, resume_from_checkpoint=resume_from_checkpoint)
        manual_seed(args.seed)
        if self.model_init is not None:
            self.model = call_model_init(self.model_init, self.trial)
        started = time.perf_counter()
        with hold_folder(args.output_dir):
            engine = self._build(args)
            first_step = engine.state.global_step
            self.history = engine.run()
        warn_of_interrupt(self.history, args.output_dir)
        return self._output(engine, time.perf_counter() - started, first_step)

    def _loader(self, args: TrainingArguments) -> Any:
        if self.train_dataset is None:
            raise ValueError("Trainer: training requires a train_dataset")
        data = keep_columns(self.train_dataset, self.model, args)
        return make_loader(data, args, self.model, self._collator(data))

    def _build(self, args: TrainingArguments) -> Engine:
        if self.eval_dataset is None and args.eval_strategy != "no":
            raise ValueError(
                f"eval_strategy is {args.eval_strategy!r}, but Trainer has no eval_dataset: pass "
                "one, or eval_strategy='no'"
            )
        loader = self._loader(args)
        bars = [] if args.disable_tqdm else [Progress()]
        engine = build_engine(
            self.model,
            loader,
            args,
            validate=None if self.eval_dataset is None else self._validate(),
            optimizer=self.optimizer,
            scheduler=self.lr_scheduler,
            callbacks=[*bars, *self.callbacks],
            tokenizer=self.processing_class,
        )
        self.state, self.control = engine.state, engine.control
        return engine

    def _output(self, engine: Engine, seconds: float, first_step: int) -> TrainOutput:
        losses = engine.history.step_losses
        loss = float(np.mean(losses)) if losses else 0.0
        steps = engine.state.global_step - first_step
        batch = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        samples = steps * batch
        metrics = {
            "train_runtime": seconds,
            "train_samples_per_second": samples / seconds,
            "train_steps_per_second": steps / seconds,
            "train_loss": loss,
            "epoch": engine.state.epoch,
        }
        engine.log(metrics)
        return TrainOutput(engine.state.global_step, loss, metrics)

    def estimate(self) -> Estimate:
        """Measure, on three batches, what training will take; nothing changes.

        Returns
        -------
        Estimate
            Prints itself. Its `require_fit` raises, with the number that has to change, if there
            is too little memory.

        Raises
        ------
        ValueError
            If there is no data to train on.
        """
        return estimate(self.model, self._loader(self.args), self.args)

    # --- evaluation -------------------------------------------------------------------------------

    def evaluate(
        self, eval_dataset: Any = None, *, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Measure the model.

        Parameters
        ----------
        eval_dataset : optional
            Instead of the one that the trainer has. A mapping of several is measured one by one,
            its names in the metrics: ``eval_NAME_loss``.
        metric_key_prefix : str
            What the names of metrics begin with.

        Returns
        -------
        dict
            ``eval_loss`` (nats a token, every target counted the same), ``eval_perplexity``, what
            `compute_metrics` returns, and ``eval_runtime`` in seconds.

        Raises
        ------
        ValueError
            If there is no data to evaluate on.
        """
        data = self.eval_dataset if eval_dataset is None else eval_dataset
        if data is None:
            raise ValueError("Trainer: evaluation requires an eval_dataset")
        started = time.perf_counter()
        found = self._validate(data)(lambda: None)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        metrics[f"{metric_key_prefix}_runtime"] = time.perf_counter() - started
        self.state.log_history.append({**metrics, "step": self.state.global_step})
        CallbackList(self.callbacks).tell(
            "on_log", self.args, self.state, self.control, model=self.model, logs=metrics
        )
        return metrics

    def predict(self, test_dataset: Any, *, metric_key_prefix: str = "test") -> PredictionOutput:
        """Return the model's logits and labels over a data set, and its metrics.

        Parameters
        ----------
        test_dataset : Dataset, DataLoader or array of int
            What on; all logits are kept in memory.
        metric_key_prefix : str
            What the names of metrics begin with.

        Returns
        -------
        PredictionOutput
        """
        data = keep_columns(test_dataset, self.model, self.args)
        output = predict(
            self.model,
            data,
            self.args,
            self._collator(data),
            self.compute_metrics,
            metric_key_prefix,
        )
        CallbackList(self.callbacks).tell(
            "on_predict", self.args, self.state, self.control, metrics=output.metrics
        )
        return output

    def _collator(self, data: Any) -> Any:
        return collator_for(data, self.processing_class, self.data_collator)

    def _validate(self, data: Any = None) -> Validate:
        data = self.eval_dataset if data is None else data
        named = data if isinstance(data, Mapping) else {"": data}
        parts = {name: self._measure(part) for name, part in named.items()}

        def validate(poll: Callable[[], object]) -> dict[str, float]:
            found: dict[str, float] = {}
            for name, measure in parts.items():
                prefix = f"{name}_" if name else ""
                found |= {f"{prefix}{key}": value for key, value in measure(poll).items()}
            return found

        return validate

    def _measure(self, data: Any) -> Validate:
        data = keep_columns(data, self.model, self.args)
        collate = self._collator(data)
        loss = make_validate(self.model, data, self.args, collate)
        if self.compute_metrics is None:
            return loss

        def measure(poll: Callable[[], object]) -> dict[str, float]:
            more = predict(self.model, data, self.args, collate, self.compute_metrics, "").metrics
            return {**loss(poll), **more}

        return measure

    # --- search -----------------------------------------------------------------------------------

    def hyperparameter_search(
        self,
        hp_space: Callable[[Any], dict[str, Any]] | None = None,
        compute_objective: Callable[[dict[str, float]], float] | None = None,
        n_trials: int = 20,
        direction: str = "minimize",
        backend: str = "optuna",
        **kwargs: Any,
    ) -> BestRun:
        """Train with several values of the arguments, and return the best.

        Each trial begins with a new model of `model_init`, in ``run-0``, ``run-1`` and so on of
        ``output_dir``. With Optuna a trial that an evaluation shows to be hopeless is pruned. The
        arguments are what they were afterwards, and the model is that of the last trial.

        Parameters
        ----------
        hp_space : callable, optional
            Takes Optuna's trial and returns names and values of arguments; for Ray it takes None
            and returns what Ray draws from. By default the learning rate from 1e-6 to 1e-4, 1 to 5
            epochs, the seed, and a batch size from 4 to 64.
        compute_objective : callable, optional
            Takes the metrics of an evaluation and returns what counts; by default the sum of what
            `compute_metrics` found, or the loss if there is nothing.
        n_trials : int
            How many.
        direction : {"minimize", "maximize"}
            Which values of the objective are better.
        backend : {"optuna", "ray"}
            Who draws.
        **kwargs
            For ``optuna.create_study`` (``sampler``, ``pruner``, ``storage``) and ``optimize``
            (``timeout``, ``catch``), or for ``ray.tune.Tuner`` (``tune_config``, ``run_config``).

        Returns
        -------
        BestRun

        Raises
        ------
        ImportError
            If the backend is not installed.
        ValueError
            If there is no `model_init` or `eval_dataset`, a name is no argument, or no trial came
            to its end.
        """
        return search(self, hp_space, compute_objective, n_trials, direction, backend, dict(kwargs))

    # --- what is kept -----------------------------------------------------------------------------

    def save_model(self, output_dir: str | None = None) -> None:
        """Save the model, and the tokenizer, into a folder; ``output_dir`` if none is given.

        Raises
        ------
        OSError
            If a file cannot be written.
        ValueError
            If there is no folder.
        """
        folder = output_dir or self.args.output_dir
        if folder is None:
            raise ValueError("save_model needs a folder: TrainingArguments has no output_dir")
        if isinstance(self.model, PretrainedModel):
            self.model.save_pretrained(folder, self.processing_class)
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        save(self.model.state_dict(), Path(folder) / "model.safetensors")
