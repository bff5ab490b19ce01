"""Training loss against validation loss, and both against counting."""

from __future__ import annotations

from minilm.doctor import learning_rate
from minilm.doctor.evidence import Evidence
from minilm.doctor.finding import Finding, Severity
from minilm.evaluation import gap

RISE = 0.02  # of the best validation loss: beyond what it wavers by from epoch to epoch
FALLING = 0.03  # of the loss, over the last epoch: another one would pay
CLOSE = 0.05  # of the loss, between training and validation: nothing was learnt by heart


def overfitting(evidence: Evidence) -> Finding | None:
    """Find a validation loss that rises while the training loss goes on falling."""
    best, rows = evidence.best, evidence.validated
    if best is None:
        return None
    last = rows[-1]
    rise = last["val_loss"] / best["val_loss"] - 1 if best["val_loss"] else 0.0
    if rise <= RISE or "loss" not in last or last["loss"] >= best.get("loss", last["loss"]):
        return None
    return Finding(
        "overfitting",
        Severity.HARM,
        f"from epoch {best['epoch']:g} on, the model gets better on its training text and worse on "
        "new text: it learns by heart",
        {
            "best validation loss": best["val_loss"],
            "in epoch": best["epoch"],
            "at the end": last["val_loss"],
            "training loss at the end": last["loss"],
            "gap": last["val_loss"] - last["loss"],
        },
        "more text, more dropout or weight decay, a smaller model, early stopping (--patience)",
    )


def underfitting(evidence: Evidence) -> Finding | None:
    """Find a loss that still falls at the end, or is no better than counting and has no gap."""
    rows, best = evidence.validated, evidence.best
    if len(rows) < 2 or best is not rows[-1]:
        return None
    last, before = rows[-1], rows[-2]
    epochs = max(last.get("epoch", 1) - before.get("epoch", 0), 1e-9)
    fall = (1 - last["val_loss"] / before["val_loss"]) / epochs if before["val_loss"] else 0.0
    near = "loss" in last and abs(last["val_loss"] - last["loss"]) < CLOSE * last["val_loss"]
    poor = evidence.ngram is not None and last["val_loss"] > evidence.ngram and near
    if (fall <= FALLING and not poor) or learning_rate.too_high(evidence) is not None:
        return None  # what the rate has shaken about may well be large enough
    return Finding(
        "underfitting",
        Severity.HINT,
        "the model has not learnt yet what the text has to teach",
        {
            "training loss": last.get("loss"),
            "validation loss": last["val_loss"],
            "still falling, an epoch": f"{fall:.1%}",
        },
        "more epochs, a larger model, less dropout, a higher learning rate",
    )


def worse_than_ngrams(evidence: Evidence) -> Finding | None:
    """Find a model that predicts worse than counting does."""
    best, ngram = evidence.best, evidence.ngram
    if best is None or ngram is None or best["val_loss"] <= ngram:
        return None
    return Finding(
        "worse than n-grams",
        Severity.HARM,
        "counting the last few tokens, which takes seconds, predicts better than the model",
        {
            "validation loss": best["val_loss"],
            "n-grams' loss": ngram,
            "the model is": gap(best["val_loss"], ngram),
        },
        "what the other findings say; else more epochs, a larger model, or the n-gram itself",
    )
