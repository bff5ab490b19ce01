"""Writing by hand: a person sees what a model thinks likeliest, and says what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

HELP = """\
  3         take the third
  +TEXT     add TEXT, as it stands behind the +
  w, w 40   let the model write: a token, 40 tokens
  b         go back a step
  q         end"""

COUNT = 10  # tokens shown
BAR = 30  # characters of a bar that stands for certainty


class Session:
    """A text in the making.

    Parameters
    ----------
    model : nn.Module
        Says what is likely.
    tokenizer : tokenizers.Tokenizer
        The one that the model was trained with.
    prompt : str
        What the text begins with.
    options : dict
        For :func:`minilm.generation.generate`, where the model writes on; ``seed`` among them.
    """

    def __init__(self, model: Any, tokenizer: Any, prompt: str, options: dict[str, Any]) -> None:
        from minilm.data.tokenizer import encode_text

        self._model = model
        self._tokenizer = tokenizer
        self._options = options
        self._steps: list[list[int]] = [encode_text(tokenizer, prompt).tolist()]
        self._choices: list[int] = []

    @property
    def text(self) -> str:
        """The text so far."""
        return str(self._tokenizer.decode(self._steps[-1], skip_special_tokens=False))

    def show(self) -> Iterator[str]:
        """Yield the lines that show the text and what may come next."""
        from minilm.generation import likeliest

        found = likeliest(self._model, self._context(), COUNT)
        self._choices = [token for token, _ in found]
        names = [self._name(token) for token in self._choices]
        width = max(map(len, names))
        yield f"text: {self.text!r}"
        for number, (name, (_, prob)) in enumerate(zip(names, found, strict=True), 1):
            bar = "#" * round(BAR * prob)
            yield f"{number:3}  {name:{width}}  {100 * prob:5.1f}%  {bar}".rstrip()

    def do(self, command: str) -> str | None:
        """Follow a command; return what is wrong with it, if something is."""
        word, _, rest = command.partition(" ")
        if command.startswith("+"):
            return self._add_text(command[1:])
        if command == "b":
            return self._back()
        if word == "w":
            return self._write(rest.strip() or "1")
        if command.isdecimal():
            return self._choose(int(command))
        return f"no such command: {command!r}\n{HELP}"

    # --- commands ---

    def _choose(self, number: int) -> str | None:
        if not 1 <= number <= len(self._choices):
            return f"take one of 1 to {len(self._choices)}; got {number}"
        self._steps.append([*self._steps[-1], self._choices[number - 1]])
        return None

    def _add_text(self, text: str) -> str | None:
        from minilm.data.tokenizer import encode_text

        ids = encode_text(self._tokenizer, text).tolist()
        if not ids:
            return "there is no text behind the +"
        self._steps.append([*self._steps[-1], *ids])
        return None

    def _back(self) -> str | None:
        if len(self._steps) == 1:
            return "this is the beginning"
        self._steps.pop()
        return None

    def _write(self, count: str) -> str | None:
        from minilm.generation import generate

        if not count.isdecimal() or int(count) == 0:
            return f"how many tokens? w 40, say; got {count!r}"
        context = self._context()
        # Another place in the text is another draw: else each w would repeat the last one's luck.
        options = {**self._options, "seed": self._options["seed"] + len(self._steps[-1])}
        written = generate(self._model, context, int(count), **options).tolist()
        self._steps.append([*self._steps[-1], *written[len(context) :]])
        return None

    # --- inside ---

    def _context(self) -> list[int]:
        """Return what the model reads: before there is text, what a text begins with."""
        from minilm.generation import start_ids

        begin = self._steps[-1]
        return begin if begin else start_ids(self._tokenizer).tolist()

    def _name(self, token: int) -> str:
        """Return how a token looks: its text, or its name where it is no whole character."""
        text = self._tokenizer.decode([token], skip_special_tokens=False)
        if not text or "\ufffd" in text:
            text = self._tokenizer.id_to_token(token)
        return repr(text)


def converse(
    session: Session, lines: Callable[[], str | None], say: Callable[[str], object]
) -> None:
    """Show, ask, follow, until there is no more to follow.

    Parameters
    ----------
    session : Session
        The text.
    lines : callable
        Returns the next line that was typed, or None at the end.
    say : callable
        Prints a line.
    """
    say(HELP)
    shown = False
    while True:
        if not shown:
            for line in session.show():
                say(line)
        command = lines()
        if command is None or command.strip() == "q":
            say(session.text)
            return
        problem = session.do(command.rstrip("\r\n"))
        shown = problem is not None
        if problem is not None:
            say(problem)
