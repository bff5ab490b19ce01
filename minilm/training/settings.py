"""What can be chosen about a run on a text, and what is chosen when nobody does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilm.training.architectures import KINDS
from minilm.training.arguments import TrainingArguments, check_choice


@dataclass(frozen=True)
class Architecture:
    """What to train: a model's kind and sizes. What is None is as the kind has it.

    Attributes
    ----------
    model : str
        "rnn", "lstm", "gru", "mingru", "minlstm"; "awd-lstm"; "gpt", "gpt-nano", "gpt-mini" or
        "gpt2".
    layers : int, optional
        Recurrent layers or blocks: 1, in a GPT 4.
    hidden : int, optional
        Units of a layer: 256, in a GPT 128.
    embed : int, optional
        Length of a token's vector: 128.
    heads : int, optional
        Of a transformer's attention: 4.
    dropout : float, optional
        Share dropped in training: 0.2, in a GPT 0.
    tie : bool
        One matrix for embedding and head, in recurrent models; a GPT always has one.
    """

    model: str = "lstm"
    layers: int | None = None
    hidden: int | None = None
    embed: int | None = None
    heads: int | None = None
    dropout: float | None = None
    tie: bool = False

    def __post_init__(self) -> None:
        check_choice("model", self.model, tuple(KINDS))


@dataclass(frozen=True)
class Settings:
    """How to train it.

    Attributes
    ----------
    epochs : int
        Passes over the training text.
    batch_size : int
        Pieces of the text read side by side.
    seq_len : int
        Tokens through which gradients flow; the state is carried further.
    optimizer : str
        "adamw", "adam", "sgd", "rmsprop" or "adagrad".
    lr : float, optional
        Highest learning rate of the schedule: 0.01, in a GPT 0.001.
    schedule : str
        "cosine" is a short warm-up, then half a cosine down to a twentieth; any other is one of
        :func:`minilm.optim.get_scheduler`, with the same warm-up where it has one.
    beta2 : float
        Of Adam: how much of the mean of squared gradients each step keeps.
    weight_decay : float
        On matrices only; biases have nothing to gain from it.
    clip : float
        Largest norm of all gradients together; 0 does not clip.
    accumulate : int
        Windows whose gradients make one step.
    gradient_checkpointing : bool
        Compute a GPT's activations again in backward, instead of keeping them.
    label_smoothing : float
        Share of each target that is spread over all tokens.
    ema : float
        If positive, the share of an average of the weights that each step leaves; that average
        is validated and saved.
    patience : int
        Stop after so many epochs without improvement; 0 never stops early.
    save_steps : int
        Steps from one checkpoint to the next; 0 writes one an epoch.
    seed : int
        Of the weights, of dropout, and of where windows are cut.
    """

    epochs: int = 10
    batch_size: int = 16
    seq_len: int = 64
    optimizer: str = "adamw"
    lr: float | None = None
    schedule: str = "cosine"
    beta2: float = 0.999
    weight_decay: float = 0.01
    clip: float = 1.0
    accumulate: int = 1
    gradient_checkpointing: bool = False
    label_smoothing: float = 0.0
    ema: float = 0.0
    patience: int = 0
    save_steps: int = 0
    seed: int = 0

    def arguments(self, folder: Path | None, model: str = "lstm") -> TrainingArguments:
        """Return the same as the engine takes it.

        Parameters
        ----------
        folder : Path or None
            The run's.
        model : str
            The kind of model, which says what learning rate suits it.
        """
        schedule: dict[str, Any] = {"lr_scheduler_type": self.schedule}
        if self.schedule == "cosine":
            schedule["lr_scheduler_type"] = "cosine_with_min_lr"
            schedule["lr_scheduler_kwargs"] = {"min_lr_rate": 0.05}
        return TrainingArguments(
            output_dir=None if folder is None else str(folder),
            num_train_epochs=self.epochs,
            per_device_train_batch_size=self.batch_size,
            optim=self.optimizer,
            learning_rate=KINDS[model].lr if self.lr is None else self.lr,
            adam_beta2=self.beta2,
            warmup_steps=0.05,
            **schedule,
            weight_decay=self.weight_decay,
            max_grad_norm=self.clip,
            gradient_accumulation_steps=self.accumulate,
            gradient_checkpointing=self.gradient_checkpointing,
            label_smoothing_factor=self.label_smoothing,
            ema_decay=self.ema,
            eval_strategy="epoch",
            logging_steps=100,
            save_strategy="steps" if self.save_steps else "epoch",
            save_steps=self.save_steps or 500,
            save_total_limit=2,
            load_best_model_at_end=True,
            seed=self.seed,
        )
