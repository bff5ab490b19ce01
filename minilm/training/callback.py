"""What others may do while a model trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minilm.training.engine import Engine


class Callback:
    """Override what is of interest; each method gets the engine, to read or to stop it."""

    def on_train_begin(self, engine: Engine) -> None:
        """Before the first step."""

    def on_step_end(self, engine: Engine) -> None:
        """After each step; ``engine.step`` counts from 1."""

    def on_epoch_end(self, engine: Engine) -> None:
        """After an epoch's validation; its record is ``engine.history.records[-1]``."""

    def on_train_end(self, engine: Engine) -> None:
        """Last of all, also after an error or Ctrl-C."""
