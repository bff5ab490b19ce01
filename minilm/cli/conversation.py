"""A conversation with a model: what was said, what of it the model still reads, its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minilm.data.vocab import UNKNOWN
from minilm.generation import TextStreamer, generate

# Of the positions, as much is kept free for an answer before old turns are dropped for more.
ANSWER_SHARE = 4


class Conversation:
    """Messages, and answers to them.

    Parameters
    ----------
    model : LanguageModel
        What answers.
    tokenizer : PreTrainedTokenizerFast
        Its own, with a chat template.
    system : str, optional
        What the model is told before anything else.
    max_tokens : int
        The length of an answer, at most.
    seed : int
        The same seed gives the same answers to the same messages.
    **options
        Of :func:`minilm.generation.generate`, such as ``temperature``.

    Attributes
    ----------
    messages : list of dict
        The history: ``role`` and ``content``.

    Raises
    ------
    ValueError
        If the tokenizer has no template, the template refuses such conversations, or the tokenizer
        knows tokens that the model has not.
    ImportError
        If ``jinja2`` is missing.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        system: str | None = None,
        *,
        max_tokens: int = 512,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._system = [] if system is None else [{"role": "system", "content": system}]
        self._max_tokens = max_tokens
        self._seed = seed
        self._answers = 0
        self._vocab_size = _vocab_size(model, tokenizer)
        self._options = {"num_beams": 1, **options, **self._ends()}
        self.messages: list[dict[str, str]] = []
        self.reset()
        self._ids([*self.messages, {"role": "user", "content": "?"}])  # what fails, fails now

    def reset(self) -> None:
        """Forget all that was said, but not what the model was told first."""
        self.messages = list(self._system)

    def ignores_system(self) -> bool:
        """Tell whether the template leaves out what the model is told first."""
        if not self._system:
            return False
        told = self._tokenizer.apply_chat_template(
            [*self._system, {"role": "user", "content": "?"}], tokenize=False
        )
        return self._system[0]["content"].strip() not in told

    def ask(self, text: str, write: Callable[[str], object], say: Callable[[str], object]) -> str:
        """Answer a message; what was asked and answered becomes part of the history.

        Ctrl-C ends the answer. What was written until then stays.

        Parameters
        ----------
        text : str
            The message.
        write : callable
            Is given each piece of the answer as soon as it is known.
        say : callable
            Is given a line that tells of turns that were dropped, or an answer that was cut off.

        Returns
        -------
        str
            The answer.

        Raises
        ------
        ValueError
            If the message alone has more tokens than the model has positions, or the template
            refuses it. The history stays as it was.
        """
        kept, ids, dropped = self._fitted([*self.messages, {"role": "user", "content": text}])
        if dropped:
            turns = "the oldest turn is" if dropped == 1 else f"the {dropped} oldest turns are"
            say(f"{turns} dropped: the model reads {self._model.max_length} tokens at most")
        room = self._room(len(ids))
        streamer = _Answer(self._tokenizer, write)
        was_stopped = False
        try:
            generate(
                self._model,
                ids,
                room,
                streamer=streamer,
                seed=self._seed + self._answers,
                **self._options,
            )
        except KeyboardInterrupt:
            was_stopped = True
        self._answers += 1
        self.messages = [*kept, {"role": "assistant", "content": streamer.text}]
        if was_stopped:
            say("stopped")
        elif self._options["eos_token_id"] is not None and not self._ended(streamer.last):
            reason = "no position is left" if room < self._max_tokens else "--max-tokens"
            say(f"the answer is cut off after {room} tokens: {reason}")
        return streamer.text

    # --- inside ---

    def _ids(self, messages: list[dict[str, str]]) -> list[int]:
        ids: list[int] = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
        return ids

    def _fitted(
        self, messages: list[dict[str, str]]
    ) -> tuple[list[dict[str, str]], list[int], int]:
        """Drop the oldest turns until there is room; return messages, ids, how many went."""
        ids, dropped = self._ids(messages), 0
        longest = self._model.max_length
        if longest is None:
            return messages, ids, 0
        reserve = max(1, min(self._max_tokens, longest // ANSWER_SHARE))
        while len(ids) + reserve > longest:
            later = self._without_oldest(messages)
            if later is None:
                break
            messages, dropped = later, dropped + 1
            ids = self._ids(messages)
        if len(ids) >= longest:
            raise ValueError(
                f"the message is too long: with what the template adds it has {len(ids)} tokens, "
                f"and the model reads {longest}, its answer included; send a shorter one"
            )
        return messages, ids, dropped

    def _without_oldest(self, messages: list[dict[str, str]]) -> list[dict[str, str]] | None:
        """Return messages without the first turn, if it is not the last one, too.

        A turn is a message and its answer: templates want them to alternate.
        """
        start = len(self._system)
        if len(messages) - start < 3:
            return None
        return [*messages[:start], *messages[start + 2 :]]

    def _room(self, length: int) -> int:
        longest = self._model.max_length
        # The last token that is written is not read.
        return self._max_tokens if longest is None else min(self._max_tokens, longest - length + 1)

    def _ends(self) -> dict[str, Any]:
        """Return the options that say what ends an answer: what model or tokenizer end a text with.

        Ids behind the vocabulary are those of a published model's configuration.
        """
        ids = [*self._model.generation_config.eos_ids, self._tokenizer.eos_token_id]
        ends = [i for i in dict.fromkeys(ids) if i is not None and i < self._vocab_size]
        unknown = self._tokenizer.backend_tokenizer.token_to_id(UNKNOWN)
        return {
            "eos_token_id": ends or None,
            "pad_token_id": ends[0] if ends else None,
            "suppress_tokens": None if unknown is None or unknown in ends else [unknown],
        }

    def _ended(self, token: int | None) -> bool:
        return token in (self._options["eos_token_id"] or ())


class _Answer(TextStreamer):
    """Hands the pieces of an answer over, and keeps them."""

    def __init__(self, tokenizer: Any, write: Callable[[str], object]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._write = write
        self.text = ""
        self.last: int | None = None

    def put(self, value: np.ndarray) -> None:
        """Take ids."""
        self.last = int(np.asarray(value).ravel()[-1])
        super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Take a piece."""
        if text:
            self.text += text
            self._write(text)


def _vocab_size(model: Any, tokenizer: Any) -> int:
    """Return how many tokens a model has; refuse a tokenizer that has more."""
    config = model.config
    size: int = config["vocab_size"] if isinstance(config, dict) else config.vocab_size
    if len(tokenizer) > size:
        raise ValueError(
            f"the tokenizer has {len(tokenizer)} tokens, the model {size}: is it another model's, "
            "or were tokens added to it? model.resize_token_embeddings(len(tokenizer)) adds rows, "
            "which must learn then"
        )
    return size
