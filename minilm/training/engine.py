"""Training a language model on one long text: what the command line uses."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import minilm.nn.functional as F
from minilm import optim
from minilm.data.stream import StreamLoader
from minilm.evaluation import evaluate, perplexity
from minilm.models.base import read_on
from minilm.nn.utils import clip_grad_norm_
from minilm.training.callback import Callback
from minilm.training.diagnose import NonFiniteError, first_bad_tensor
from minilm.training.history import EpochRecord, History
from minilm.training.interrupt import InterruptFlag, interrupt_deferred
from minilm.training.schedule import warmup_cosine
from minilm.training.settings import Settings


class Engine:
    """Train a model, validate it after each epoch, and keep the best weights.

    Parameters
    ----------
    model : nn.Module
        Maps ids ``(batch, time)`` to logits, or to an output with ``.logits``. Where it has
        ``forward_with_state``, its state is carried from window to window.
    train_ids, valid_ids : ndarray of int
        Two streams of token ids ``(tokens,)``.
    settings : Settings
        How to train.
    callbacks : sequence of Callback
        Told what happens, in this order.

    Attributes
    ----------
    history : History
        What was measured so far.
    epoch, step : int
        The current epoch and the steps done, both from 1 once training runs.
    total_steps, tokens_per_step : int
        Known from the start.

    Raises
    ------
    ValueError
        If the training text is too short for one window, or the validation text has fewer than
        two tokens.
    """

    def __init__(
        self,
        model: Any,
        train_ids: np.ndarray,
        valid_ids: np.ndarray,
        settings: Settings,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model = model
        self.settings = settings
        self.loader = StreamLoader(
            train_ids, settings.batch_size, settings.seq_len, seed=settings.seed
        )
        if len(valid_ids) < 2:
            raise ValueError(f"the validation text has {len(valid_ids)} tokens, at least 2 needed")
        self.valid_ids = valid_ids
        self.callbacks = tuple(callbacks)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = optim.AdamW(
            _decay_groups(self.parameters, settings.weight_decay), lr=settings.lr
        )
        self.history = History(steps_per_epoch=len(self.loader))
        self.epoch = self.step = 0
        self.tokens_per_step = self.loader.lanes * settings.seq_len
        self.total_steps = settings.epochs * len(self.loader)
        self._interrupt = InterruptFlag()
        self._best: dict[str, np.ndarray] | None = None

    def fit(self) -> History:
        """Train to the end, or until Ctrl-C.

        The model is left with the weights of the epoch that validated best; where that is the
        last one validated, with the newest weights.

        Returns
        -------
        History
            Its ``interrupted`` tells whether Ctrl-C ended the run.

        Raises
        ------
        NonFiniteError
            If a loss or a gradient is NaN or infinite. The weights are then those of the last
            step before.
        """
        self._started = time.perf_counter()
        try:
            self._tell("on_train_begin")
            with self._interrupt:
                while self.epoch < self.settings.epochs:
                    self.epoch += 1
                    self._run_epoch()
                    self._interrupt.check()
        except KeyboardInterrupt:
            self.history.interrupted = True
        finally:
            self.model.eval()
            self._tell("on_train_end")
        if self._best is not None and self.history.best is not self.history.records[-1]:
            self.model.load_state_dict(self._best)
        return self.history

    def _run_epoch(self) -> None:
        started = time.perf_counter()
        self.model.train()
        state = None
        for inputs, targets in self.loader:
            state = self._run_step(inputs, targets, state)
            self._tell("on_step_end")
            self._interrupt.check()
        seconds = time.perf_counter() - started
        valid_loss = evaluate(
            self.model,
            self.valid_ids,
            seq_len=self.settings.seq_len,
            on_window=self._interrupt.check,
        ).loss
        if not math.isfinite(valid_loss):
            raise NonFiniteError(f"the validation loss is {valid_loss} after step {self.step}")
        steps = len(self.loader)
        self.history.records.append(
            EpochRecord(
                epoch=self.epoch,
                step=self.step,
                train_loss=math.fsum(self.history.step_losses[-steps:]) / steps,
                valid_loss=valid_loss,
                valid_perplexity=perplexity(valid_loss),
                learning_rate=self.optimizer.param_groups[0]["lr"],
                tokens_per_second=steps * self.tokens_per_step / seconds,
                seconds=time.perf_counter() - self._started,
            )
        )
        if self.history.best is self.history.records[-1]:
            self._best = {name: t.numpy().copy() for name, t in self.model.state_dict().items()}
        self._tell("on_epoch_end")

    def _run_step(self, inputs: np.ndarray, targets: np.ndarray, state: Any) -> Any:
        """Do one step, and return the state to go on from."""
        logits, next_state = read_on(self.model, inputs, state)
        loss = F.cross_entropy(logits.transpose(1, 2), targets)
        self.optimizer.zero_grad()
        loss.backward()
        norm = clip_grad_norm_(self.parameters, self.settings.clip or math.inf).item()
        self._check_finite(loss.item(), norm, inputs, state)
        factor = warmup_cosine(self.step, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * factor
        with interrupt_deferred():
            self.optimizer.step()
            self.step += 1
            self.history.step_losses.append(loss.item())
        return next_state

    def _check_finite(self, loss: float, norm: float, inputs: np.ndarray, state: Any) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient norm is {norm}"
        culprit = first_bad_tensor(self.model, inputs, state) or "the loss itself"
        raise NonFiniteError(
            f"{what} at step {self.step + 1} (epoch {self.epoch}); first bad tensor: {culprit}. "
            f"Likely the learning rate {self.settings.lr:g} is too high, or gradients are not "
            "clipped"
        )

    def _tell(self, event: str) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self)


def _decay_groups(parameters: list[Any], weight_decay: float) -> list[dict[str, Any]]:
    """Split parameters into matrices, which decay, and the rest, which do not."""
    decayed = [p for p in parameters if p.dim() > 1]
    others = [p for p in parameters if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
