"""Write what ``transformers`` answers to ``data/``; needs torch and transformers 5.

Run it after a change of the models, from the folder ``tests``::

    python -m reference.make_transformers
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
import transformers

from .make_reference import write
from .seeded import digest
from .stored import DATA
from .transformers_models import MODELS, Model, results


def build(model: Model):
    """Return a model of Hugging Face's with the weights that belong to its name."""
    config = getattr(transformers, model.config_class)(**model.settings)
    config._attn_implementation = "eager"  # the one that returns attention weights
    theirs = getattr(transformers, model.architecture)(config).eval()
    state = theirs.state_dict()
    weights = model.weights({name: list(tensor.shape) for name, tensor in state.items()})
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():  # what is tied is one parameter
            parameter.copy_(torch.tensor(weights[name]))
    return theirs


def folder(theirs) -> dict[str, object]:
    """Return the configuration that Hugging Face writes, and names and shapes of the weights."""
    from safetensors import safe_open

    with tempfile.TemporaryDirectory() as name:
        theirs.save_pretrained(name)
        config = json.loads((Path(name) / "config.json").read_text(encoding="utf-8"))
        with safe_open(Path(name) / "model.safetensors", framework="np") as file:
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    return {"config": config, "shapes": shapes}


if __name__ == "__main__":
    arrays, folders = {}, {}
    for model in MODELS:
        theirs = build(model)
        folders[model.name] = folder(theirs)
        found = results(torch, theirs, model.batch())
        arrays |= {f"{model.name}/{name}": digest(value) for name, value in found.items()}
    write("transformers", arrays)
    text = json.dumps(folders, indent=1) + "\n"
    (DATA / "transformers.json").write_text(text, encoding="utf-8")
