"""The page that describes a shared model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minilm.models.base import LanguageModel

if TYPE_CHECKING:
    from minilm.models.pretrained import PretrainedModel

CARD = """---
library_name: {library}
pipeline_tag: {task}
tags:
- minilm
- {model_type}
---

# {name}

A {class_name} of {parameters:,} parameters, trained with minilm on a CPU.

```python
import minilm

model = minilm.{auto}.from_pretrained("{repo_id}")
```

## Training data

What the model was trained on is not recorded here. Say it, and what the model should not be used
for, before others rely on it.
"""


def model_card(model: PretrainedModel, repo_id: str) -> str:
    """Return the text of a model's ``README.md``.

    Parameters
    ----------
    model : PretrainedModel
        What it describes.
    repo_id : str
        Where it is shared: ``"user/name"``.
    """
    writes = isinstance(model, LanguageModel)
    return CARD.format(
        library="minilm" if model.config_class is None else "transformers",
        task="text-generation" if writes else "text-classification",
        model_type=model.model_type,
        name=repo_id.rpartition("/")[2],
        class_name=type(model).__name__,
        parameters=model.num_parameters(),
        auto="AutoModelForCausalLM" if writes else "AutoModelForSequenceClassification",
        repo_id=repo_id,
    )
