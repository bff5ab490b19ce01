"""Texts that a model writes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minilm.pipelines.text_classification import batches

# Options of a call that say what is returned, not how it is written.
FORM = ("return_full_text", "return_tensors", "skip_special_tokens")


class TextGenerationPipeline:
    """Write on from texts; made by :func:`minilm.pipeline`.

    Parameters
    ----------
    model : LanguageModel
        What writes.
    tokenizer : PreTrainedTokenizerFast
        The one that it was trained with. Texts of a batch are filled up on the left, so that each
        is followed by what is written.
    **options
        For every call.
    """

    task = "text-generation"

    def __init__(self, model: Any, tokenizer: Any, **options: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.options = options

    def __call__(self, text_inputs: Any, **options: Any) -> Any:
        """Write on from a text or a conversation, or from several.

        Parameters
        ----------
        text_inputs : str, list of message, or list of either
            A message is ``{"role": ..., "content": ...}``; the tokenizer's chat template makes a
            text of them.
        return_full_text : bool
            Whether the result begins with what it was written on from.
        return_tensors : bool
            Whether to return ids, ``generated_token_ids``, instead.
        prefix : str
            Put before each text.
        stop_sequence : str or list of str, optional
            Writing ends after any of these.
        skip_special_tokens : bool
            Whether to leave them out of the text.
        batch_size : int
            Texts that are written together.
        **options
            Those of :func:`minilm.generation.generate`: ``max_new_tokens``, ``temperature``,
            ``num_return_sequences``, ``seed``, ...

        Returns
        -------
        list of dict
            ``{"generated_text": ...}``, one for each returned sequence; of several texts a list
            of such lists. From a conversation, the text is the conversation with the answer.

        Raises
        ------
        TypeError
            If it is neither text nor conversation.
        """
        settings = {**self.options, **options}
        stop = settings.pop("stop_sequence", None)
        if stop is not None:
            stops = [stop] if isinstance(stop, str) else list(stop)
            settings |= {"stop_strings": stops, "tokenizer": self.tokenizer}
        form = {name: settings.pop(name) for name in FORM if name in settings}
        prefix, size = settings.pop("prefix", ""), settings.pop("batch_size", 1)
        one = isinstance(text_inputs, str) or _is_chat(text_inputs)
        prompts = [text_inputs] if one else list(text_inputs)
        size = 1 if self.tokenizer.pad_token is None else size  # nothing to fill up with
        results = [
            result
            for batch in batches(prompts, size)
            for result in self._write(batch, prefix, settings, **form)
        ]
        return results[0] if one else results

    def _write(
        self,
        prompts: list[Any],
        prefix: str,
        settings: Mapping[str, Any],
        *,
        return_full_text: bool = True,
        return_tensors: bool = False,
        skip_special_tokens: bool = True,
    ) -> list[list[dict[str, Any]]]:
        ids = [self._encode(prompt, prefix) for prompt in prompts]
        rows, width = self._generate(ids, settings)
        copies = len(rows) // len(prompts)
        results: list[list[dict[str, Any]]] = [[] for _ in prompts]
        for number, row in enumerate(rows):
            prompt, before = prompts[number // copies], ids[number // copies]
            if return_tensors:
                result: dict[str, Any] = {"generated_token_ids": [*before, *row[width:].tolist()]}
            else:
                # Both are decoded together: a letter may be of several tokens.
                start, whole = self.tokenizer.batch_decode(
                    [before, [*before, *row[width:].tolist()]], skip_special_tokens
                )
                text = whole[len(start) :]
                result = {"generated_text": _full(prompt, text) if return_full_text else text}
            results[number // copies].append(result)
        return results

    def _encode(self, prompt: Any, prefix: str) -> list[int]:
        if _is_chat(prompt):
            goes_on = prompt[-1]["role"] == "assistant"
            ids = self.tokenizer.apply_chat_template(
                prompt,
                add_generation_prompt=not goes_on,
                continue_final_message=goes_on,
                return_dict=False,
            )
        elif isinstance(prompt, str):
            ids = self.tokenizer.encode(prefix + prompt)
        else:
            raise TypeError(
                "text-generation takes a text, a conversation (a list of messages with 'role' and "
                f"'content'), or a list of either; got {type(prompt).__name__} ({prompt!r:.60})"
            )
        return list(ids)

    def _generate(
        self, ids: list[list[int]], settings: Mapping[str, Any]
    ) -> tuple[np.ndarray, int]:
        """Return what was written, ``(batch, time)``, and how many columns the prompts take."""
        if not any(ids):  # the model begins on its own
            written = np.asarray(_sequences(self.model.generate(**settings)))
            return np.concatenate([written] * len(ids)), 0
        inputs = self.tokenizer.pad(
            {"input_ids": ids},
            padding=len(ids) > 1,
            padding_side="left",
            return_attention_mask=True,
            return_tensors="np",
        )
        written = self.model.generate(
            inputs["input_ids"], attention_mask=inputs["attention_mask"], **settings
        )
        return np.asarray(_sequences(written)), inputs["input_ids"].shape[1]


def _is_chat(value: Any) -> bool:
    listed = isinstance(value, Sequence) and not isinstance(value, str) and bool(value)
    return listed and all(isinstance(message, Mapping) and "role" in message for message in value)


def _full(prompt: Any, text: str) -> Any:
    """Return the prompt with what was written on."""
    if isinstance(prompt, str):
        return prompt + text
    if prompt[-1]["role"] == "assistant":
        return [*prompt[:-1], {**prompt[-1], "content": prompt[-1]["content"] + text}]
    return [*prompt, {"role": "assistant", "content": text}]


def _sequences(written: Any) -> Any:
    """Return the ids of what `generate` returned, which may have scores with them."""
    return getattr(written, "sequences", written)
