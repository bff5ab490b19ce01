"""Weight tying: one matrix both reads words and scores them."""

from __future__ import annotations

from minilm import nn
from minilm.nn import init

INIT_RANGE = 0.1


def tie_weights(embedding: nn.Embedding, head: nn.Linear) -> None:
    """Make the head's weight the embedding's: the score of a word is the product with its vector.

    It spares V x H parameters, and a word's vector learns from each step, not only where the word
    was read (Press & Wolf 2017, https://arxiv.org/abs/1608.05859; Inan et al. 2017,
    https://arxiv.org/abs/1611.01462). Both modules hold one `Parameter`, so `parameters` yields it
    once, and its gradient is the sum over both uses.

    The matrix starts as U(-0.1, 0.1), as in PyTorch's ``word_language_model``: vectors of an
    embedding, N(0, 1), would be large for a head.

    Parameters
    ----------
    embedding : nn.Embedding
        Its weight ``(vocab, embed)`` stays.
    head : nn.Linear
        Its weight ``(vocab, hidden)`` is replaced.

    Raises
    ------
    ValueError
        If the two have other shapes.
    """
    table, scores = embedding.weight.shape, head.weight.shape
    if table != scores:
        raise ValueError(
            "tie_weights=True makes one matrix of the embedding's weight (vocab_size, embed_size) "
            "and the head's (vocab_size, hidden_size), so hidden_size must equal embed_size; got "
            f"{table} and {scores}. Make them equal, or leave tie_weights=False"
        )
    head.weight = embedding.weight
    init.uniform_(embedding.weight, -INIT_RANGE, INIT_RANGE)
