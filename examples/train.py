"""The tutorial's training template in one file, with every step in sight.

    python examples/train.py
    python examples/train.py --data my.txt --level char --cell lstm --epochs 10 --out runs/mine

It reads a text, trains a recurrent model on it, validates after each epoch, plots loss and
accuracy, saves the best weights and writes a passage. The folder that it fills is one that
`minilm generate`, `minilm eval` and `minilm info` read.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

import minilm
from minilm import nn, optim
from minilm.data import (
    DataLoader,
    TokenDataset,
    encode_text,
    read_text,
    train_char_tokenizer,
    train_word_tokenizer,
)
from minilm.data.stories import stories
from minilm.generation import stream_text

History = dict[str, list[float]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train a language model as the tutorial does.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", help="a UTF-8 text; without it, stories that minilm carries")
    add("--level", choices=("word", "char"), default="word", help="what a token is")
    add("--sequence-length", type=int, default=32, help="tokens of a sample")
    add("--batch-size", type=int, default=32, help="samples of a step")
    kinds = ("rnn", "lstm", "gru", "mingru", "minlstm")
    add("--cell", choices=kinds, default="gru", help="kind of recurrent layer")
    add("--embed", type=int, default=64, help="length of a token's vector")
    add("--hidden", type=int, default=128, help="units of a recurrent layer")
    add("--layers", type=int, default=1, help="recurrent layers")
    add("--dropout", type=float, default=0.1, help="share of outputs dropped in training")
    add("--epochs", type=int, default=5, help="passes over the training text")
    add("--lr", type=float, default=3e-3, help="learning rate of Adam")
    add("--weight-decay", type=float, default=0.0, help="L2 penalty of Adam")
    add("--clip", type=float, default=1.0, help="largest norm of the gradients")
    add("--seed", type=int, default=0, help="of weights, dropout and shuffling")
    add("--prompt", default="", help="what the passage goes on from")
    add("--out", type=Path, default=Path("runs", "example"), help="folder to fill")
    return parser.parse_args()


# --- data -----------------------------------------------------------------------------------------


def load_data(args: argparse.Namespace) -> tuple[Tokenizer, DataLoader, DataLoader]:
    """Return a tokenizer, and loaders of the first 90 % of the text and of the rest."""
    text = read_text(args.data) if args.data else stories()
    make_tokenizer = train_word_tokenizer if args.level == "word" else train_char_tokenizer
    tokenizer = make_tokenizer(text)
    ids = encode_text(tokenizer, text)
    cut = len(ids) * 9 // 10

    def loader(part: np.ndarray, shuffle: bool) -> DataLoader:
        # Windows side by side: each token is an input once an epoch.
        dataset = TokenDataset(part, args.sequence_length, stride=args.sequence_length)
        return DataLoader(dataset, batch_size=args.batch_size, shuffle=shuffle)

    return tokenizer, loader(ids[:cut], shuffle=True), loader(ids[cut:], shuffle=False)


# --- training -------------------------------------------------------------------------------------


def train_epoch(
    model: nn.Module, loader: DataLoader, criterion: nn.Module, optimizer: optim.Adam, clip: float
) -> float:
    """Make one pass over the data; return the mean loss, nats a token."""
    model.train()
    total_loss = 0.0
    for inputs, targets in loader:
        outputs = model(inputs)  # (batch, time, vocab)
        loss = criterion(outputs.transpose(1, 2), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        total_loss += loss.item()
    return total_loss / len(loader)


def validate(model: nn.Module, loader: DataLoader, criterion: nn.Module) -> tuple[float, float]:
    """Return the mean loss, nats a token, and the share of tokens guessed right."""
    model.eval()
    total_loss, right, count = 0.0, 0, 0
    with minilm.no_grad():
        for inputs, targets in loader:
            outputs = model(inputs)
            total_loss += criterion(outputs.transpose(1, 2), targets).item()
            right += int((outputs.argmax(2) == targets).sum().item())
            count += targets.numel()
    return total_loss / len(loader), right / count


def fit(
    model: nn.Module, train: DataLoader, valid: DataLoader, args: argparse.Namespace
) -> History:
    """Train, print a line an epoch, and leave the model with the weights of the best epoch."""
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    history: History = {"training loss": [], "validation loss": [], "validation accuracy": []}
    best, best_weights = math.inf, None
    for epoch in range(1, args.epochs + 1):
        started = time.perf_counter()
        train_loss = train_epoch(model, train, criterion, optimizer, args.clip)
        seconds = time.perf_counter() - started
        valid_loss, accuracy = validate(model, valid, criterion)
        for values, value in zip(history.values(), (train_loss, valid_loss, accuracy), strict=True):
            values.append(value)
        print(
            f"epoch {epoch}  training {train_loss:.4f}  validation {valid_loss:.4f} nats a token  "
            f"accuracy {accuracy:.1%}  {seconds:.1f} s",
            file=sys.stderr,
        )
        if valid_loss < best:
            best = valid_loss
            best_weights = {name: value.clone() for name, value in model.state_dict().items()}
    if best_weights is None:
        raise ArithmeticError("no epoch ended with a loss that is a number: lower --lr")
    model.load_state_dict(best_weights)
    return history


# --- plots ----------------------------------------------------------------------------------------


def plot(history: History, path: Path) -> None:
    """Draw loss and accuracy over the epochs, where matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no plot: pip install matplotlib", file=sys.stderr)
        return
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for name, values in history.items():
        axes = accuracy if "accuracy" in name else loss
        axes.plot(range(1, len(values) + 1), values, "o-", label=name)
    loss.set(xlabel="epoch", ylabel="nats a token")
    accuracy.set(xlabel="epoch", ylabel="share of tokens guessed right")
    for axes in (loss, accuracy):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=120)


# --- all of it ------------------------------------------------------------------------------------


def main() -> None:
    args = parse_arguments()
    minilm.manual_seed(args.seed)
    tokenizer, train, valid = load_data(args)
    # Any nn.Module that maps ids (batch, time) to logits (batch, time, vocab) can stand here.
    model = minilm.RNNModel(
        tokenizer.get_vocab_size(), args.embed, args.hidden, args.cell, args.layers, args.dropout
    )
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", file=sys.stderr)
    history = fit(model, train, valid, args)
    model.save_pretrained(args.out, tokenizer)
    plot(history, args.out / "curves.png")
    print(f"saved in {args.out}", file=sys.stderr)
    stream_text(
        model, tokenizer, args.prompt, write=sys.stdout.write, temperature=0.8, seed=args.seed
    )
    print()


if __name__ == "__main__":
    main()
