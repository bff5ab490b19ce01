"""One step of training: gradients of a group of batches, clipping, the optimizer, the schedule."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minilm.nn.utils import clip_grads_with_norm_, get_total_norm
from minilm.optim.lr_scheduler import ReduceLROnPlateau
from minilm.training.accumulation import accumulate_gradients, losses_of
from minilm.training.diagnose import refuse_non_finite
from minilm.training.interrupt import interrupt_deferred

if TYPE_CHECKING:
    from minilm.training.engine import Engine


def take_step(engine: Engine, group: Sequence[Any]) -> None:
    """Move the weights by the gradients of a group of batches, every target counted the same.

    Parameters
    ----------
    engine : Engine
        Whose model, optimizer, average and schedule move on, and whose counters count the step.
    group : sequence
        Batches, in their order.

    Raises
    ------
    NonFiniteError
        If the loss or a gradient is NaN or infinite. The step is not taken.
    """
    started = time.perf_counter()
    engine.optimizer.zero_grad()
    before = engine.carried
    loss, tokens, engine.carried = accumulate_gradients(
        engine.model,
        group,
        before,
        engine.args.label_smoothing_factor,
        lambda: engine.tell("on_substep_end"),
    )
    engine.tell("on_after_backward", batches=group)
    total_norm = get_total_norm([p.grad for p in engine.parameters if p.grad is not None])
    norm = float(total_norm.item())
    limit = engine.args.max_grad_norm or math.inf
    lr = engine.optimizer.param_groups[0]["lr"]
    refuse_non_finite(
        engine.model,
        lambda: losses_of(engine.model, group, before),
        loss,
        norm,
        f"step {engine.state.global_step + 1} (epoch {engine.passes + 1})",
        _cause(engine, lr),
    )
    clip_grads_with_norm_(engine.parameters, limit, total_norm)
    engine.tell("on_after_clip", grad_norm=norm)
    with interrupt_deferred():
        lr = _move_weights(engine)
        engine.state.global_step += 1
        engine.pass_steps += 1
        engine.state.epoch = engine.passes + engine.pass_steps / engine.steps_per_epoch
        engine.state.num_input_tokens_seen += tokens
        engine.history.add_step(loss, norm, lr, tokens, time.perf_counter() - started)


def _cause(engine: Engine, lr: float) -> str:
    """Return what most likely made a number that is not finite."""
    if engine.state.global_step == 0:
        return "an operation of the model has no finite value or gradient there, or the data do not"
    unclipped = "" if engine.args.max_grad_norm else ", or gradients are not clipped"
    return f"the learning rate {lr:g} is too high{unclipped}"


def _move_weights(engine: Engine) -> float:
    """Move the weights, their average and the schedule; return the learning rate it was done at."""
    engine.tell("on_pre_optimizer_step")
    lr = float(engine.optimizer.param_groups[0]["lr"])
    engine.optimizer.step()
    if engine.average is not None:
        engine.average.update_parameters(engine.model)
    engine.tell("on_optimizer_step")
    if engine.scheduler is not None and not isinstance(engine.scheduler, ReduceLROnPlateau):
        engine.scheduler.step()
    return lr
