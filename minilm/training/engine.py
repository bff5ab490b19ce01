"""The training loop: the one that `fit`, `Trainer` and the command line share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from minilm.optim.lr_scheduler import ReduceLROnPlateau
from minilm.training.arguments import TrainingArguments
from minilm.training.callback import CallbackList, TrainerControl, TrainerState
from minilm.training.checkpoint import Checkpoint, CheckpointFolder
from minilm.training.diagnose import NonFiniteError
from minilm.training.early_stopping import best_metric, required_metric
from minilm.training.flow import Flow, steps_of
from minilm.training.history import History
from minilm.training.interrupt import InterruptFlag, interrupt_deferred
from minilm.training.snapshot import load_snapshot, take_snapshot
from minilm.training.step import take_step

Validate = Callable[[Callable[[], object]], dict[str, float]]


class Engine:
    """Train a model over the batches of a loader, and keep all that it takes to go on.

    Where the loop stands is in attributes that a checkpoint holds, and what comes next follows
    from them alone: a run that goes on from a checkpoint does what the run that wrote it did.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits, or to an output with ``.logits``. Where it has
        ``forward_with_state`` and the loader gives a stream, its state is carried along.
    loader : DataLoader or StreamLoader
        Gives the batches of a pass, and has ``state_dict`` and ``load_state_dict``.
    args : TrainingArguments
        How to train.
    optimizer : optim.Optimizer
        Holds the model's parameters.
    scheduler : optim.lr_scheduler.LRScheduler, optional
        Moves on after each step; a ``ReduceLROnPlateau`` after each evaluation.
    validate : callable, optional
        Returns metrics by name, ``loss`` among them; is given a function to call now and then,
        whose exceptions end it.
    callbacks : sequence of TrainerCallback
        Told what happens, in this order.
    checkpoints : CheckpointFolder, optional
        Where checkpoints go.
    average : optim.swa_utils.AveragedModel, optional
        Takes in the weights after each step, is what is validated, and what the model is left
        with.

    Attributes
    ----------
    state : TrainerState
    control : TrainerControl
    history : History
        What was measured so far.
    in_pass : bool
        Whether a pass over the data has begun and not ended.
    passes, pass_steps, ended_at : int
        Passes that ended, steps of the one that has not, and the step when ``on_epoch_end`` was
        last told.
    carried : object
        The model's state, between two windows of a stream.
    """

    def __init__(
        self,
        model: Any,
        loader: Any,
        args: TrainingArguments,
        optimizer: Any,
        scheduler: Any = None,
        validate: Validate | None = None,
        callbacks: Sequence[Any] = (),
        checkpoints: CheckpointFolder | None = None,
        average: Any = None,
    ) -> None:
        self.model = model
        self.average = average
        self.loader = loader
        self.args = args
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.checkpoints = checkpoints
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.steps_per_epoch, max_steps = steps_of(loader, args)
        self.state = TrainerState(
            max_steps=max_steps,
            num_train_epochs=-(-max_steps // self.steps_per_epoch),
            train_batch_size=args.per_device_train_batch_size,
        )
        self.control = TrainerControl()
        self.history = History(self.steps_per_epoch)
        self.carried: Any = None
        self.in_pass = False
        self.passes = self.pass_steps = self.ended_at = 0
        self._in_step = False  # then the state is of no moment to go on from
        self._validate = validate
        self._interrupt = InterruptFlag()
        self._callbacks = CallbackList([Flow(), *callbacks])
        self.tell("on_init_end")

    @property
    def validates(self) -> bool:
        """Whether there is something to measure on."""
        return self._validate is not None

    @property
    def callbacks(self) -> CallbackList:
        """All callbacks, that which decides when to log, evaluate and save first."""
        return self._callbacks

    def run(self) -> History:
        """Train to the end, or until Ctrl-C.

        Returns
        -------
        History
            Its ``interrupted`` tells whether Ctrl-C ended the run; a checkpoint of that moment
            was then written, where checkpoints are.

        Raises
        ------
        NonFiniteError
            If a loss or a gradient is NaN or infinite. The step is not taken.
        """
        self.history.interrupted = False
        self.history.start_clock()
        try:
            self.tell("on_train_begin")
            with self._interrupt:
                if self.checkpoints is not None and not self.state.global_step:
                    self.checkpoints.begin()
                self._attend()  # to what an interrupted run had left to do
                while not self._done() or self._is_end_due():
                    self._run_epoch()
        except KeyboardInterrupt:
            self.history.interrupted = True
            if not (self._in_step or self._interrupt.urgent):
                self.save()
        finally:
            self.history.stop_clock()
            self.model.eval()
            if self.average is not None and self.state.global_step:
                self.model.load_state_dict(self.average.module.state_dict())
            self.tell("on_train_end")
        return self.history

    def _done(self) -> bool:
        return (
            self.control.should_training_stop
            or self.state.global_step >= self.state.max_steps
            or self.passes >= self.state.num_train_epochs
        )

    def _is_end_due(self) -> bool:
        """Tell whether a run was interrupted between its last step and the end of the pass."""
        return self.in_pass and self.ended_at < self.state.global_step

    def _run_epoch(self) -> None:
        if not self.in_pass:
            self.in_pass, self.pass_steps, self.carried = True, 0, None
            self.tell("on_epoch_begin")
        batches = iter(self.loader)
        self.model.train()
        while not (self._done() or self.control.should_epoch_stop):
            self._interrupt.check()
            self._in_step = True
            group = list(islice(batches, self.args.gradient_accumulation_steps))
            if group:
                self.tell("on_step_begin")
                take_step(self, group)
            self._in_step = False
            if not group:
                break
            self.tell("on_step_end")
            self._attend()
        self._end_pass()
        self.tell("on_epoch_end")
        self._attend()

    def _end_pass(self) -> None:
        """Count the pass, unless the run was stopped in its midst and may go on there."""
        self.ended_at = self.state.global_step
        if self.pass_steps >= self.steps_per_epoch or self.control.should_epoch_stop:
            self.loader.end_pass()
            self.in_pass = self.control.should_epoch_stop = False
            self.passes += 1

    # --- between steps ----------------------------------------------------------------------------

    def _attend(self) -> None:
        """Log, evaluate and save, as far as the control asks for it."""
        if self.control.should_log:
            self.log(self.history.since_last_log())
            self.control.should_log = False
        if self.control.should_evaluate:
            self.evaluate()
            self.control.should_evaluate = False
        if self.control.should_save:
            self.control.should_save = False
            self.save()

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Give the model its averaged weights inside the block, where an average is kept."""
        if self.average is None:
            yield
            return
        with self.average.swapped_in(self.model):
            yield

    def log(self, logs: dict[str, Any]) -> None:
        """Add figures to the run's log, and tell the callbacks."""
        entry = {**logs, "epoch": self.state.epoch, "step": self.state.global_step}
        self.state.log_history.append(entry)
        self.tell("on_log", logs=entry)

    def evaluate(self) -> dict[str, float]:
        """Measure the model as it is, and add a row to the history.

        Raises
        ------
        NonFiniteError
            If the loss is NaN or infinite.
        """
        metrics: dict[str, float] = {}
        if self._validate is not None:
            with self.averaged_weights():
                metrics = self._validate(self._interrupt.check)
            loss = metrics.get("loss", 0.0)
            if not math.isfinite(loss):
                step = self.state.global_step
                raise NonFiniteError(f"the validation loss is {loss} after step {step}")
            self.log({f"eval_{name}": value for name, value in metrics.items()})
        self.history.add_record(self.state.epoch, self.state.global_step, metrics)
        if metrics and isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(required_metric(metrics, best_metric(self.args)[0]))
        self.tell("on_evaluate", metrics={f"eval_{k}": value for k, value in metrics.items()})
        self.model.train()
        return metrics

    def save(self) -> None:
        """Write a checkpoint, from which a run goes on as this one does.

        Before the first step there is nothing to save.
        """
        if self.checkpoints is None or not self.state.global_step:
            return
        step = self.state.global_step
        if self.state.best_global_step == step:
            self.state.best_model_checkpoint = str(self.checkpoints.path_of(step))
        with interrupt_deferred():
            folder = self.checkpoints.write(self.model, take_snapshot(self), self.state)
        self.tell("on_save", checkpoint=folder)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take over what a checkpoint holds; the next `run` goes on from there.

        Raises
        ------
        KeyError, ValueError
            If it is of another kind of run.
        """
        checkpoint.load_weights(self.model)
        load_snapshot(self, checkpoint.snapshot)

    def tell(self, event: str, **more: Any) -> None:
        """Tell the callbacks of an event, with all that they may want to look at."""
        self._callbacks.tell(
            event,
            self.args,
            self.state,
            self.control,
            engine=self,
            model=self.model,
            optimizer=self.optimizer,
            lr_scheduler=self.scheduler,
            train_dataloader=self.loader,
            history=self.history,
            **more,
        )
