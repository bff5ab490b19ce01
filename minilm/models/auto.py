"""Configurations and models by what a folder says that it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NoReturn

from minilm.models.awd_lstm import AWDLSTM
from minilm.models.base import LanguageModel
from minilm.models.configuration import DistilBertConfig, GPT2Config, LlamaConfig
from minilm.models.distilbert import DistilBertForSequenceClassification, DistilBertModel
from minilm.models.errors import FolderError
from minilm.models.gpt2 import GPT2LMHeadModel, GPT2Model
from minilm.models.llama import LlamaForCausalLM, LlamaModel
from minilm.models.pretrained import PretrainedModel
from minilm.models.pretrained_config import PretrainedConfig
from minilm.models.rnn import RNNModel

CONFIGS: dict[str, type[PretrainedConfig]] = {
    config.model_type: config for config in (GPT2Config, LlamaConfig, DistilBertConfig)
}
LANGUAGE_MODELS: tuple[type[LanguageModel], ...] = (
    RNNModel,
    AWDLSTM,
    GPT2LMHeadModel,
    LlamaForCausalLM,
)
CLASSIFIERS: tuple[type[PretrainedModel], ...] = (DistilBertForSequenceClassification,)
BASES: tuple[type[PretrainedModel], ...] = (GPT2Model, LlamaModel, DistilBertModel)


def model_class(settings: dict[str, Any], path: Path) -> type[PretrainedModel]:
    """Return the class of the model that a ``config.json`` describes.

    Raises
    ------
    FolderError
        If there is none; the message names what there is.
    """
    models = (*LANGUAGE_MODELS, *CLASSIFIERS, *BASES)
    kind = settings.get("model_type")
    of_kind = [model for model in models if model.model_type == kind]
    if not of_kind:
        kinds = dict.fromkeys(model.model_type for model in models)
        raise FolderError(f"{path}: model_type must be one of {', '.join(kinds)}; got {kind!r}")
    wanted = settings.get("architectures") or [of_kind[0].__name__]
    for model in of_kind:
        if model.__name__ in wanted:
            return model
    raise FolderError(
        f"{path}: the architecture {wanted} is not supported; of type {kind!r} there are "
        f"{', '.join(model.__name__ for model in of_kind)}. One of these may load it: "
        f"{of_kind[0].__name__}.from_pretrained(folder) takes what it needs"
    )


class AutoConfig:
    """The configuration of any folder."""

    def __init__(self) -> None:
        _refuse_making(type(self))

    @staticmethod
    def from_pretrained(name_or_path: str | Path, **options: Any) -> PretrainedConfig:
        """Read ``config.json`` of a folder, or of a model on the hub.

        Parameters are those of :meth:`PretrainedConfig.from_pretrained`.

        Raises
        ------
        FolderError
            If the file is missing or damaged, or describes a model that is not supported.
        HubError
            If a hub name cannot be had.
        """
        from minilm.models.folder import CONFIG, config_from, read_config
        from minilm.models.hub import resolve, split_options

        hub, overrides = split_options(options)
        folder = resolve(name_or_path, patterns=(CONFIG,), **hub)
        settings = read_config(folder)
        kind = settings.get("model_type")
        if kind not in CONFIGS:
            raise FolderError(
                f"{folder / CONFIG}: model_type must be one of {', '.join(CONFIGS)}; got {kind!r}"
            )
        return config_from(CONFIGS[kind], settings, folder, overrides)


class _AutoModel:
    """A model of one kind, of any architecture."""

    models: ClassVar[tuple[type[PretrainedModel], ...]]

    def __init__(self) -> None:
        _refuse_making(type(self))

    @classmethod
    def from_config(cls, config: PretrainedConfig) -> Any:
        """Make a model with new weights.

        Raises
        ------
        TypeError
            If there is none for this configuration; the message names those that there are.
        """
        for model in cls.models:
            if model.config_class is type(config):
                return model(config)
        known = [m.config_class.__name__ for m in cls.models if m.config_class is not None]
        raise TypeError(
            f"{cls.__name__} makes models of {', '.join(known)}; got a {type(config).__name__}"
        )

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        config: PretrainedConfig | None = None,
        load_in_8bit: bool = False,
        **options: Any,
    ) -> Any:
        """Load from a folder, or from the hub, in evaluation mode.

        Parameters are those of :meth:`PretrainedModel.from_pretrained`.

        Raises
        ------
        FolderError
            If a file is missing or damaged, the weights do not fit, or the architecture is not
            supported; then the message names those that are.
        HubError
            If a hub name cannot be had.
        TypeError, ValueError
            As :meth:`PretrainedModel.from_pretrained`.
        """
        from minilm.models.eight_bit import check_has_8bit, checked_8bit
        from minilm.models.folder import CONFIG, load_model, read_config
        from minilm.models.hub import resolve, split_options

        hub, overrides = split_options(options)
        overrides = checked_8bit(load_in_8bit, overrides)
        folder = resolve(name_or_path, **hub)
        kind = read_config(folder).get("model_type")
        for model in cls.models:
            if model.model_type == kind:
                if load_in_8bit:
                    check_has_8bit(model)
                loaded: Any = load_model(folder, model, config, overrides)
                return loaded.quantize() if load_in_8bit else loaded
        supported = [f"{model.model_type} ({model.__name__})" for model in cls.models]
        raise FolderError(
            f"{folder / CONFIG}: {cls.__name__} loads models of type {', '.join(supported)}; got "
            f"{kind!r}"
        )


class AutoModelForCausalLM(_AutoModel):
    """A language model of any architecture.

    Examples
    --------
    >>> model = AutoModelForCausalLM.from_pretrained("gpt2")
    """

    models = LANGUAGE_MODELS


class AutoModelForSequenceClassification(_AutoModel):
    """A classifier of texts of any architecture."""

    models = CLASSIFIERS


def _refuse_making(cls: type) -> NoReturn:
    raise TypeError(f"{cls.__name__} is not made itself: call {cls.__name__}.from_pretrained(...)")
