"""Time writing text a token at a time, minilm and others by turns; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from configurations import RECURRENT
from transformer_writers import (
    SIZES,
    make_transformer,
    readers_of_prompts,
    transformer_contenders,
)
from writers import Write, contenders, make_model

import minilm
from minilm import _core

ROWS = ["rnn_char", "gru_char", "lstm_char2x128", "lstm_char2x512", "ptb650", *SIZES]
PROMPT = 512  # tokens
MOST = 100  # tokens of a turn, where there are positions that end
PAUSE = 0.05  # seconds: threads of one library spin for a while, and must not meet the other's turn

COLUMNS = [  # title, figure, format
    ("row", "row", "{:<15}"),
    ("minilm", "minilm", "{:>9,.0f}"),
    ("int8", "int8", "{:>9,.0f}"),
    ("torch", "torch", "{:>8,.0f}"),
    ("onnx", "onnx", "{:>8,.0f}"),
    ("hf", "hf", "{:>6,.0f}"),
    ("ct2", "ct2", "{:>6,.0f}"),
    ("ct2 int8", "ct2 int8", "{:>8,.0f}"),
    ("x torch", "x torch", "{:>8.1f}"),
    ("x onnx", "x onnx", "{:>7.1f}"),
    ("x hf", "x hf", "{:>6.1f}"),
    ("x ct2", "x ct2", "{:>6.2f}"),
    ("int8 x", "int8 x", "{:>7.2f}"),
    ("MB", "MB", "{:>6.1f}"),
    ("GB/s", "GB/s", "{:>6.1f}"),
    ("read GB/s", "read GB/s", "{:>9.1f}"),
    ("of read", "of read", "{:>7.2f}"),
]


def weights_read(model: Any) -> int:
    """Return how many bytes of float32 weights a token reads."""
    return 4 * model._decoder().work


def plain_read(size: int, threads: int) -> Callable[[int], object]:
    """Return a function that reads as many bytes as a token does, so many times, on all threads."""
    parts = np.ones((threads, max(1, size // 4 // threads)), np.float32)
    pool = ThreadPoolExecutor(threads)

    def read_part(part: np.ndarray, count: int) -> None:
        for _ in range(count):
            part.max()  # without the GIL, at the speed of memory

    return lambda count: list(pool.map(read_part, parts, [count] * threads))


def tokens_a_turn(write: Write, seconds: float, most: int) -> int:
    """Return how many tokens a turn of about so many seconds writes, at most so many."""
    if math.isinf(seconds):
        return most
    count = 4
    while True:
        start = time.perf_counter()
        write(count)
        spent = time.perf_counter() - start
        if spent > seconds / 4 or count == most:
            return min(most, max(4, round(count * seconds / spent)))
        count = min(most, 4 * count)


def rates_by_turns(
    writes: dict[str, Write], turns: int, seconds: float, most: int
) -> dict[str, float]:
    """Return the median tokens/s of each, all by turns, so that all meet the same machine."""
    counts = {name: tokens_a_turn(write, seconds, most) for name, write in writes.items()}
    rates: dict[str, list[float]] = {name: [] for name in writes}
    for _ in range(turns):
        for name, write in writes.items():
            time.sleep(PAUSE)
            write(4)  # brings its weights back into the caches
            start = time.perf_counter()
            write(counts[name])
            rates[name].append(counts[name] / (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in rates.items()}


def measure(name: str, args: argparse.Namespace) -> dict[str, float | str]:
    """Measure one row: rates in tokens/s, and what they are beside one another."""
    model: Any
    if name in SIZES:
        model = make_transformer(name)
        writes = transformer_contenders(model, args.threads, alone=args.alone)
        most, seconds = MOST, math.inf  # whole texts: reading the prompt is part of it
    else:
        row = RECURRENT[name]
        model, most, seconds = make_model(row), sys.maxsize, args.seconds
        writes = contenders(row, model, args.threads, alone=args.alone)
    size = weights_read(model)
    writes["read"] = plain_read(size, args.threads)
    rates = rates_by_turns(writes, args.turns, seconds, most)
    read = rates.pop("read") * size / 1e9
    ours = rates["minilm"]
    result: dict[str, float | str] = {"row": name, **rates}
    others = [other for other in ("torch", "onnx", "hf", "ct2") if other in rates]
    result |= {f"x {other}": ours / rates[other] for other in others}
    result |= {"int8 x": rates["int8"] / ours, "MB": size / 1e6, "GB/s": ours * size / 1e9}
    return result | {"read GB/s": read, "of read": ours * size / 1e9 / read}


def prompt_line(args: argparse.Namespace) -> str:
    """Measure how long GPT-2 takes to read a prompt, beside the forward of transformers."""
    writes = readers_of_prompts(make_transformer("gpt2"), args.threads, PROMPT)
    spent: dict[str, list[float]] = {name: [] for name in writes}
    for _ in range(args.turns):
        for name, write in writes.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            write(1)
            spent[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(values) for name, values in spent.items()}
    figures = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
    ahead = f": x hf {seconds['hf'] / seconds['minilm']:.2f}" if "hf" in seconds else ""
    return f"gpt2, a prompt of {PROMPT} tokens: {figures}{ahead}"


def width(form: str) -> int:
    """Return how wide a column is."""
    return int(form.partition(":")[2].strip("<>").partition(",")[0].partition(".")[0].rstrip("}"))


def titles() -> str:
    """Return the titles of the columns."""
    return " ".join(f"{title:{form[2]}{width(form)}}" for title, _, form in COLUMNS)


def line(result: dict[str, float | str]) -> str:
    """Return one row's figures; those that were not measured are empty."""
    cells = (form.format(result[name]) if name in result else "" for _, name, form in COLUMNS)
    forms = (form for _, _, form in COLUMNS)
    return " ".join(f"{cell:>{width(form)}}" for cell, form in zip(cells, forms, strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="of one turn, about")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="neither torch nor ONNX Runtime")
    parser.add_argument("--prompt", action="store_true", help="time reading of a long one, too")
    parser.add_argument("--out", type=Path, help="a file for the figures, as JSON")
    args = parser.parse_args()
    minilm.set_num_threads(args.threads)
    print(f"tokens/s, {args.threads} threads, {_core.config()['isa']}, one text")
    print(titles())
    results = []
    for name in args.rows:
        results.append(measure(name, args))
        print(line(results[-1]), flush=True)
    if args.prompt:
        print(prompt_line(args))
    if args.out:
        args.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
