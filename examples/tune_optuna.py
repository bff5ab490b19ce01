"""Search with Optuna: it draws, each run reports its evaluations, and hopeless runs are pruned.

    python examples/tune_optuna.py --trials 20

For a search that needs no program, see docs/tuning.md.
"""

from __future__ import annotations

import argparse

import optuna

import minilm
from minilm.data.stories import stories
from minilm.training import OptunaPruningCallback
from minilm.training.corpus import make_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description="Tune a GRU on stories with Optuna.")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--chars", type=int, default=50_000, help="length of the text")
    args = parser.parse_args()
    corpus = make_corpus(stories(args.chars, seed=0), "word", "stories")

    def objective(trial: optuna.Trial) -> float:
        minilm.manual_seed(0)
        hidden = trial.suggest_categorical("hidden", [32, 64, 128])
        model = minilm.RNNModel(corpus.vocab_size, 32, hidden, "gru")
        history = model.fit(
            corpus.train_ids,
            validation_data=corpus.valid_ids,
            epochs=args.epochs,
            lr=trial.suggest_float("lr", 1e-4, 1e-1, log=True),
            callbacks=[OptunaPruningCallback(trial)],
            verbose=0,
        )
        return history.best("val_loss")[1]

    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
    )
    study.optimize(objective, args.trials)
    pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
    print(f"{pruned} of {len(study.trials)} trials pruned")
    print(f"best: {study.best_value:.4f} nats a word with {study.best_params}")


if __name__ == "__main__":
    main()
