"""What a model thinks may come next: the tokens that are likeliest after a text."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm.generation.generate import reading
from minilm.generation.prompt import prompt_of
from minilm.generation.readers import reader_of
from minilm.generation.warpers import probabilities
from minilm.models.ngram import NGramModel


def likeliest(model: Any, input_ids: Any, count: int = 10) -> list[tuple[int, float]]:
    """Return the likeliest next tokens, the likeliest first.

    Parameters
    ----------
    model : nn.Module or NGramModel
        As for :func:`minilm.generation.generate`.
    input_ids : Tensor, ndarray or sequence of int
        One text ``(time,)``.
    count : int
        How many, at most.

    Returns
    -------
    list of tuple of int and float
        Ids and their probabilities.

    Raises
    ------
    ValueError
        If there is no text, or more than one.

    Examples
    --------
    >>> likeliest(model, tokenizer.encode("the c").ids, count=2)  # doctest: +SKIP
    [(12, 0.81), (3, 0.07)]
    """
    prompt = prompt_of(input_ids, may_be_empty=isinstance(model, NGramModel))
    if len(prompt) != 1:
        raise ValueError(f"likeliest looks at one text; got {len(prompt)}")
    with reading(model):
        (probs,) = probabilities(reader_of(model).start(prompt))
    order = np.argsort(-probs, kind="stable")[:count]
    return [(int(token), float(probs[token])) for token in order]
