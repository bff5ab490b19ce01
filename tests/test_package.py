"""The package's own names: PyTorch's, and lazily what is heavy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import minilm

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.mark.parametrize(
    "name",
    "RNNModel TextDataset Vocab train validate save load set_num_threads get_num_threads "
    "AutoConfig AutoModelForCausalLM AutoModelForSequenceClassification GPT2Config GPT2LMHeadModel "
    "GPT2Model LlamaConfig LlamaForCausalLM LlamaModel DistilBertConfig DistilBertModel "
    "DistilBertForSequenceClassification "
    "show_config Tensor tensor no_grad cat stack manual_seed randn softmax bmm".split(),
)
def test_names(name: str) -> None:
    assert callable(getattr(minilm, name)) and name in dir(minilm)


@pytest.mark.parametrize("name", "nn optim data models evaluation training generation".split())
def test_parts_are_found_without_an_import(name: str) -> None:
    assert getattr(minilm, name).__name__ == f"minilm.{name}"


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (minilm.float, "float32"),
        (minilm.double, "float64"),
        (minilm.half, "float16"),
        (minilm.long, "int64"),
        (minilm.int, "int32"),
        (minilm.bool, "bool"),
        (minilm.uint8, "uint8"),
    ],
)
def test_dtypes(dtype: object, name: str) -> None:
    assert dtype == name


def test_names_that_transformers_has_at_its_top() -> None:
    from minilm import (
        DynamicCache,
        EarlyStoppingCallback,
        GenerationConfig,
        NGramModel,
        TextStreamer,
        Trainer,
        TrainingArguments,
        get_scheduler,
    )

    assert Trainer.__module__ == "minilm.training.trainer"
    assert all((DynamicCache, EarlyStoppingCallback, GenerationConfig, NGramModel, TextStreamer))
    assert TrainingArguments().seed == 42 and callable(get_scheduler)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'minilm' has no attribute 'distributed'"):
        _ = minilm.distributed


def test_version() -> None:
    declared = re.search(r'^version = "(.+)"', PYPROJECT.read_text(encoding="utf-8"), re.M)
    assert declared is not None and minilm.__version__ == declared[1]


def test_importing_minilm_imports_little(run_python: Callable[..., str]) -> None:
    program = "import sys, minilm; print(*[m for m in sys.modules if m.startswith('minilm.')])"
    loaded = run_python("-c", program).split()
    assert "minilm.tensor" in loaded
    assert not {"minilm.nn", "minilm._core", "minilm.data", "minilm.training"} & set(loaded)
