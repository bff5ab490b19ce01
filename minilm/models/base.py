"""What every neural language model has, so that each part around it is written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minilm import _core
from minilm.models.decoding import SHORT_PROMPT
from minilm.models.pretrained import PretrainedModel
from minilm.tensor import Tensor, as_tensor


def logits_of(output: Any) -> Tensor:
    """Return the logits of a model's output.

    Parameters
    ----------
    output : Tensor or object with ``.logits``
        What a model returned: bare logits, as the tutorial's model gives, or an output that
        holds them beside a loss.

    Returns
    -------
    Tensor
        Logits ``(batch, time, vocab)``.

    Raises
    ------
    TypeError
        If `output` is neither.
    """
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise TypeError(
            "a language model returns its logits (batch, time, vocab) as a Tensor, or an output "
            f"with .logits; got {type(output).__name__}"
        )
    return logits


def read_on(model: Any, ids: Any, state: Any, **more: Any) -> tuple[Tensor, Any]:
    """Run a model over ids, going on from a state where it can carry one.

    Parameters
    ----------
    model : nn.Module
        Maps ids to logits, or to an output with ``.logits``; ``forward_with_state`` is used
        where it exists.
    ids : Tensor or ndarray of int
        Token ids ``(batch, time)``.
    state : object
        What the last call returned; None at the start.
    **more
        Given to ``forward_with_state``.

    Returns
    -------
    logits : Tensor
        ``(batch, time, vocab)``.
    state : object
        To go on from; None for a model that carries none.
    """
    ids = as_tensor(ids)
    if hasattr(model, "forward_with_state"):
        logits, state = model.forward_with_state(ids, state, **more)
        return logits, state
    return logits_of(model(ids)), None


def map_state(function: Callable[[Any], Any], state: Any) -> Any:
    """Apply a function to each part of a model's state.

    Parameters
    ----------
    function : callable
        Takes a part, usually a tensor, and returns another.
    state : object
        One part, or tuples and lists of parts.

    Returns
    -------
    object
        The same tuples and lists of what `function` returned.
    """
    if not isinstance(state, (tuple, list)):
        return function(state)
    parts = [map_state(function, part) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)


def detach_state(state: Any) -> Any:
    """Cut a model's state from the tape: the same values, in the same tuples and lists."""
    return map_state(lambda part: part.detach() if isinstance(part, Tensor) else part, state)


class LanguageModel(PretrainedModel):
    """A module that predicts the next token.

    A subclass gives ``model_type`` (its name in ``config.json``), ``config`` (what makes it again)
    and ``forward(ids, labels=None)``: an output with ``.loss`` and ``.logits`` where labels are
    given, logits or such an output where not. One that can carry a state from one stretch of text
    to the next gives ``forward_with_state(ids, state=None) -> (logits, state)`` too; training,
    evaluation and generation use it where it exists. Its state is cut from the tape, unless it is
    called with ``detach=False``, which windows that are read in pieces ask for
    (:func:`minilm.models.window_loss`). With a parameter ``starts``, the tokens ``(batch, time)``
    that start a document, it reads windows of many short ones in one call.
    """

    @property
    def max_length(self) -> int | None:
        """The longest sequence that the model reads at once; None if any will do."""
        return None

    def penalty(self) -> Tensor | None:
        """Return what training adds to the loss of the last forward pass, and let go of it.

        Models that are regularised through their activations have one: a loop says ::

            loss = criterion(logits.transpose(1, 2), targets)
            penalty = model.penalty()
            if penalty is not None:
                loss = loss + penalty

        Returns
        -------
        Tensor or None
            ``()``, nats a token, on the tape of that forward pass. None if that was not in
            training mode, if this was asked for before, and for all other models. It is no part of
            the loss that is reported or compared. Of a window that was read in pieces, it is that
            of the last one.
        """
        return None

    def _decoder(self) -> _core.Decoder | None:
        """Return the weights as they are now, packed for writing in the core, if they can be."""
        return None

    def _pack(self, int8: bool) -> _core.Decoder:
        """Pack the weights for writing; only of a model that gives a decoder."""
        raise NotImplementedError

    def _read_prompt(
        self, decoder: _core.Decoder, ids: np.ndarray, states: tuple[np.ndarray, ...]
    ) -> None:
        """Bring new states of a decoder to where ids ``(batch, time)`` have been read."""
        if ids.shape[1] <= SHORT_PROMPT:
            decoder.read(ids, states, logits=False)
            return
        _, state = read_on(self, ids, None)
        for ours, part in zip(states, self._decoder_state(state), strict=True):
            ours[...] = part.numpy()

    def _decoder_state(self, state: Any) -> tuple[Tensor, ...]:
        """Return a state of `forward_with_state` as the decoder goes on from it."""
        return state if isinstance(state, tuple) else (state,)

    def generate(
        self, input_ids: Any = None, max_new_tokens: int | None = None, **options: Any
    ) -> Any:
        """Write on from `input_ids`; see :func:`minilm.generation.generate`."""
        from minilm.generation import generate

        return generate(self, input_ids, max_new_tokens, **options)

    def fit(
        self,
        train: Any,
        validation_data: Any = None,
        epochs: float = 1,
        batch_size: int = 32,
        optimizer: Any = "adamw",
        lr: float = 1e-3,
        callbacks: Any = (),
        verbose: str | int = "auto",
        **arguments: Any,
    ) -> Any:
        """Train the model; see :func:`minilm.training.fit`, which returns a ``History``."""
        from minilm.training.fit import fit

        return fit(
            self,
            train,
            validation_data,
            epochs,
            batch_size,
            optimizer,
            lr,
            callbacks,
            verbose,
            **arguments,
        )
