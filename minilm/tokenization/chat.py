"""Conversations as one text, by a model's template."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

END = "\ufdd0"  # stands where an open message breaks off; a character that no text is to hold


class ChatTemplate:
    """A tokenizer's templates for conversations."""

    chat_template: str | Mapping[str, str] | None
    special_tokens_map: Any

    def apply_chat_template(
        self,
        conversation: Sequence[Any],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, str]] | None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = True,
        padding: bool | str = False,
        truncation: bool | str = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_dict: bool = True,
        **variables: Any,
    ) -> Any:
        """Turn a conversation into the text that the model was trained to continue.

        Parameters
        ----------
        conversation : sequence of mapping
            Messages, each with ``role`` and ``content``; or several conversations.
        tools, documents : sequence of mapping, optional
            What the template says of tools that the model may call, and of texts to go by.
        chat_template : str, optional
            Instead of the tokenizer's own; or the name of one, where it has several.
        add_generation_prompt : bool
            Whether to end with the start of an answer.
        continue_final_message : bool
            Whether to leave the last message open, for the model to go on with.
        tokenize : bool
            Whether to return ids; else the text.
        padding, truncation, max_length, return_tensors
            As in a call of the tokenizer.
        return_dict : bool
            Whether to return a `BatchEncoding`; else ids alone.
        **variables
            Further names that the template knows.

        Raises
        ------
        ValueError
            If there is no template, or it refuses the conversation.
        ImportError
            If ``jinja2`` is missing.
        """
        if add_generation_prompt and continue_final_message:
            raise ValueError(
                "add_generation_prompt begins an answer, continue_final_message goes on with the "
                "last message: choose one"
            )
        several = _is_several(conversation)
        template = self.get_chat_template(chat_template, tools)
        names = {
            **self.special_tokens_map,
            **variables,
            "tools": tools,
            "documents": documents,
            "add_generation_prompt": add_generation_prompt,
        }
        texts = [
            _render(template, messages, names, continue_final_message)
            for messages in (conversation if several else [conversation])
        ]
        found: Any = texts if several else texts[0]
        if not tokenize:
            return found
        encoding = self(  # type: ignore[operator]
            found,
            add_special_tokens=False,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            return_tensors=return_tensors,
        )
        return encoding if return_dict else encoding["input_ids"]

    def get_chat_template(self, chat_template: str | None = None, tools: Any = None) -> str:
        """Return the template to use: the one given, or the tokenizer's.

        Raises
        ------
        ValueError
            If there is none, or there are several and none is named.
        """
        own = self.chat_template
        if isinstance(own, Mapping):
            name = chat_template or ("tool_use" if tools and "tool_use" in own else "default")
            if name in own:
                return own[name]
            if chat_template is None:
                raise ValueError(
                    f"this tokenizer has several templates, {', '.join(own)}: name one, "
                    "chat_template=..."
                )
        template = chat_template or own
        if not isinstance(template, str):
            raise ValueError(
                "this tokenizer has no chat template: its model was not made for conversations. "
                "Pass chat_template=..., or write the text that the model is to go on from yourself"
            )
        return template


def _is_several(conversation: Sequence[Any]) -> bool:
    if isinstance(conversation, str) or not conversation:
        raise ValueError(
            "a conversation is a list of messages, {'role': 'user', 'content': '...'}, at least "
            f"one; got {conversation!r:.60}"
        )
    return not isinstance(conversation[0], Mapping)


def _render(
    template: str, messages: Sequence[Any], names: Mapping[str, Any], open_end: bool
) -> str:
    compiled = _compile(template)
    from jinja2 import TemplateError

    for number, message in enumerate(messages):
        if not isinstance(message, Mapping) or "role" not in message:
            raise ValueError(
                f"message {number}: expected a mapping with 'role' and 'content'; got "
                f"{message!r:.60}"
            )
    messages = [dict(message) for message in messages]
    if open_end:
        messages[-1]["content"] = f"{messages[-1].get('content', '')}{END}"
    try:
        text = str(compiled.render(messages=messages, **names))
    except TemplateError as error:
        raise ValueError(f"the chat template refuses this conversation: {error}") from None
    except (TypeError, KeyError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"the chat template fails: {type(error).__name__}: {error}") from None
    if not open_end:
        return text
    before, found, _ = text.rpartition(END)
    if not found:
        raise ValueError("continue_final_message: the template does not write the last message")
    return before


@lru_cache(maxsize=16)
def _compile(template: str) -> Any:
    """Compile a template, in which only what is harmless can be called."""
    try:
        import jinja2
    except ImportError:
        raise ImportError(
            "a chat template needs jinja2, which is not installed: pip install 'minilm[chat]'"
        ) from None
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """``{% generation %}`` marks what the model is to learn; it is written as it stands."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    try:
        return environment.from_string(template)
    except jinja2.TemplateError as error:
        raise ValueError(f"the chat template is damaged: {error}") from None


def _refuse(message: str) -> NoReturn:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    """Write JSON as it is; Jinja's own filter would make it safe for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)
