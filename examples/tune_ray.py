"""Search with Ray Tune: runs side by side report their evaluations, and ASHA ends the worse ones.

python examples/tune_ray.py --trials 20
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ray import tune

import minilm
from minilm.data.stories import stories
from minilm.training import RayReportCallback
from minilm.training.corpus import make_corpus


def train(config: dict[str, Any]) -> None:
    """Train one trial, in a process of Ray's."""
    minilm.manual_seed(0)
    corpus = make_corpus(stories(config["chars"], seed=0), "word", "stories")
    model = minilm.RNNModel(corpus.vocab_size, 32, config["hidden"], "gru")
    model.fit(
        corpus.train_ids,
        validation_data=corpus.valid_ids,
        epochs=config["epochs"],
        lr=config["lr"],
        callbacks=[RayReportCallback()],
        verbose=0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Tune a GRU on stories with Ray Tune.")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--chars", type=int, default=50_000, help="length of the text")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where Ray's files go")
    args = parser.parse_args()
    space = {
        "hidden": tune.choice([32, 64, 128]),
        "lr": tune.loguniform(1e-4, 1e-1),
        "epochs": args.epochs,
        "chars": args.chars,
    }
    goal = {"metric": "val_loss", "mode": "min"}
    tuner = tune.Tuner(
        train,
        param_space=space,
        tune_config=tune.TuneConfig(
            num_samples=args.trials,
            scheduler=tune.schedulers.ASHAScheduler(time_attr="epoch", max_t=args.epochs),
            **goal,
        ),
        run_config=tune.RunConfig(name="ray", storage_path=str(args.out.resolve()), verbose=0),
    )
    best = tuner.fit().get_best_result(**goal)
    print(f"best: {best.metrics['val_loss']:.4f} nats a word with {best.config}")


if __name__ == "__main__":
    main()
