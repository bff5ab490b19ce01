"""How a model writes, under Hugging Face's names; kept in ``generation_config.json``."""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from minilm.atomic import atomic_write, make_folder
from minilm.generation.ranges import RULES, is_int
from minilm.json_text import to_json
from minilm.warn import warn_caller

FILE_NAME = "generation_config.json"
DEFAULT_NEW_TOKENS = 50


@dataclass(init=False, eq=True)
class GenerationConfig:
    """Options of :func:`minilm.generation.generate`, with minilm's defaults.

    Names and meanings are Hugging Face's. Three defaults are not: tokens are drawn at random unless
    there are beams (there, `do_sample` is False), from all tokens (there, `top_k` is 50), and 50
    are added (there, 20). A file that ``transformers`` wrote is read with those of
    ``transformers``: such a model writes here what it writes there.

    Parameters
    ----------
    **settings
        Any of the attributes below.

    Attributes
    ----------
    max_new_tokens : int or None
        Tokens to add, at most. None with `max_length` None: 50.
    max_length : int or None
        Tokens of prompt, its padding included, and text together, at most.
    min_new_tokens, min_length : int or None
        Tokens before which no text ends with `eos_token_id`.
    max_time : float or None
        Seconds after which no further token is begun.
    stop_strings : str, list of str or None
        A text ends when its last token completes one of these; needs ``tokenizer=``.
    do_sample : bool or None
        Draw tokens at random, as likely as the model thinks them; False takes the likeliest. None
        is True, but with beams False.
    temperature : float
        Scores are divided by it: below 1 the likely gets likelier, 0 always takes the likeliest.
    top_k : int
        Draw from the k likeliest tokens only; 0 means all.
    top_p : float
        Draw from the fewest likeliest tokens whose probabilities reach this sum; 1 means all.
    min_p : float or None
        Draw from tokens that are at least this share as likely as the likeliest.
    typical_p : float
        Draw from the tokens whose surprise is nearest to what is expected, as many as reach this
        sum of probabilities; 1 means all. Meister et al. 2022, arXiv:2202.00666.
    repetition_penalty : float
        Scores of tokens that are in the text already are divided by it, negative ones multiplied.
        1 changes nothing. Keskar et al. 2019, arXiv:1909.05858, section 4.1.
    no_repeat_ngram_size : int
        No n-gram of this size comes twice; 0 means that it may.
    bad_words_ids : list of list of int or None
        Sequences of ids that are never completed.
    suppress_tokens : list of int or None
        Ids that are never written.
    num_beams : int
        Texts that are followed side by side, to find one that is likely as a whole.
    length_penalty : float
        A beam's score is its log probability divided by its length to this power, -30 to 30: above
        0 favours long texts, below 0 short ones.
    early_stopping : bool or "never"
        Whether beam search ends as soon as `num_beams` texts have ended. False: when a better one
        is unlikely; ``"never"``: when there cannot be one.
    num_return_sequences : int
        Texts to write for each prompt.
    output_scores, output_logits : bool
        Keep each step's scores, as they were drawn from, and logits, as the model gave them.
    output_attentions, output_hidden_states : bool
        Keep what a transformer returns of each step beside its logits.
    return_dict_in_generate : bool
        Return an object that has them, instead of the ids alone.
    use_cache : bool
        Go on from what the model has read. False reads all again for each token: a slow proof.
    bos_token_id : int or None
        What a text begins with when there is no prompt.
    eos_token_id : int, list of int or None
        A text ends with any of these ids; with an empty list, never.
    pad_token_id : int or None
        What texts that have ended are filled up with; by default the first `eos_token_id`.
    extra : dict
        What the file held beside all this; kept, and written again.

    Raises
    ------
    TypeError
        If a setting is unknown, and the message names the nearest one; or it is one of Hugging
        Face's that is not computed, and would do something.
    ValueError
        If a value is out of range.
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    min_new_tokens: int | None = None
    min_length: int | None = None
    max_time: float | None = None
    stop_strings: str | list[str] | None = None
    do_sample: bool | None = None
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float | None = None
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    bad_words_ids: list[list[int]] | None = None
    suppress_tokens: list[int] | None = None
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    num_return_sequences: int = 1
    output_scores: bool = False
    output_logits: bool = False
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict_in_generate: bool = False
    use_cache: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    def __init__(self, **settings: Any) -> None:
        for name, value in settings.items():
            if name not in DEFAULTS:
                _refuse_unknown(name, value)
        self.extra: dict[str, Any] = {}
        for name, default in DEFAULTS.items():
            value = settings.get(name)  # None stands for the default, as in Hugging Face's files
            setattr(self, name, _plain(default if value is None else value))
        self.validate()

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Make a configuration of what a ``generation_config.json`` holds.

        Parameters
        ----------
        settings : mapping
            Keys and values of the file. Unknown keys are kept in ``extra``; of those that would
            change what Hugging Face writes, or look like a slip, a warning says so. Where
            ``transformers_version`` is among them, what is not given has the default of
            ``transformers``.

        Raises
        ------
        ValueError
            If a value is out of range.
        """
        known = {name: value for name, value in settings.items() if name in DEFAULTS}
        if is_int(known.get("pad_token_id"), -(2**63), -1):
            known["pad_token_id"] = None  # as old files say that there is none
        if "transformers_version" in settings:
            given = {name: value for name, value in known.items() if value is not None}
            known = {**_theirs(given), **given}
        config = cls(**known)
        for name, value in settings.items():
            if name in DEFAULTS:
                continue
            config.extra[name] = copy.deepcopy(value)
            if missed := _not_computed(name, value):
                warn_caller(f"{FILE_NAME}: {missed}")
            elif name not in NOT_COMPUTED and _hint(name, SLIP):
                warn_caller(f"{FILE_NAME}: there is no option {name!r}{_hint(name, SLIP)}")
        return config

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Read ``generation_config.json`` of a model's folder.

        Raises
        ------
        FolderError
            If it is missing or damaged, or a value is out of range.
        """
        from minilm.models.errors import FolderError
        from minilm.models.files import read_json

        path = Path(folder) / FILE_NAME
        settings = read_json(path)
        try:
            return cls.from_dict(settings)
        except (ValueError, OverflowError) as error:
            raise FolderError(f"{path}: {error}") from None

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``generation_config.json`` into a folder, which is made when missing."""
        path = make_folder(folder) / FILE_NAME
        text = to_json(self.to_dict()).encode("utf-8")
        atomic_write(path, lambda file: file.write(text))

    def to_dict(self) -> dict[str, Any]:
        """Return what belongs into ``generation_config.json``: all that is not a default."""
        changes = self.changes()
        if "transformers_version" in self.extra:
            theirs = _theirs(changes)
            kept = {name: getattr(self, name) for name in theirs}  # some are defaults of ours
            changes |= {name: value for name, value in kept.items() if value is not None}
            changes = {n: v for n, v in changes.items() if n not in theirs or v != theirs[n]}
        return {**changes, **copy.deepcopy(self.extra)}

    def changes(self) -> dict[str, Any]:
        """Return the options that are not the defaults."""
        return {
            name: _plain(getattr(self, name))
            for name, default in DEFAULTS.items()
            if getattr(self, name) != default
        }

    def updated(self, options: Mapping[str, Any]) -> Self:
        """Return a copy with other values of some options; None stands for the default.

        Raises
        ------
        TypeError, ValueError
            As for the class.
        """
        config = type(self)(**{**self.changes(), **options})
        config.extra = copy.deepcopy(self.extra)
        return config

    def validate(self) -> None:
        """Check the values.

        Raises
        ------
        ValueError
            If one is out of range; the message says what was expected.
        """
        for name, (fits, expected) in RULES.items():
            value = getattr(self, name)
            if value is not None and not fits(value):
                raise ValueError(f"{name}: expected {expected}, got {value!r}")

    @property
    def eos_ids(self) -> list[int]:
        """The ids that end a text, possibly none."""
        ids = self.eos_token_id
        return [] if ids is None else ids if isinstance(ids, list) else [ids]

    @property
    def fill_id(self) -> int | None:
        """What texts that have ended are filled up with."""
        if self.pad_token_id is not None:
            return self.pad_token_id
        return self.eos_ids[0] if self.eos_ids else None


DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in dataclasses.fields(GenerationConfig)
}


def _theirs(given: Collection[str]) -> dict[str, Any]:
    """Return the defaults of ``transformers`` that are not ours, beside what is given."""
    return {
        "do_sample": False,
        "top_k": 50,
        **({} if "max_length" in given else {"max_new_tokens": 20}),
    }


# Hugging Face's options that are not computed here, and the values with which they do nothing.
NOT_COMPUTED: dict[str, Any] = {
    "assistant_early_exit": None,
    "begin_suppress_tokens": None,
    "constraints": None,
    "diversity_penalty": 0.0,
    "dola_layers": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "exponential_decay_length_penalty": None,
    "force_words_ids": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "guidance_scale": None,
    "num_beam_groups": 1,
    "penalty_alpha": None,
    "prompt_lookup_num_tokens": None,
    "remove_invalid_values": False,
    "renormalize_logits": False,
    "sequence_bias": None,
    "token_healing": False,
    "top_h": None,
    "watermarking_config": None,
}
SLIP = 0.85  # how near an option a key must be to be taken for a mistyped one, 1 for the same


def _refuse_unknown(name: str, value: Any) -> None:
    if name not in NOT_COMPUTED:
        raise TypeError(f"generation has no option {name!r}{_hint(name)}")
    if missed := _not_computed(name, value):
        raise TypeError(
            f"{missed}; a function in logits_processor can change the scores of each step"
        )


def _not_computed(name: str, value: Any) -> str:
    """Say so, if an option would change what Hugging Face writes; else return nothing."""
    if name not in NOT_COMPUTED or value in (None, NOT_COMPUTED[name]):
        return ""
    return f"{name} is {value!r}, which minilm does not compute"


def _plain(value: Any) -> Any:
    """Return a copy of a value as JSON knows it: arrays and tuples become lists."""
    if value is None or type(value) in (bool, int, float, str):  # nearly all: nothing to copy
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return copy.deepcopy(value)


def _hint(name: str, likeness: float = 0.6) -> str:
    near = difflib.get_close_matches(name, DEFAULTS, n=1, cutoff=likeness)
    return f"; did you mean {near[0]!r}?" if near else ""
