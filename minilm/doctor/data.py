"""What is wrong with the data, or with how it is fed."""

from __future__ import annotations

import math

import numpy as np

from minilm.doctor.evidence import Evidence, median_of
from minilm.doctor.finding import Finding, Severity
from minilm.evaluation import memorisation

COPIED = 0.9  # share of targets; of natural text, a token in 20 repeats the one before
# What no two texts share by chance, a refrain or a formula included.
SPAN = 100
SPAN_SHARE = 0.1  # of the validation text
PASSAGE = 64  # tokens; of half as many letters, half stand in other stories of the same kind
PASSAGES = 0.2  # share of the validation text's places from which so many tokens are shared
IMPLAUSIBLE = 0.5  # times the n-grams' loss; the best recurrent models reach 0.8
# The usual 10,000 words of the Penn Treebank leave one word in 20 unknown.
UNKNOWN = 0.1
ERROR = 0.03  # standard error of the validation loss, as a share of it


def targets_not_shifted(evidence: Evidence) -> Finding | None:
    """Find targets that are the inputs themselves, rather than what follows them."""
    copied = median_of(evidence.lines, lambda line: line.get("copied_targets"))
    shifted = median_of(evidence.lines, lambda line: line.get("next_targets"))
    if copied is None or copied <= COPIED or (shifted is not None and shifted > COPIED):
        return None
    return Finding(
        "targets not shifted",
        Severity.BROKEN,
        "the model is asked for the token that it was just given, and learns to copy",
        {
            "targets equal to their input": copied,
            "equal to the next input": shifted,
            "loss at the end": evidence.lines[-1].get("loss"),
        },
        "targets one token on: inputs = ids[:-1], targets = ids[1:]; or labels = input_ids where "
        "the model shifts them itself",
    )


def leakage(evidence: Evidence) -> Finding | None:
    """Find validation text that stands in the training text, or a loss too good to be true."""
    numbers = {**_shared(evidence), **_too_good(evidence)}
    if not numbers:
        return None
    return Finding(
        "leakage",
        Severity.BROKEN,
        "the model is measured on what it was trained on, so the validation loss says nothing "
        "about new text",
        numbers,
        "cutting the text into training and validation part before anything is repeated, shuffled "
        "or cut into windows; removing duplicates; minilm memorisation shows what is shared",
    )


def _shared(evidence: Evidence) -> dict[str, float]:
    train, valid = evidence.train_ids, evidence.valid_ids
    if train is None or valid is None or min(len(train), len(valid)) < PASSAGE:
        return {}
    copied = memorisation(valid, train, n=PASSAGE).generated
    longest, share = copied.longest, 1 - copied.new_share
    if share <= PASSAGES and longest < max(SPAN, SPAN_SHARE * len(valid)):
        return {}
    return {
        "longest span shared, in tokens": longest,
        "of": len(valid),
        f"share of {PASSAGE}-grams shared": share,
    }


def _too_good(evidence: Evidence) -> dict[str, float]:
    best = evidence.best
    if best is None:
        return {}
    loss, n = best["val_loss"], 1 if evidence.valid_ids is None else len(evidence.valid_ids)
    perfect, ngram = evidence.best_possible, evidence.ngram
    if perfect is not None and loss < perfect * (1 - 3 / math.sqrt(n)):
        return {"validation loss": loss, "of a perfect model": perfect}
    if ngram is not None and loss < IMPLAUSIBLE * ngram and (perfect is None or loss < perfect):
        return {"validation loss": loss, "n-grams' loss": ngram}
    return {}


def unknown_words(evidence: Evidence) -> Finding | None:
    """Find too many tokens that are not in the vocabulary."""
    shares = {}
    if (unknown := evidence.unknown_id) is not None:
        for name, ids in (("training", evidence.train_ids), ("validation", evidence.valid_ids)):
            if ids is not None and len(ids):
                shares[f"share unknown in {name}"] = float((np.asarray(ids) == unknown).mean())
    if not shares:
        seen = median_of(evidence.lines, lambda line: line.get("unknown"))
        shares = {} if seen is None else {"share unknown in training": seen}
    if max(shares.values(), default=0.0) <= UNKNOWN:
        return None
    return Finding(
        "too many unknown words",
        Severity.HARM,
        "the model learns that the unknown word is likely, which lowers the loss and says nothing",
        shares,
        "a larger vocabulary (a lower minimum count), more training text of the same kind, "
        "subwords or characters",
    )


def not_shuffled(evidence: Evidence) -> Finding | None:
    """Find the same batches in the same order, pass after pass."""
    if not evidence.lines:
        return None
    last = evidence.lines[-1]
    passes, repeated = last.get("passes", 0), last.get("repeated_passes", 0)
    # A stream is read in its order, for the sake of the state that is carried along.
    if last.get("stream") or passes < 2 or repeated < passes - 1:
        return None
    return Finding(
        "no shuffling",
        Severity.HINT,
        "each pass reads the same batches in the same order, so their noise adds up in place of "
        "averaging out",
        {"passes": passes, "in the order of the one before": repeated},
        "DataLoader(..., shuffle=True); for a text that is read in its order, a StreamLoader",
    )


def small_validation(evidence: Evidence) -> Finding | None:
    """Find a validation text too short to tell models apart."""
    if evidence.valid_ids is None or evidence.best is None or len(evidence.valid_ids) < 2:
        return None
    loss, n = evidence.best["val_loss"], len(evidence.valid_ids) - 1
    # What a token costs varies about as much as it costs on average, as exponentially distributed
    # costs do; tokens that depend on one another make the error larger rather than smaller.
    error = loss / math.sqrt(n)
    if error <= ERROR * loss:
        return None
    return Finding(
        "validation text too small",
        Severity.HINT,
        "differences of less than twice the standard error say nothing about which model is better",
        {"tokens": n, "validation loss": loss, "standard error, about": error},
        f"at least {math.ceil(ERROR**-2):,} tokens of validation text",
    )
