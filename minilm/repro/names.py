"""Names, letter by letter: what counting pairs reaches, and what a GRU does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minilm.data import StreamLoader, encode_text, train_char_tokenizer
from minilm.evaluation import evaluate
from minilm.models import RNNModel
from minilm.random import manual_seed
from minilm.repro.experiment import Experiment, Outcome, Say
from minilm.training import EarlyStopping, fit

EPOCHS = 12
TEST_NAMES = 1000


def pair_loss(ids: np.ndarray, vocab_size: int) -> float:
    """Return what counted pairs pay for the very text they were counted in, nats a letter.

    A pair's probability is its share among those with the same first letter. A name's end is a
    letter too, and stands before its first.

    Parameters
    ----------
    ids : ndarray of int
        Names, each between two line ends.
    vocab_size : int
        Ids run from 0 to ``vocab_size - 1``.
    """
    pairs = np.zeros((vocab_size, vocab_size))
    np.add.at(pairs, (ids[:-1], ids[1:]), 1)
    share = pairs / np.maximum(pairs.sum(1, keepdims=True), 1)
    seen = pairs > 0
    return float(-(pairs[seen] * np.log(share[seen])).sum() / pairs.sum())


def _run(path: Path, share: float, say: Say) -> list[Outcome]:
    names = path.read_text(encoding="utf-8").split()
    names = names[: max(2 * TEST_NAMES, int(share * len(names)))]
    tokenizer = train_char_tokenizer("\n" + "".join(sorted(set("".join(names)))))
    size = tokenizer.get_vocab_size()

    def encoded(part: list[str]) -> np.ndarray:
        return encode_text(tokenizer, "\n" + "\n".join(part) + "\n")

    pairs = pair_loss(encoded(names), size)
    order = np.random.Generator(np.random.Philox(0)).permutation(len(names))
    shuffled = [names[k] for k in order]
    test, train = encoded(shuffled[:TEST_NAMES]), encoded(shuffled[TEST_NAMES:])
    end = tokenizer.token_to_id("\n")
    manual_seed(0)
    model = RNNModel(size, 64, 256, "gru", dropout=0.3)
    # Each name is read from a state of zeros: it has nothing to do with the one before.
    loader = StreamLoader(train, 32, 32, document_start=end)
    held_out = StreamLoader(test, 1, 32, document_start=end, shuffle_offset=False)
    history = fit(
        model,
        loader,
        held_out,
        epochs=max(1, round(EPOCHS * share)),
        lr=4e-3,
        callbacks=[EarlyStopping(patience=4)],
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
    )
    say(f"best in epoch {history.best()[0]:g}")
    reached = evaluate(model, held_out)
    return [
        Outcome("pairs counted, all names, nats a letter", pairs),
        Outcome("GRU, 1,000 names held out, nats a letter", reached.loss, 2.05),
    ]


NAMES = Experiment(
    "names",
    "32,032 names, letter by letter: pairs counted, and a GRU",
    "names.txt",
    _run,
)
