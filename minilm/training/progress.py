"""What a person sees of a run while it trains."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from minilm.training.callback import TrainerCallback


def is_watched(file: TextIO | None = None) -> bool:
    """Tell whether a bar would be seen: in a terminal, or in a notebook."""
    return (file or sys.stderr).isatty() or in_notebook()


def in_notebook() -> bool:
    """Tell whether this process computes the cells of a notebook."""
    module = sys.modules.get("IPython")
    return module is not None and hasattr(module.get_ipython(), "kernel")


class Progress(TrainerCallback):
    """A bar with loss, tokens/s and time left, and a line an evaluation, on standard error.

    Parameters
    ----------
    file : text stream, optional
        Where to write instead.
    bar : bool, optional
        Whether there is a bar; by default only where somebody watches.
    """

    def __init__(self, file: TextIO | None = None, bar: bool | None = None) -> None:
        self._file = file or sys.stderr
        self._shown = is_watched(file) if bar is None else bar
        self._bar: Any = None
        self._tokens = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the bar."""
        if in_notebook() and self._file is sys.stderr:
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm

        self._tokens = state.num_input_tokens_seen
        self._bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            unit=" steps",
            file=self._file,
            disable=not self._shown,
            dynamic_ncols=True,
            leave=False,
            bar_format="{desc} |{bar}| {percentage:3.0f}%{postfix}, {remaining} left",
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar on."""
        if not self._shown:
            return
        bar, losses = self._bar, kwargs["history"].step_losses
        seconds = bar.format_dict["elapsed"]
        speed = (state.num_input_tokens_seen - self._tokens) / seconds if seconds else 0.0
        bar.set_description_str(f"epoch {_epoch(state)}", refresh=False)
        bar.set_postfix_str(f"loss {losses[-1]:.3f}, {speed:,.0f} tokens/s", refresh=False)
        bar.update(state.global_step - bar.n)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the evaluation's line above the bar."""
        record = kwargs["history"].records[-1]
        parts = [f"epoch {record['epoch']:g}/{state.num_train_epochs}"]
        if "loss" in record:
            parts.append(f"train {record['loss']:.4f}")
        if "val_loss" in record:
            parts.append(f"valid {record['val_loss']:.4f}")
        parts[-1] += " nats a token"
        parts.append(f"{record['tokens_per_second']:,.0f} tokens/s")
        parts.append(f"{record['seconds']:.0f} s")
        self._bar.write("  ".join(parts), file=self._file)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the bar away."""
        if self._bar is not None:  # Ctrl-C may come before it is there
            self._bar.close()


def _epoch(state: Any) -> str:
    return f"{min(int(state.epoch) + 1, state.num_train_epochs)}/{state.num_train_epochs}"
