"""Write what ``generate`` of ``transformers`` answers to ``data/``; needs torch and transformers 5.

Run it after a change of the cases, from the folder ``tests``::

    python -m reference.make_generation
"""

from __future__ import annotations

import json

import torch

from .generation import CASES, MODEL, SHARPER, answer
from .make_transformers import build
from .stored import DATA


def theirs():
    """Return Hugging Face's model."""
    model = build(MODEL)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(SHARPER)
    return model


if __name__ == "__main__":
    model = theirs()
    answers = [answer(model, torch, case) for case in CASES]
    lines = ",\n".join(json.dumps(found) for found in answers)
    (DATA / "generation.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
