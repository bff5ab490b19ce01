"""A search with Ray Tune, in a process of its own; see test_training_search.py."""

import sys

from ray import tune
from training_helpers import CYCLE, Bigram

from minilm.training import Trainer, TrainingArguments

folder = sys.argv[1]
args = TrainingArguments(
    output_dir=f"{folder}/out",
    num_train_epochs=2,
    eval_strategy="epoch",
    save_strategy="epoch",
    disable_tqdm=True,
)
trainer = Trainer(
    None, args, train_dataset=CYCLE[:200], eval_dataset=CYCLE[200:280], model_init=Bigram
)
best = trainer.hyperparameter_search(
    lambda _: {"learning_rate": tune.grid_search([1e-6, 0.1])},
    n_trials=1,
    backend="ray",
    run_config=tune.RunConfig(storage_path=folder, verbose=0),
)
trainer.args.learning_rate = best.hyperparameters["learning_rate"]
trainer.train()
again = trainer.evaluate()["eval_loss"]
print(best.run_id, best.hyperparameters["learning_rate"], best.objective, again)
