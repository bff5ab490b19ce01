"""DistilBERT: an encoder, whose positions see all others, and a classifier of texts on it.

Sanh et al., 2019, https://arxiv.org/abs/1910.01108. Modules and weights have Hugging Face's names.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np

import minilm.nn.functional as F
from minilm import nn
from minilm.grad_mode import no_grad
from minilm.models.classification import classification_loss
from minilm.models.configuration import DistilBertConfig
from minilm.models.inputs import (
    ACTIVATIONS,
    checked_ids,
    checked_mask,
    merge_heads,
    positions_of,
    split_heads,
)
from minilm.models.output import BaseModelOutput, SequenceClassifierOutput, asked
from minilm.models.pretrained import PretrainedModel
from minilm.models.start import start_normally
from minilm.nn import init
from minilm.nn.dot_product import attention
from minilm.nn.work import attention_multiply_adds
from minilm.tensor import Tensor
from minilm.utils.checkpoint import checkpoint

EPSILON = 1e-12  # added to variances; no setting, as in Hugging Face


class Embeddings(nn.Module):
    """A vector for each token and for each position, added up and normalized."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        width = config.dim
        self.word_embeddings = nn.Embedding(config.vocab_size, width, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.LayerNorm = nn.LayerNorm(width, eps=EPSILON)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, ids: np.ndarray, positions: np.ndarray) -> Tensor:
        """Map ids ``(batch, time)`` to vectors ``(batch, time, width)``."""
        x = self.word_embeddings(ids) + self.position_embeddings(positions)
        vectors: Tensor = self.dropout(self.LayerNorm(x))
        return vectors


class DistilBertSelfAttention(nn.Module):
    """Let each position take from all others."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        width = config.dim
        self._head_size = width // config.n_heads
        self.q_lin = nn.Linear(width, width)
        self.k_lin = nn.Linear(width, width)
        self.v_lin = nn.Linear(width, width)
        self.out_lin = nn.Linear(width, width)
        self.dropout = nn.Dropout(config.attention_dropout)

    def forward(
        self, x: Tensor, mask: np.ndarray | None, output_attentions: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Map ``(batch, time, width)`` to the same, with attention weights if asked for."""
        projections = (self.q_lin, self.k_lin, self.v_lin)
        query, key, value = (split_heads(project(x), self._head_size) for project in projections)
        mixed, weights = attention(
            query,
            key,
            value,
            key_mask=mask,
            dropout_p=self.dropout.p if self.training else 0.0,
            need_weights=output_attentions,
        )
        return self.out_lin(merge_heads(mixed)), weights

    def multiply_adds(self, output: Any) -> int:
        """Return the work of attention itself; see :mod:`minilm.nn.work`."""
        return attention_multiply_adds(output)


class FFN(nn.Module):
    """Change each position by itself: ``lin2(activation(lin1(x)))``."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self._activation = config.activation
        self.lin1 = nn.Linear(config.dim, config.hidden_dim)
        self.lin2 = nn.Linear(config.hidden_dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, time, width)`` to the same."""
        changed: Tensor = self.dropout(self.lin2(ACTIVATIONS[self._activation](self.lin1(x))))
        return changed


class TransformerBlock(nn.Module):
    """``norm(x + attention(x))``, then ``norm(x + ffn(x))``: normalized after, not before."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.attention = DistilBertSelfAttention(config)
        self.sa_layer_norm = nn.LayerNorm(config.dim, eps=EPSILON)
        self.ffn = FFN(config)
        self.output_layer_norm = nn.LayerNorm(config.dim, eps=EPSILON)

    def forward(
        self, x: Tensor, mask: np.ndarray | None, output_attentions: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Map ``(batch, time, width)`` to the same, with attention weights if asked for."""
        attended, weights = self.attention(x, mask, output_attentions)
        x = self.sa_layer_norm(attended + x)
        return self.output_layer_norm(self.ffn(x) + x), weights


class Transformer(nn.Module):
    """The blocks."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(TransformerBlock(config) for _ in range(config.n_layers))


class _DistilBert(PretrainedModel):
    """What DistilBERT with and without a head have in common."""

    model_type: ClassVar[str] = "distilbert"
    config_class = DistilBertConfig
    base_model_prefix: ClassVar[str] = "distilbert"
    ignored_weights = re.compile(r"\bembeddings\.position_ids$")  # 0, 1, 2, ... in old files
    config: DistilBertConfig

    def reset_parameters(self, names: list[str] | None = None) -> None:
        """Draw the parameters again, or those of these names: N(0, initializer_range^2)."""
        start_normally(self, self.config.initializer_range, names)


class DistilBertModel(_DistilBert):
    """DistilBERT without a head.

    Parameters
    ----------
    config : DistilBertConfig
        Sizes and settings.

    Attributes
    ----------
    embeddings : Embeddings
        Vectors of tokens and positions.
    transformer : Transformer
        The blocks, in ``layer``.
    """

    gradient_checkpointing = False

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.transformer = Transformer(config)
        self.reset_parameters()
        if config.sinusoidal_pos_embds:
            _start_as_waves(self.embeddings.position_embeddings.weight)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of the tokens' vectors."""
        table: nn.Embedding = self.embeddings.word_embeddings
        return table

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutput:
        """Return a vector for each token.

        Parameters and errors are those of :meth:`DistilBertForSequenceClassification.forward`.
        """
        config = self.config
        longest = config.max_position_embeddings
        ids = checked_ids(input_ids, config.vocab_size, longest)
        batch, time = ids.shape
        mask = checked_mask(attention_mask, batch, time)
        # Positions are those in the array, padding or not: as the model was trained.
        positions = positions_of(position_ids, None, batch, time, 0, longest)
        keeps_weights = asked(output_attentions, config.output_attentions)
        recomputes = self.gradient_checkpointing and self.training
        x = self.embeddings(ids, positions)
        states, attentions = [x], []
        for block in self.transformer.layer:
            given = (x, mask, keeps_weights)
            x, weights = checkpoint(block, *given) if recomputes else block(*given)
            states.append(x)
            attentions.append(weights)
        keeps_states = asked(output_hidden_states, config.output_hidden_states)
        return BaseModelOutput(
            last_hidden_state=x,
            hidden_states=tuple(states) if keeps_states else None,
            attentions=tuple(attentions) if keeps_weights else None,
        )


class DistilBertForSequenceClassification(_DistilBert):
    """DistilBERT that says to which class a text belongs, by its first token.

    Parameters
    ----------
    config : DistilBertConfig
        Sizes and settings; ``id2label`` names the classes.

    Attributes
    ----------
    distilbert : DistilBertModel
        The model without its head.
    pre_classifier, classifier : nn.Linear
        The head: ``classifier(relu(pre_classifier(first)))``.
    """

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = DistilBertModel(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, config.num_labels)
        self.dropout = nn.Dropout(config.seq_classif_dropout)
        heads = ("pre_classifier", "classifier")
        self.reset_parameters([f"{head}.{part}" for head in heads for part in ("weight", "bias")])

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of the tokens' vectors."""
        return self.distilbert.get_input_embeddings()

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        labels: Any = None,
        *,
        position_ids: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> SequenceClassifierOutput:
        """Score the classes of each text.

        Parameters
        ----------
        input_ids : Tensor, ndarray or nested list of int
            Token ids ``(batch, time)``, the first one ``[CLS]``.
        attention_mask : Tensor or ndarray, optional
            ``(batch, time)``, 1 for a token and 0 for padding, which stands on the right.
        labels : Tensor or ndarray, optional
            Classes ``(batch,)``, integers. For regression, numbers ``(batch,)``; where a text may
            have several classes, 0 and 1 ``(batch, classes)``, float32.
        position_ids : Tensor or ndarray of int, optional
            ``(batch, time)``; by default 0, 1, 2, ...
        output_attentions, output_hidden_states : bool, optional
            Whether to return them; by default as the configuration says.

        Returns
        -------
        SequenceClassifierOutput
            Logits ``(batch, classes)`` and what was asked for.

        Raises
        ------
        TypeError
            If ids are not integers.
        ValueError
            If shapes do not fit, or the sequence is longer than the positions.
        IndexError
            If an id is not in the vocabulary, or a label is no class.
        """
        output = self.distilbert(
            input_ids, attention_mask, position_ids, output_attentions, output_hidden_states
        )
        first = output.last_hidden_state[:, 0]
        logits = self.classifier(self.dropout(F.relu(self.pre_classifier(first))))
        return SequenceClassifierOutput(
            loss=None if labels is None else classification_loss(logits, labels, self.config),
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


@no_grad
def _start_as_waves(table: nn.Parameter) -> None:
    """Fill position embeddings with sines and cosines (Vaswani et al., 2017, section 3.5)."""
    if init.skipping():
        return
    positions, width = table.shape
    angles = np.arange(positions)[:, None] / 10000 ** (np.arange(width) // 2 * 2 / width)
    even = np.arange(width) % 2 == 0
    table.copy_(Tensor(np.where(even, np.sin(angles), np.cos(angles)).astype(np.float32)))
    table.requires_grad = False
