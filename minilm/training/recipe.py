"""What a run was asked to do: its folder's ``run.json``, from which it can be done again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from minilm.atomic import atomic_write
from minilm.json_text import to_json
from minilm.models import from_pretrained, load_tokenizer
from minilm.training.architectures import build_model
from minilm.training.arguments import check_names
from minilm.training.corpus import Corpus, make_corpus, source_loss
from minilm.training.settings import Architecture, Settings

RECIPE = "run.json"
STORIES = "stories"  # the name of the text that the package carries


@dataclass(frozen=True)
class Recipe:
    """A text, what to train on it, and how.

    Attributes
    ----------
    data : str
        The path of a UTF-8 text, "-" for standard input, or "stories".
    level : str
        "char", "word" or "bpe".
    architecture : Architecture
    settings : Settings
    vocab_size : int, optional
        Most token types to have.
    init : str, optional
        A model's folder to train on from; its tokenizer and architecture are taken.
    """

    data: str = STORIES
    level: str = "word"
    architecture: Architecture = field(default_factory=Architecture)
    settings: Settings = field(default_factory=Settings)
    vocab_size: int | None = None
    init: str | None = None

    def corpus(self) -> tuple[Corpus, float | None]:
        """Read the text and cut it.

        Returns
        -------
        corpus : Corpus
        best_possible : float or None
            The loss of a perfect model on its validation tokens, where that is known.

        Raises
        ------
        OSError, ValueError
            If the text cannot be read, or there is nothing in it.
        """
        if self.data == STORIES:
            from minilm.data.stories import stories

            text = stories()
            corpus = self._cut(text)
            known = self.vocab_size is None and self.init is None and self.level != "bpe"
            return corpus, source_loss(corpus, text) if known else None
        from minilm.data.text import read_text

        return self._cut(read_text(self.data)), None

    def _cut(self, text: str) -> Corpus:
        tokenizer = None if self.init is None else load_tokenizer(self.init)
        return make_corpus(
            text, self.level, self.name, vocab_size=self.vocab_size, tokenizer=tokenizer
        )

    def model(self, vocab_size: int) -> Any:
        """Make the model, or load the one to train on from.

        Raises
        ------
        FolderError, ValueError
            If there is none that can be loaded, it cannot read windows of this length, or sizes do
            not fit the kind.
        """
        window = self.settings.seq_len
        if self.init is None:
            return build_model(self.architecture, vocab_size, window, self.level)
        model = from_pretrained(self.init)
        if model.max_length is not None and window > model.max_length:
            raise ValueError(
                f"{self.init} reads at most {model.max_length} tokens at once, but --seq-len is "
                f"{window}"
            )
        return model

    @property
    def name(self) -> str:
        """What the text is called in messages and reports."""
        return "standard input" if self.data == "-" else Path(self.data).name

    def save(self, folder: Path) -> None:
        """Write it into a run's folder, with the whole path of its text."""
        values = asdict(self)
        if self.data not in (STORIES, "-"):
            values["data"] = str(Path(self.data).resolve())
        if self.init is not None:
            values["init"] = str(Path(self.init).resolve())
        text = to_json(values).encode("utf-8")
        atomic_write(folder / RECIPE, lambda file: file.write(text))


def load_recipe(folder: str | Path) -> Recipe:
    """Read the recipe of a run's folder.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is damaged, or has a key that is not known.
    """
    path = Path(folder) / RECIPE
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        message = "no run of minilm train to go on with"
        raise FileNotFoundError(2, message, str(folder)) from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    return make_recipe(values, str(path))


def make_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """Make a recipe of names and values, as JSON or TOML has them.

    Raises
    ------
    ValueError
        If there is a name that is not known; the message gives the nearest.
    """
    check_names(where, values, [one.name for one in fields(Recipe)])
    parts: dict[str, Any] = dict(values)
    for name, kind in (("architecture", Architecture), ("settings", Settings)):
        given = parts.get(name, {})
        check_names(f"{name} in {where}", given, [one.name for one in fields(kind)])
        parts[name] = kind(**given)
    return Recipe(**parts)
