"""What all configurations have in common: fields under Hugging Face's names, checked and saved.

A configuration is read from the ``config.json`` of a folder and written there. Such files hold
more than a model needs. Keys that do not matter are kept, and written again. A key that would
change what is computed, in a way that minilm does not compute, is refused by name.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from minilm.models import values


@dataclass(init=False, repr=False)
class PretrainedConfig:
    """Settings that all configurations have.

    Parameters
    ----------
    **settings
        Any of the fields below, and those of the subclass; ``num_labels`` stands for as many
        labels called ``LABEL_0``, ``LABEL_1``, ...

    Attributes
    ----------
    architectures : list of str or None
        The class of the model, in ``config.json``.
    bos_token_id, eos_token_id, pad_token_id : int or None
        Ids of the tokens that begin and end a text, and fill up a batch.
    tie_word_embeddings : bool
        Whether the head's weight is that of the token embedding.
    output_attentions, output_hidden_states : bool
        What a model returns beside its logits.
    id2label, label2id : dict
        Names of the classes, and back.
    problem_type : str or None
        ``"regression"``, ``"single_label_classification"``, ``"multi_label_classification"``, or
        None to tell it from the labels.
    extra : dict
        What the file held beside all this; kept, and written again.

    Raises
    ------
    TypeError
        If a setting is unknown; the message names the nearest one.
    ValueError
        If a value is out of range, or asks for something that is not computed.
    """

    model_type: ClassVar[str] = ""
    attribute_map: ClassVar[dict[str, str]] = {}
    # What each field must be: functions of `minilm.models.values`, by the fields' names.
    rules: ClassVar[dict[str, values.Check]] = {}
    # Keys that files may hold, and the only values for which the model is the one computed here.
    computed: ClassVar[dict[str, tuple[Any, ...]]] = {}
    # Keys that are known to change nothing here.
    harmless: ClassVar[frozenset[str]] = frozenset()

    architectures: list[str] | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True
    output_attentions: bool = False
    output_hidden_states: bool = False
    id2label: dict[int, str] | None = None
    label2id: dict[str, int] | None = None
    problem_type: str | None = None

    def __init__(self, **settings: Any) -> None:
        self._set(self._asked_for(settings))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], **overrides: Any) -> Self:
        """Make a configuration of what a ``config.json`` holds.

        Parameters
        ----------
        settings : mapping
            Keys and values of the file; unknown keys are kept in ``extra``.
        **overrides
            Settings that replace those of the file.

        Raises
        ------
        TypeError
            If an override is unknown.
        ValueError
            If a value is out of range, or asks for something that is not computed.
        """
        asked = cls._asked_for(overrides)
        given = cls._named(settings)
        if "num_labels" in asked:  # then the names of other labels do not count
            given = {k: v for k, v in given.items() if k not in ("id2label", "label2id")}
        config = cls.__new__(cls)
        config._set(given | asked)
        return config

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Read ``config.json`` of a folder, or of a model on the hub.

        Parameters
        ----------
        name_or_path : str or Path
            A folder, or a hub name such as ``"distilgpt2"``.
        **options
            ``revision``, ``token``, ``cache_dir``, ``local_files_only``: see
            :func:`minilm.models.hub.resolve`. All others replace settings of the file.

        Raises
        ------
        FolderError
            If the file is missing, damaged, or of another type of model.
        HubError
            If a hub name cannot be had.
        """
        from minilm.models.auto import AutoConfig
        from minilm.models.folder import FolderError

        config = AutoConfig.from_pretrained(name_or_path, **options)
        if not isinstance(config, cls):
            raise FolderError(
                f"{name_or_path} holds a model of type {config.model_type!r}, not "
                f"{cls.model_type!r}; AutoConfig reads any"
            )
        return config

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` into a folder, which is made when missing."""
        from minilm.atomic import atomic_write, make_folder
        from minilm.json_text import to_json

        path = make_folder(folder) / "config.json"
        text = to_json(self.to_dict()).encode("utf-8")
        atomic_write(path, lambda file: file.write(text))

    def to_dict(self) -> dict[str, Any]:
        """Return what belongs into ``config.json``."""
        settings = {f.name: copy.deepcopy(getattr(self, f.name)) for f in dataclasses.fields(self)}
        if self.id2label == _labels(2):  # the default, which Hugging Face leaves out, too
            del settings["id2label"], settings["label2id"]
        for name in ("architectures", "problem_type", "output_attentions", "output_hidden_states"):
            if not settings[name]:
                del settings[name]
        return {"model_type": self.model_type, **settings, **copy.deepcopy(self.extra)}

    @property
    def num_labels(self) -> int:
        """How many classes a classifier tells apart."""
        return len(self.id2label or ())

    # --- inside ---

    @classmethod
    def _named(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings under the fields' own names."""
        return {
            cls.attribute_map.get(name, name): value
            for name, value in settings.items()
            if name != "model_type"
        }

    @classmethod
    def _asked_for(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings under their own names; refuse those that nobody knows."""
        asked = cls._named(settings)
        known = set(_fields(cls)) | {"num_labels"} | values.HARMLESS | cls.harmless
        for name in asked:
            if name not in known | set(values.COMPUTED | cls.computed):
                raise TypeError(f"{cls.__name__} has no setting {name!r}{_hint(cls, name)}")
        return asked

    def _set(self, settings: Mapping[str, Any]) -> None:
        """Take settings over, each checked; what is no field goes to ``extra``."""
        for name, allowed in (values.COMPUTED | self.computed).items():
            if name in settings and settings[name] not in allowed:
                raise ValueError(
                    f"{name} is {settings[name]!r}, which changes what the model computes; minilm "
                    f"computes only {' or '.join(repr(value) for value in allowed)}"
                )
        fields = _fields(type(self))
        self.extra = {
            name: copy.deepcopy(value)
            for name, value in settings.items()
            if name not in fields and name != "num_labels"
        }
        for name, default in fields.items():
            setattr(self, name, copy.deepcopy(settings.get(name, default)))
        self._set_labels(settings.get("num_labels"))
        for name, check in (values.COMMON | self.rules).items():
            setattr(self, name, check(name, getattr(self, name)))
        self._check()

    def _set_labels(self, count: int | None) -> None:
        if self.id2label is None:
            self.id2label = _labels(2 if count is None else values.size("num_labels", count))
        self.id2label = values.labels("id2label", self.id2label)
        if count is not None and count != self.num_labels:
            raise ValueError(f"num_labels is {count}, but id2label names {self.num_labels}")
        if self.label2id is None:
            self.label2id = {label: index for index, label in self.id2label.items()}

    def _check(self) -> None:
        """Refuse settings that do not fit each other."""

    def __getattr__(self, name: str) -> Any:  # only called for what is no field
        own = type(self).attribute_map.get(name)
        if own is not None:
            return getattr(self, own)
        extra = self.__dict__.get("extra", {})
        if name in extra:
            return extra[name]
        raise AttributeError(
            f"{type(self).__name__} has no setting {name!r}{_hint(type(self), name)}"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, type(self).attribute_map.get(name, name), value)

    def __repr__(self) -> str:
        from minilm.json_text import to_json

        return f"{type(self).__name__} {to_json(self.to_dict())}"


def _fields(cls: type[PretrainedConfig]) -> dict[str, Any]:
    """Return the fields of a configuration and their defaults."""
    return {field.name: field.default for field in dataclasses.fields(cls)}


def _labels(count: int) -> dict[int, str]:
    return {index: f"LABEL_{index}" for index in range(count)}


def _hint(cls: type[PretrainedConfig], name: str) -> str:
    near = difflib.get_close_matches(name, [*_fields(cls), *cls.attribute_map], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
