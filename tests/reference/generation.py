"""A small GPT-2, prompts and options of ``generate``, for Hugging Face's answers and for ours."""

from __future__ import annotations

import itertools
from typing import Any

from .seeded import ids
from .transformers_models import Model

SETTINGS = {"vocab_size": 17, "n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 2}
TOKENS = {"bos_token_id": 1, "eos_token_id": 6, "pad_token_id": 16}
MODEL = Model("gpt2-writes", "GPT2LMHeadModel", "GPT2Config", SETTINGS | TOKENS)
SHARPER = 6  # times: small weights make all tokens about as likely

MASK = [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]]
IDS = [
    [token if seen else 16 for token, seen in zip(row, mask, strict=True)]
    for row, mask in zip(ids("gpt2-writes/ids", (3, 5), 16).tolist(), MASK, strict=True)
]

RULES: list[dict[str, Any]] = [
    {},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6, "no_repeat_ngram_size": 3},
    {"no_repeat_ngram_size": 2},
    {"bad_words_ids": [[3], [5, 2], [6]]},
    {"min_new_tokens": 8},
    {"suppress_tokens": [2, 9]},
    {"eos_token_id": [6, 3, 11]},
]
BEAMS = [
    {
        "num_beams": beams,
        "length_penalty": penalty,
        "early_stopping": stopping,
        "num_return_sequences": 2,
    }
    for beams, penalty, stopping in itertools.product(
        (2, 4), (-1.0, 0.0, 1.0, 2.0), (False, True, "never")
    )
]
CASES = RULES + BEAMS + [{"num_beams": 3, **rule} for rule in RULES]


def answer(model: Any, lib: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Return what a model of ``torch`` or minilm writes: a padded batch, and each text alone."""
    alone = [[token for token in row if token != 16] for row in IDS]
    return {
        "together": _written(model, lib.tensor(IDS), lib.tensor(MASK), case),
        "alone": [
            _written(model, lib.tensor([text]), lib.tensor([[1] * len(text)]), case)
            for text in alone
        ],
    }


def _written(model: Any, input_ids: Any, mask: Any, case: dict[str, Any]) -> dict[str, Any]:
    found = model.generate(
        input_ids=input_ids,
        attention_mask=mask,
        max_new_tokens=12,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **case,
    )
    scores = getattr(found, "sequences_scores", None)
    return {
        "sequences": found.sequences.tolist(),
        "sequences_scores": None if scores is None else [round(x, 5) for x in scores.tolist()],
        "steps": len(found.scores),
    }
