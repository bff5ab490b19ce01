"""The configurations of GPT-2, Llama and DistilBERT, with Hugging Face's names and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from minilm.models import rotary, values
from minilm.models.pretrained_config import PretrainedConfig


@dataclass(init=False, repr=False)
class GPT2Config(PretrainedConfig):
    """Settings of a GPT-2 model (Radford et al., 2019).

    Parameters
    ----------
    **settings
        Any of the attributes, and those of :class:`PretrainedConfig`. ``hidden_size``,
        ``num_hidden_layers``, ``num_attention_heads`` and ``max_position_embeddings`` stand for
        ``n_embd``, ``n_layer``, ``n_head`` and ``n_positions``.

    Attributes
    ----------
    vocab_size : int
        Number of token types V.
    n_positions : int
        The longest sequence.
    n_embd, n_layer, n_head : int
        Width of a position's vector, blocks, attention heads of a block.
    n_inner : int or None
        Units between the two layers of a block's MLP; None is ``4 * n_embd``.
    activation_function : str
        ``"gelu_new"`` is GELU by the formula with tanh.
    resid_pdrop, embd_pdrop, attn_pdrop : float
        Dropout after each half of a block, of the sum of both embeddings, of attention weights.
    layer_norm_epsilon, initializer_range : float
        Added to variances; standard deviation of the first weights.
    scale_attn_weights, scale_attn_by_inverse_layer_idx : bool
        Divide scores by sqrt(head size); by the number of the block as well.
    use_cache : bool
        Whether a model in evaluation mode returns keys and values to go on from.

    Raises
    ------
    TypeError, ValueError
        As :class:`PretrainedConfig`; also if the heads do not divide the width.

    Examples
    --------
    >>> config = GPT2Config.from_preset("gpt-nano", vocab_size=65, n_positions=64)
    >>> model = GPT2LMHeadModel(config)
    """

    model_type: ClassVar[str] = "gpt2"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }
    rules: ClassVar[dict[str, values.Check]] = {
        **dict.fromkeys(("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"), values.size),
        "n_inner": values.optional(values.size),
        "activation_function": values.activation,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), values.share),
        **dict.fromkeys(("layer_norm_epsilon", "initializer_range"), values.not_negative),
        "scale_attn_weights": values.flag,
        "scale_attn_by_inverse_layer_idx": values.flag,
        "use_cache": values.flag,
    }
    computed: ClassVar[dict[str, tuple[Any, ...]]] = {"add_cross_attention": (False, None)}
    harmless: ClassVar[frozenset[str]] = frozenset(
        "n_ctx reorder_and_upcast_attn summary_type summary_use_proj summary_activation "
        "summary_proj_to_labels summary_first_dropout".split()
    )

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    use_cache: bool = True
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256

    @classmethod
    def from_preset(cls, preset: str, **settings: Any) -> Self:
        """Return a configuration of a well-known size.

        Parameters
        ----------
        preset : {"gpt-nano", "gpt-mini", "gpt2"}
            3 blocks of width 48 and 6 of width 192, named as in minGPT, without ids of special
            tokens; the published 124M model.
        **settings
            What to change, such as ``vocab_size``.

        Raises
        ------
        ValueError
            If there is no such preset.
        """
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}")
        return cls(**(PRESETS[preset] | settings))

    def _check(self) -> None:
        values.divides("n_head", self.n_head, "n_embd", self.n_embd)


# The sizes are minGPT's, https://github.com/karpathy/minGPT, mingpt/model.py.
PRESETS: dict[str, dict[str, Any]] = {
    "gpt-nano": dict(n_layer=3, n_head=3, n_embd=48, bos_token_id=None, eos_token_id=None),
    "gpt-mini": dict(n_layer=6, n_head=6, n_embd=192, bos_token_id=None, eos_token_id=None),
    "gpt2": {},
}


@dataclass(init=False, repr=False)
class LlamaConfig(PretrainedConfig):
    """Settings of a Llama model (Touvron et al., 2023).

    Parameters
    ----------
    **settings
        Any of the attributes, and those of :class:`PretrainedConfig`; ``rope_theta`` and
        ``rope_scaling``, as older files have them, become ``rope_parameters``.

    Attributes
    ----------
    vocab_size, max_position_embeddings : int
        Number of token types V; the longest sequence.
    hidden_size, intermediate_size : int
        Width of a position's vector; units inside the MLP.
    num_hidden_layers, num_attention_heads : int
        Blocks, and attention heads of a block.
    num_key_value_heads : int
        Heads of keys and values, which groups of query heads share; by default as many.
    head_dim : int
        Length of a head's vectors; by default ``hidden_size / num_attention_heads``.
    hidden_act : str
        Activation inside the MLP.
    rms_norm_eps, initializer_range : float
        Added to mean squares; standard deviation of the first weights.
    rope_parameters : dict
        ``rope_theta`` and ``rope_type``, with what the type needs: see
        :func:`minilm.models.rotary.inverse_frequencies`.
    attention_bias, mlp_bias : bool
        Whether the linear layers have biases.
    attention_dropout : float
        Dropout of attention weights.
    use_cache : bool
        Whether a model in evaluation mode returns keys and values to go on from.

    Raises
    ------
    TypeError, ValueError
        As :class:`PretrainedConfig`; also if heads do not divide, or a rope type is not computed.
    """

    model_type: ClassVar[str] = "llama"
    rules: ClassVar[dict[str, values.Check]] = {
        **dict.fromkeys(
            (
                "vocab_size",
                "hidden_size",
                "intermediate_size",
                "num_hidden_layers",
                "num_attention_heads",
                "max_position_embeddings",
            ),
            values.size,
        ),
        "num_key_value_heads": values.optional(values.size),
        "head_dim": values.optional(values.size),
        "hidden_act": values.activation,
        "rms_norm_eps": values.not_negative,
        "initializer_range": values.not_negative,
        "attention_dropout": values.share,
        "attention_bias": values.flag,
        "mlp_bias": values.flag,
        "use_cache": values.flag,
    }
    computed: ClassVar[dict[str, tuple[Any, ...]]] = {
        "sliding_window": (None,),
        "partial_rotary_factor": (None, 1, 1.0),
        "rope_interleaved": (False, None),
    }
    harmless: ClassVar[frozenset[str]] = frozenset({"pretraining_tp"})

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = None  # type: ignore[assignment]  # set with the others
    head_dim: int = None  # type: ignore[assignment]
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    rope_parameters: dict[str, Any] = None  # type: ignore[assignment]
    attention_bias: bool = False
    attention_dropout: float = 0.0
    mlp_bias: bool = False
    use_cache: bool = True
    tie_word_embeddings: bool = False
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2

    @classmethod
    def _named(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        return rotary.with_parameters(super()._named(settings))

    def _check(self) -> None:
        whole = values.divides(
            "num_attention_heads", self.num_attention_heads, "hidden_size", self.hidden_size
        )
        self.head_dim = self.head_dim or whole
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        values.divides(
            "num_key_value_heads",
            self.num_key_value_heads,
            "num_attention_heads",
            self.num_attention_heads,
        )
        if self.head_dim % 2:
            raise ValueError(f"head_dim must be even, for rotary positions; got {self.head_dim}")
        self.rope_parameters = rotary.checked_parameters(self.rope_parameters)


@dataclass(init=False, repr=False)
class DistilBertConfig(PretrainedConfig):
    """Settings of a DistilBERT model (Sanh et al., 2019).

    Parameters
    ----------
    **settings
        Any of the attributes, and those of :class:`PretrainedConfig`. ``hidden_size``,
        ``num_hidden_layers`` and ``num_attention_heads`` stand for ``dim``, ``n_layers`` and
        ``n_heads``.

    Attributes
    ----------
    vocab_size, max_position_embeddings : int
        Number of token types V; the longest sequence.
    dim, n_layers, n_heads, hidden_dim : int
        Width of a position's vector, blocks, attention heads of a block, units inside the MLP.
    activation : str
        Activation inside the MLP.
    dropout, attention_dropout, seq_classif_dropout : float
        Dropout of vectors, of attention weights, and before the classifier.
    sinusoidal_pos_embds : bool
        Whether the position embeddings start as sines and cosines.
    initializer_range : float
        Standard deviation of the first weights.

    Raises
    ------
    TypeError, ValueError
        As :class:`PretrainedConfig`; also if the heads do not divide the width.
    """

    model_type: ClassVar[str] = "distilbert"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
    }
    rules: ClassVar[dict[str, values.Check]] = {
        **dict.fromkeys(
            ("vocab_size", "max_position_embeddings", "dim", "n_layers", "n_heads", "hidden_dim"),
            values.size,
        ),
        "activation": values.activation,
        **dict.fromkeys(("dropout", "attention_dropout", "seq_classif_dropout"), values.share),
        "sinusoidal_pos_embds": values.flag,
        "initializer_range": values.not_negative,
    }
    computed: ClassVar[dict[str, tuple[Any, ...]]] = {"is_causal": (False, None)}
    harmless: ClassVar[frozenset[str]] = frozenset({"qa_dropout", "tie_weights_"})

    vocab_size: int = 30522
    max_position_embeddings: int = 512
    sinusoidal_pos_embds: bool = False
    n_layers: int = 6
    n_heads: int = 12
    dim: int = 768
    hidden_dim: int = 4 * 768
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    initializer_range: float = 0.02
    seq_classif_dropout: float = 0.2
    pad_token_id: int | None = 0

    def _check(self) -> None:
        values.divides("n_heads", self.n_heads, "dim", self.dim)
