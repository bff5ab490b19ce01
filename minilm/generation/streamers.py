"""Text that is shown while it is written. Names and meanings are Hugging Face's."""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from typing import Any, Protocol, Self

import numpy as np


class BaseStreamer(Protocol):
    """Is given the prompt, then each new token, as soon as they are known."""

    def put(self, value: np.ndarray) -> None:
        """Take ids: the prompt ``(batch, time)`` first, then each new column ``(batch,)``."""

    def end(self) -> None:
        """Take notice that no more will come."""


class ColumnStreamer:
    """Calls a function with each new column of ids ``(batch,)``.

    Parameters
    ----------
    on_token : callable
        The function.
    """

    def __init__(self, on_token: Callable[[np.ndarray], object]) -> None:
        self._on_token = on_token
        self._prompt_came = False

    def put(self, value: np.ndarray) -> None:
        """Hand a column over; the prompt, which comes first, is not one."""
        if self._prompt_came:
            self._on_token(value)
        self._prompt_came = True

    def end(self) -> None:
        """Do nothing."""


class TextStreamer:
    r"""Prints text as it is written, and a line end behind it.

    Pieces are those that no later token changes, so that a character of several tokens comes whole.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer or object with ``backend_tokenizer``
        The one that the model was trained with.
    skip_prompt : bool
        Leave the prompt out.
    skip_special_tokens : bool
        Leave out tokens such as those that end a text.

    Examples
    --------
    >>> model.generate(ids, streamer=TextStreamer(tokenizer))  # doctest: +SKIP
    """

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, *, skip_special_tokens: bool = False
    ) -> None:
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.skip_special_tokens = skip_special_tokens
        self._start()

    def _start(self) -> None:
        from tokenizers.decoders import DecodeStream

        self._decoder = DecodeStream(skip_special_tokens=self.skip_special_tokens)
        self._ids: list[int] = []  # that no piece stands for so far
        self._in_prompt = True

    def put(self, value: np.ndarray) -> None:
        """Take ids of one text, ``(1, time)`` or ``(1,)``.

        Raises
        ------
        ValueError
            If there are several texts: only one can be printed.
        """
        value = np.asarray(value)
        if value.ndim > 1 and len(value) > 1 or value.ndim == 1 and len(value) > 1:
            raise ValueError(f"a TextStreamer takes one text at a time; got {len(value)}")
        backend = getattr(self.tokenizer, "backend_tokenizer", self.tokenizer)
        pieces = []
        for token in value.ravel().tolist():
            self._ids.append(token)
            piece = self._decoder.step(backend, token)
            if piece is not None:
                pieces.append(piece)
                self._ids.clear()
        if pieces and not (self._in_prompt and self.skip_prompt):
            self.on_finalized_text("".join(pieces))
        self._in_prompt = False

    def end(self) -> None:
        """Give what is left, as far as it can be decoded, and be ready for another text."""
        backend = getattr(self.tokenizer, "backend_tokenizer", self.tokenizer)
        rest = backend.decode(self._ids, skip_special_tokens=self.skip_special_tokens)
        self._start()
        self.on_finalized_text(rest, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Print a piece; a subclass may do something else with it."""
        print(text, end="\n" if stream_end else "", flush=True)


class TextIteratorStreamer(TextStreamer):
    """Gives the pieces of a text to a loop, while another thread writes it.

    Parameters
    ----------
    tokenizer, skip_prompt, skip_special_tokens
        As for :class:`TextStreamer`.
    timeout : float, optional
        Seconds to wait for a piece before ``queue.Empty`` is raised; by default for ever.

    Examples
    --------
    >>> streamer = TextIteratorStreamer(tokenizer)  # doctest: +SKIP
    >>> Thread(target=model.generate, args=[ids], kwargs={"streamer": streamer}).start()
    >>> for piece in streamer:
    ...     print(piece, end="")
    """

    def __init__(
        self,
        tokenizer: Any,
        skip_prompt: bool = False,
        timeout: float | None = None,
        *,
        skip_special_tokens: bool = False,
    ) -> None:
        super().__init__(tokenizer, skip_prompt, skip_special_tokens=skip_special_tokens)
        self.timeout = timeout
        self._queue: Queue[str | None] = Queue()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Put a piece into the queue."""
        self._queue.put(text)
        if stream_end:
            self._queue.put(None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        piece = self._queue.get(timeout=self.timeout)
        if piece is None:
            raise StopIteration
        return piece
