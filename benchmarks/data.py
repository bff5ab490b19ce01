"""Measure whether data keeps up: text to ids, and ids to batches; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from configurations import RECURRENT
from measure import forget_peak, peak_mib, time_by_turns
from workload import Workload

from minilm.data import (
    DataLoader,
    TokenDataset,
    encode_text,
    train_char_tokenizer,
    train_word_tokenizer,
)

TRAIN = {"char": train_char_tokenizer, "word": train_word_tokenizer}
# A law of Zipf that fits 100 MB of English: 17 M words of 250,000 types, of which the 50,000 most
# frequent make 97 %.
TYPES = 250_000
EXPONENT = 1.2
LETTERS = "eta"  # so few, and two at least, make words about as long as those of English
BETWEEN = [" "] * 18 + [", ", ".\n"]
BLOCK = 100_000  # words drawn at a time
LEARNED = 1_000_000  # characters that the vocabulary is made of
SAMPLE = 1_000_000  # characters for the tokenizer itself
BATCHES = 2000
SMALL = ["tut_b2t5", "rnn_char"]  # the shortest steps there are


def write_text(megabytes: float, seed: int = 0) -> str:
    """Return a text in which new words come for as long as it goes on, as in a language."""
    draw = np.random.default_rng(seed)
    words = [_word(rank + len(LETTERS) ** 2) for rank in range(TYPES)]
    parts: list[str] = []
    missing = round(megabytes * 1e6)
    while missing > 0:
        ranks = _ranks(draw.uniform(size=BLOCK)).tolist()
        gaps = draw.integers(len(BETWEEN), size=BLOCK).tolist()
        pairs = zip(map(words.__getitem__, ranks), map(BETWEEN.__getitem__, gaps), strict=True)
        parts.append("".join(chain.from_iterable(pairs))[:missing])
        missing -= len(parts[-1])
    return "".join(parts)


def _ranks(uniform: np.ndarray) -> np.ndarray:
    """Return the ranks, from 1, at which the sum of rank^-EXPONENT passes a share of its whole."""
    power = 1 - EXPONENT
    return ((1 - uniform * (1 - TYPES**power)) ** (1 / power)).astype(np.int64)


def _word(rank: int) -> str:
    letters = ""
    while rank:
        rank, digit = divmod(rank, len(LETTERS))
        letters += LETTERS[digit]
    return letters


def measure_encoding(level: str, megabytes: float) -> dict[str, float]:
    """Encode a text once, as a program does that then trains on it."""
    text = write_text(megabytes)
    tokenizer = TRAIN[level](text[:LEARNED])
    forget_peak()
    before = peak_mib()
    start = time.perf_counter()
    ids = encode_text(tokenizer, text)
    seconds = time.perf_counter() - start
    peak = peak_mib() - before
    sample = text[-SAMPLE:]
    start = time.perf_counter()
    tokenizer.encode(sample)
    own = time.perf_counter() - start
    return {
        "MB/s": len(text) / seconds / 1e6,
        "own MB/s": len(sample) / own / 1e6,
        "ids MiB": ids.nbytes / 2**20,
        "peak MiB": peak,
    }


def measure_loading(name: str) -> dict[str, float]:
    """Time a shuffled batch of a row, beside the training step that it is for."""
    row = RECURRENT[name]
    ids = np.random.default_rng(0).integers(row.vocab, size=1_000_000)
    dataset = TokenDataset(ids, row.time)
    batches = _forever(DataLoader(dataset, batch_size=row.batch, shuffle=True))
    next(batches)
    start = time.perf_counter()
    for _ in range(BATCHES):
        next(batches)
    batch = (time.perf_counter() - start) / BATCHES
    step = time_by_turns({"minilm": Workload("minilm", row)}, 20, 10)["minilm"].median
    return {"batch us": 1e6 * batch, "step us": 1e6 * step, "share": batch / step}


def _forever(loader: DataLoader) -> Iterator[object]:
    while True:
        yield from loader


def encoding_of_a_fresh_process(level: str, megabytes: float) -> dict[str, float]:
    """Measure in a process of its own, whose peak memory is that of the encoding."""
    command = [sys.executable, __file__, "--level", level, "--megabytes", str(megabytes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=100.0, help="size of the text")
    parser.add_argument("--level", choices=TRAIN, help="encode at this level only, print JSON")
    parser.add_argument("--out", type=Path, default=Path("runs", "bench"), help="folder of results")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    args = parse_arguments()
    if args.level:
        print(json.dumps(measure_encoding(args.level, args.megabytes)))
        return
    results: dict[str, dict[str, float]] = {}
    for level in TRAIN:
        figures = results[level] = encoding_of_a_fresh_process(level, args.megabytes)
        print(
            f"{level:<5} {figures['MB/s']:6.1f} MB/s, the tokenizer itself "
            f"{figures['own MB/s']:.1f}; ids {figures['ids MiB']:.0f} MiB, peak memory "
            f"+{figures['peak MiB']:.0f} MiB"
        )
    for name in SMALL:
        figures = results[name] = measure_loading(name)
        print(
            f"{name}: a batch {figures['batch us']:.0f} us, a step {figures['step us']:.0f} us: "
            f"{figures['share']:.1%}"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "data.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
