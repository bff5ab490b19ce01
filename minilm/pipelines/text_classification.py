"""Texts to labels with scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minilm.grad_mode import no_grad

FUNCTIONS = ("softmax", "sigmoid", "none")
BEST = object()  # top_k was not given: the best label, without a list around it


class TextClassificationPipeline:
    """Say of texts which class they belong to; made by :func:`minilm.pipeline`.

    Parameters
    ----------
    model : model
        A classifier; ``config.id2label`` names its classes.
    tokenizer : PreTrainedTokenizerFast
        The one that it was trained with.
    **options
        For every call.
    """

    task = "text-classification"

    def __init__(self, model: Any, tokenizer: Any, **options: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.options = options

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Classify a text, or several.

        Parameters
        ----------
        inputs : str, mapping, or list of them
            ``{"text": ..., "text_pair": ...}`` is two texts that go together.
        top_k : int or None, optional
            How many labels to return for each text, the best first; None for all.
        function_to_apply : {"softmax", "sigmoid", "none"}, optional
            From logits to scores. By default softmax; sigmoid for a model of one class or of
            several at once; none for regression.
        batch_size : int
            Texts that go through the model together.
        truncation, max_length, ...
            As for the tokenizer.

        Returns
        -------
        list of dict
            ``{"label": ..., "score": ...}`` for each text; with `top_k` a list of these for each.

        Raises
        ------
        ValueError
            If `function_to_apply` or `batch_size` is unknown.
        """
        settings = {**self.options, **options}
        top_k = settings.pop("top_k", BEST)
        function = settings.pop("function_to_apply", None) or self._function()
        if function not in FUNCTIONS:
            raise ValueError(
                f"function_to_apply is one of {', '.join(FUNCTIONS)}; got {function!r}"
            )
        size = settings.pop("batch_size", 1)
        one = isinstance(inputs, str | Mapping)
        results = [
            self._labels(scores, top_k)
            for batch in batches([inputs] if one else list(inputs), size)
            for scores in self._scores(batch, function, settings)
        ]
        if one and (top_k is not BEST or isinstance(inputs, Mapping)):
            return results[0]
        return results

    def _scores(self, batch: list[Any], function: str, settings: Mapping[str, Any]) -> np.ndarray:
        """Return the scores of all classes, ``(batch, classes)``."""
        texts = [item["text"] if isinstance(item, Mapping) else item for item in batch]
        pairs = [item.get("text_pair") if isinstance(item, Mapping) else None for item in batch]
        samples = [
            text if pair is None else (text, pair) for text, pair in zip(texts, pairs, strict=True)
        ]
        options = {"padding": len(samples) > 1, **settings}
        with no_grad():
            logits = self.model(**self.tokenizer(samples, return_tensors="pt", **options)).logits
        values = logits.numpy()
        if function == "softmax":
            exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
            return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
        return np.asarray(1 / (1 + np.exp(-values)) if function == "sigmoid" else values)

    def _function(self) -> str:
        config = self.model.config
        if config.problem_type == "regression":
            return "none"
        several = config.problem_type == "multi_label_classification"
        return "sigmoid" if several or config.num_labels == 1 else "softmax"

    def _labels(self, scores: np.ndarray, top_k: Any) -> Any:
        names = self.model.config.id2label
        order = np.argsort(-scores, kind="stable")
        found = [{"label": names[int(i)], "score": float(scores[i])} for i in order]
        if top_k is BEST:
            return found[0]
        return found if top_k is None else found[:top_k]


def batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Yield items, so many at a time.

    Raises
    ------
    ValueError
        If the size is not positive.
    """
    if size < 1:
        raise ValueError(f"batch_size must be at least 1; got {size}")
    for start in range(0, len(items), size):
        yield items[start : start + size]
