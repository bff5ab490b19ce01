"""A task by its name: which model it takes, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilm.methods.conversion import parse_to
from minilm.models.auto import AutoModelForCausalLM, AutoModelForSequenceClassification
from minilm.models.errors import HubError
from minilm.models.folder import CONFIG, read_config
from minilm.models.hub import resolve
from minilm.pipelines.text_classification import TextClassificationPipeline
from minilm.pipelines.text_generation import TextGenerationPipeline
from minilm.tokenization import AutoTokenizer


@dataclass(frozen=True)
class Task:
    """What a task takes.

    Attributes
    ----------
    runner : type
        The class of its pipeline.
    auto : type
        Loads its model.
    model : str
        The model of the hub that is taken when none is named: that of `transformers`.
    """

    runner: type
    auto: type
    model: str


CLASSIFICATION = Task(
    TextClassificationPipeline,
    AutoModelForSequenceClassification,
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
)
TASKS = {
    "text-classification": CLASSIFICATION,
    "sentiment-analysis": CLASSIFICATION,
    "text-generation": Task(TextGenerationPipeline, AutoModelForCausalLM, "openai-community/gpt2"),
}
CPU = (None, -1, "cpu")


def pipeline(
    task: str | None = None,
    model: Any = None,
    tokenizer: Any = None,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    device: Any = None,
    **options: Any,
) -> Any:
    """Make what answers texts: a model with its tokenizer, by the name of a task.

    Parameters
    ----------
    task : {"text-classification", "sentiment-analysis", "text-generation"}, optional
        What to do; by default what the model is for.
    model : str, Path or model, optional
        A folder, a name of the hub, or a model. By default that which `transformers` takes: a
        DistilBERT that knows good reviews from bad ones, or GPT-2.
    tokenizer : str, Path or tokenizer, optional
        By default that of the model's folder.
    revision, token
        For the hub; see `AutoTokenizer.from_pretrained`.
    device : optional
        ``"cpu"``, or -1, or nothing.
    **options
        What every call is to have: ``top_k=None``, ``max_new_tokens=40``.

    Returns
    -------
    TextClassificationPipeline or TextGenerationPipeline

    Raises
    ------
    ValueError
        If the task is unknown, or neither a task nor a model is named; or a model comes without a
        tokenizer.
    FolderError
        If a folder is incomplete or damaged.
    HubError
        If the hub cannot be asked; the message says what to do.
    RuntimeError
        If another device is asked for.

    Examples
    --------
    >>> classify = pipeline("text-classification")
    >>> classify("What a lovely film!")
    [{'label': 'POSITIVE', 'score': 0.9998}]
    """
    hub: dict[str, Any] = {"revision": revision, "token": token}
    if task is None and model is not None:
        task = _task_of(model, hub)
    if task not in TASKS:
        raise ValueError(f"a task is one of {', '.join(TASKS)}; got {task!r}")
    if device not in CPU:
        parse_to(device)
    wanted = TASKS[task]
    source = wanted.model if model is None else model
    named = isinstance(source, str | Path)
    if tokenizer is None and not named:
        raise ValueError("a model comes with its tokenizer: pass tokenizer= as well")
    try:
        if named:
            tokenizer = source if tokenizer is None else tokenizer
            source = wanted.auto.from_pretrained(source, **hub)  # type: ignore[attr-defined]
        if isinstance(tokenizer, str | Path):
            tokenizer = AutoTokenizer.from_pretrained(tokenizer, **hub)
    except HubError as error:
        if model is None:
            error.add_note(
                f"Without model=, the task {task!r} takes {wanted.model!r} of the hub; "
                "model='FOLDER' takes one that is here."
            )
        raise
    return wanted.runner(source, tokenizer, **options)


def _task_of(model: Any, hub: dict[str, Any]) -> str:
    """Return the task of a model: classifiers classify, language models write."""
    classifiers = AutoModelForSequenceClassification.models
    if isinstance(model, str | Path):
        folder = resolve(model, patterns=(CONFIG,), **hub)
        kind = read_config(folder).get("model_type")
        classifies = kind in {classifier.model_type for classifier in classifiers}
    else:
        classifies = isinstance(model, classifiers)
    return "text-classification" if classifies else "text-generation"
