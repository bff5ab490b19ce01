"""What a person at a terminal sees of a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from minilm.training.callback import Callback

if TYPE_CHECKING:
    from minilm.training.engine import Engine


class Progress(Callback):
    """A bar with loss, tokens/s and time left, and a line an epoch, on standard error.

    Parameters
    ----------
    file : text stream, optional
        Where to write instead. The bar shows only where this is a terminal.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stderr
        self._bar: Any = None

    def on_train_begin(self, engine: Engine) -> None:
        """Open the bar."""
        from tqdm import tqdm

        self._bar = tqdm(
            total=engine.total_steps * engine.tokens_per_step,
            unit=" tokens",
            unit_scale=True,
            file=self._file,
            disable=None,
            dynamic_ncols=True,
            leave=False,
            bar_format="{desc} |{bar}| {percentage:3.0f}%  {rate_fmt}{postfix}, {remaining} left",
        )

    def on_step_end(self, engine: Engine) -> None:
        """Move the bar on."""
        where = f"epoch {engine.epoch}/{engine.settings.epochs}"
        self._bar.set_description_str(where, refresh=False)
        self._bar.set_postfix_str(f"loss {engine.history.step_losses[-1]:.3f}", refresh=False)
        self._bar.update(engine.tokens_per_step)

    def on_epoch_end(self, engine: Engine) -> None:
        """Write the epoch's line above the bar."""
        record = engine.history.records[-1]
        self._bar.write(
            f"epoch {record.epoch}/{engine.settings.epochs}  train {record.train_loss:.4f}  "
            f"valid {record.valid_loss:.4f} nats a token  "
            f"{record.tokens_per_second:,.0f} tokens/s  {record.seconds:.0f} s",
            file=self._file,
        )

    def on_train_end(self, engine: Engine) -> None:
        """Take the bar away."""
        if self._bar is not None:  # Ctrl-C may come before it is there
            self._bar.close()
