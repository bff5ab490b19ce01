"""What every model has that lives in a folder: saving, loading, sharing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, overload

import numpy as np

from minilm import dtypes, nn
from minilm.device import device as device_type
from minilm.models.pretrained_config import PretrainedConfig

if TYPE_CHECKING:
    from minilm.models.summary import Summary


class PretrainedModel(nn.Module):
    """A module that is saved in a folder and loaded from one.

    A subclass gives ``model_type`` (its name in ``config.json``) and ``config`` (what makes it
    again).

    Attributes
    ----------
    config : dict or PretrainedConfig
        Arguments of the class, or its configuration.
    generation_config : GenerationConfig
        How the model writes: ids that begin and end a text, and defaults of ``generate``. Kept in
        ``generation_config.json``.
    """

    model_type: ClassVar[str]
    config_class: ClassVar[type[PretrainedConfig] | None] = None
    base_model_prefix: ClassVar[str] = ""  # where the model without its head is kept
    ignored_weights: ClassVar[re.Pattern[str] | None] = None  # which files hold, and nobody needs
    config: Any

    def __init__(self, config: Any = None) -> None:
        from minilm.generation.config import GenerationConfig

        super().__init__()
        self.config = config
        self.generation_config = GenerationConfig()

    # --- recomputing activations ---

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Keep no activations inside the blocks in training: backward computes them again.

        Each block keeps its input alone, which takes a fraction of the memory and about a third
        more time. The gradients are the same, bit for bit; see
        :func:`minilm.utils.checkpoint.checkpoint`.

        Parameters
        ----------
        gradient_checkpointing_kwargs : dict, optional
            Accepted for code written for Hugging Face's; without effect.

        Raises
        ------
        ValueError
            If the model is not made of such blocks.
        """
        parts = self._parts_that_recompute()
        if not parts:
            raise ValueError(
                f"{type(self).__name__} does not support gradient checkpointing, which is for "
                "transformers; to save memory, lower the batch size (gradient accumulation keeps "
                "what a step sees) or shorten the windows"
            )
        for part in parts:
            part.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        for part in self._parts_that_recompute():
            part.gradient_checkpointing = False

    @property
    def device(self) -> device_type:
        """Where the model is: on the CPU."""
        return device_type("cpu")

    @property
    def dtype(self) -> np.dtype[Any]:
        """What it computes in: float32."""
        return dtypes.float32

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activations are computed again in training."""
        return any(part.gradient_checkpointing for part in self._parts_that_recompute())

    def _parts_that_recompute(self) -> list[Any]:
        return [part for part in self.modules() if hasattr(part, "gradient_checkpointing")]

    def reset_parameters(self, names: list[str] | None = None) -> None:
        """Draw the parameters again, or those of these names."""

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of the tokens' vectors.

        Raises
        ------
        TypeError
            If the class does not say which it is.
        """
        raise TypeError(
            f"{type(self).__name__} does not say where the vectors of its tokens are: its class "
            "needs a method get_input_embeddings that returns the nn.Embedding"
        )

    def get_output_embeddings(self) -> nn.Linear | None:
        """Return the head that scores the tokens, if the model has one."""
        return None

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Embedding:
        """Give the model more tokens, or fewer, as for a tokenizer to which some were added.

        Rows of the embedding and of the head are added or cut off at the end; all others keep their
        bits, and a head that is tied stays so. ``vocab_size`` of the configuration follows. Names,
        defaults and draws are those of `transformers` 5.

        Call it before the optimizer is made: its averages have the old shape.

        Parameters
        ----------
        new_num_tokens : int, optional
            How many tokens there are to be. None: as many as now.
        pad_to_multiple_of : int, optional
            Round that number up to a multiple.
        mean_resizing : bool
            Draw new rows from a normal distribution with the mean of the old ones and 1e-9 times
            their covariance (just the mean, where that is not positive definite, and for biases).
            If not, from N(0, initializer_range^2), biases 0; where a configuration has no
            ``initializer_range``, with the standard deviation of the old embedding.

        Returns
        -------
        nn.Embedding
            The resized table ``(new_num_tokens, width)``.

        Raises
        ------
        ValueError
            If a number is none of at least 1.
        TypeError
            If the model's parts are others than an ``nn.Embedding`` and an ``nn.Linear``, or it is
            quantized.

        Examples
        --------
        >>> model = GPT2LMHeadModel(GPT2Config.from_preset("gpt-nano", vocab_size=65))
        >>> model.resize_token_embeddings(67)
        Embedding(67, 48)
        """
        from minilm.models.resizing import resize_token_embeddings

        return resize_token_embeddings(self, new_num_tokens, pad_to_multiple_of, mean_resizing)

    def summary(
        self, batch_size: int = 1, time: int | None = None, depth: int | None = None
    ) -> Summary:
        """Say what the model is made of; see :func:`minilm.models.summary`."""
        from minilm.models.summary import summary

        return summary(self, batch_size, time, depth)

    def num_parameters(self) -> int:
        """Return how many numbers the model learns; what is shared counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def save_pretrained(self, folder: str | Path, tokenizer: Any = None) -> None:
        """Save into a folder; see :func:`minilm.models.folder.save_pretrained`."""
        from minilm.models.folder import save_pretrained

        save_pretrained(self, folder, tokenizer)

    @overload
    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        config: PretrainedConfig | None = None,
        load_in_8bit: Literal[False] = False,
        **options: Any,
    ) -> Self: ...
    @overload
    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        config: PretrainedConfig | None = None,
        load_in_8bit: bool,
        **options: Any,
    ) -> Any: ...
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

        Parameters
        ----------
        name_or_path : str or Path
            A folder, or a hub name such as ``"distilgpt2"``.
        config : PretrainedConfig, optional
            Instead of the one in the folder.
        load_in_8bit : bool
            Return what ``quantize()`` makes of the model: weights in int8, which read and write but
            do not learn.
        **options
            ``revision``, ``token``, ``cache_dir``, ``local_files_only``: see
            :func:`minilm.models.hub.resolve`. All others replace settings of the configuration,
            as ``num_labels=3``.

        Raises
        ------
        FolderError
            If a file is missing or damaged, or the weights do not fit.
        HubError
            If a hub name cannot be had.
        TypeError
            If the folder holds another kind of model, or there is none of this class in int8.
        ValueError
            If another way to quantize is asked for.
        """
        from minilm.models.eight_bit import check_has_8bit, checked_8bit
        from minilm.models.folder import load_model
        from minilm.models.hub import resolve, split_options

        hub, overrides = split_options(options)
        overrides = checked_8bit(load_in_8bit, overrides)
        if load_in_8bit:
            check_has_8bit(cls)
        model = load_model(resolve(name_or_path, **hub), cls, config, overrides)
        return model.quantize() if load_in_8bit else model

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Share on the hub, with a model card; see :func:`minilm.models.hub.push_to_hub`."""
        from minilm.models.hub import push_to_hub

        return push_to_hub(self, repo_id, **options)
