"""When a run logs, evaluates and saves."""

from __future__ import annotations

import math
from typing import Any

from minilm.training.arguments import TrainingArguments
from minilm.training.callback import TrainerCallback


def steps_of(loader: Any, args: TrainingArguments) -> tuple[int, int]:
    """Return the optimizer steps of a pass over the data, and of the whole run.

    Raises
    ------
    ValueError
        If the loader has no batches.
    """
    batches = len(loader)
    if batches < 1:
        raise ValueError(
            "the training data has no batches: there are fewer samples than one batch takes "
            "(with the last one left out), or the text is shorter than a window"
        )
    per_pass = -(-batches // args.gradient_accumulation_steps)
    if args.max_steps > 0:
        return per_pass, args.max_steps
    return per_pass, math.ceil(args.num_train_epochs * per_pass)


class Flow(TrainerCallback):
    """Asks for what the arguments' strategies say; Hugging Face's ``DefaultFlowCallback``."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask after every so many steps, and after the last one."""
        step, last = state.global_step, state.global_step >= state.max_steps
        if args.logging_strategy == "steps":
            first = step == 1 and args.logging_first_step
            control.should_log |= first or _is_due(args.logging_steps, state)
        if args.eval_strategy == "steps":
            control.should_evaluate |= _is_due(args.eval_steps or args.logging_steps, state)
        if args.save_strategy == "steps":
            control.should_save |= last or _is_due(args.save_steps, state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask after each pass."""
        control.should_log |= args.logging_strategy == "epoch"
        control.should_evaluate |= args.eval_strategy == "epoch"
        control.should_save |= args.save_strategy == "epoch"


def _is_due(every: float, state: Any) -> bool:
    """Tell whether this step is one of every so many; below 1, a share of all steps."""
    steps = int(every) if every >= 1 else math.ceil(every * state.max_steps)
    return bool(steps and state.global_step % steps == 0)
