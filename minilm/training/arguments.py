"""How to train: the settings of a run, under Hugging Face's names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from minilm.optim.schedules import SCHEDULES

STRATEGIES = ("no", "steps", "epoch")
OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop", "adagrad")


@dataclass
class TrainingArguments:
    """How to train, with the names, defaults and meaning of ``transformers.TrainingArguments``.

    Attributes
    ----------
    output_dir : str, optional
        The run's folder; without one nothing is written.
    num_train_epochs : float
        Passes over the training data; a part of a pass ends in its midst.
    max_steps : int
        Optimizer steps, instead of `num_train_epochs`, if positive.
    per_device_train_batch_size, per_device_eval_batch_size : int
        Sequences of a batch.
    gradient_accumulation_steps : int
        Batches whose gradients make one step. Every target counts the same, so the gradient is
        that of one large batch.
    gradient_checkpointing : bool
        Compute the activations inside a transformer's blocks again in backward, instead of keeping
        them: less memory, more time, the same bits.
    learning_rate : float
        The highest of the schedule.
    lr_scheduler_type : str
        See :func:`minilm.optim.get_scheduler`.
    lr_scheduler_kwargs : dict
        Further arguments of the schedule.
    warmup_steps : float
        Steps of warm-up; below 1, their share of all steps.
    optim : {"adamw", "adam", "sgd", "rmsprop", "adagrad"}
        The optimizer; Hugging Face's ``adamw_torch`` means the first.
    weight_decay : float
        Of matrices; biases and normalisation have nothing to gain from it.
    adam_beta1, adam_beta2, adam_epsilon : float
        Of Adam.
    momentum : float
        Of SGD.
    max_grad_norm : float
        Largest norm of all gradients together; 0 does not clip.
    label_smoothing_factor : float
        Share of each target that is spread over all tokens.
    ema_decay : float
        If positive, an average of the weights is kept, of which each step leaves this much; it
        is what is validated, and what the model is left with.
    logging_strategy, eval_strategy, save_strategy : {"no", "steps", "epoch"}
        When to log, evaluate, and write a checkpoint; `save_strategy` "best" writes one after
        each evaluation that is the best so far.
    logging_steps, eval_steps, save_steps : float
        How often, for "steps"; below 1, a share of all steps. `eval_steps` None is
        `logging_steps`.
    logging_first_step : bool
        Log the first step too.
    save_total_limit : int, optional
        Checkpoints to keep; the oldest go first, the best one stays.
    load_best_model_at_end : bool
        Leave the model with the weights that evaluated best.
    metric_for_best_model : str, optional
        By what; the evaluation loss if left out.
    greater_is_better : bool, optional
        Whether that grows as the model gets better; by its name if left out.
    seed, data_seed : int
        Of everything drawn at random; of the order of the data, if it is another.
    dataloader_drop_last : bool
        Leave out a last batch that is not full.
    remove_unused_columns : bool
        Leave out the columns of a data set that the model does not take.
    label_names : list of str, optional
        Columns that hold labels.
    resume_from_checkpoint : str or bool, optional
        A checkpoint, or True for the newest in `output_dir`.
    disable_tqdm : bool, optional
        No progress bar; None is a bar in terminals and notebooks only.
    report_to : str or list of str
        Where else to log: "tensorboard", "wandb", "mlflow", "all" that are installed, or "none".
    run_name : str, optional
        What the run is called there.

    dataloader_num_workers, dataloader_pin_memory, use_cpu
        Accepted, without effect: batches are made in microseconds, in this process, on the CPU.
    fp16, bf16 : bool
        Not supported: processors compute in 32 bits.

    Raises
    ------
    TypeError
        If there is no argument of a name; the message gives the nearest.
    ValueError
        If a value is out of range; the message names it, and what was expected.

    Examples
    --------
    >>> TrainingArguments(output_dir="run", num_train_epochs=2, learning_rate=1e-3)
    """

    output_dir: str | None = None
    num_train_epochs: float = 3.0
    max_steps: int = -1
    per_device_train_batch_size: int = 8
    per_device_eval_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    gradient_checkpointing: bool = False
    learning_rate: float = 5e-5
    lr_scheduler_type: str = "linear"
    lr_scheduler_kwargs: dict[str, Any] = field(default_factory=dict)
    warmup_steps: float = 0
    optim: str = "adamw"
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    momentum: float = 0.0
    max_grad_norm: float = 1.0
    label_smoothing_factor: float = 0.0
    ema_decay: float = 0.0
    logging_strategy: str = "steps"
    logging_steps: float = 500
    logging_first_step: bool = False
    eval_strategy: str = "no"
    eval_steps: float | None = None
    save_strategy: str = "steps"
    save_steps: float = 500
    save_total_limit: int | None = None
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = None
    greater_is_better: bool | None = None
    seed: int = 42
    data_seed: int | None = None
    dataloader_drop_last: bool = False
    remove_unused_columns: bool = True
    label_names: list[str] | None = None
    resume_from_checkpoint: str | bool | None = None
    disable_tqdm: bool | None = None
    report_to: str | list[str] = "none"
    run_name: str | None = None
    dataloader_num_workers: int = 0
    dataloader_pin_memory: bool = True
    use_cpu: bool = False
    fp16: bool = False
    bf16: bool = False

    def __new__(cls, *args: Any, **values: Any) -> Self:  # noqa: D102 - for a better message
        try:
            check_names("TrainingArguments", values, [column.name for column in fields(cls)])
        except ValueError as error:
            raise TypeError(str(error)) from None
        return super().__new__(cls)

    def __post_init__(self) -> None:
        if self.optim in ("adamw_torch", "adamw_torch_fused"):
            self.optim = "adamw"
        self.output_dir = None if self.output_dir is None else str(self.output_dir)
        for name, allowed in CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        for name, low in AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= low:
                raise ValueError(f"{name} must be at least {low}; got {value!r}")
        for name in ("fp16", "bf16"):
            if getattr(self, name):
                raise ValueError(
                    f"{name}=True is not supported: minilm computes in float32; leave it out"
                )
        for name in ("label_smoothing_factor", "ema_decay", "adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1); got {getattr(self, name)!r}")
        if self.max_steps <= 0 and not self.num_train_epochs > 0:
            raise ValueError(
                f"num_train_epochs must be above 0, or max_steps given; got {self.num_train_epochs}"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make arguments from names and values.

        Raises
        ------
        ValueError
            If there is no argument of that name; the message gives the nearest.
        """
        check_names("TrainingArguments", values, [column.name for column in fields(cls)])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return names and values, which JSON can hold."""
        return asdict(self)


CHOICES = {
    "lr_scheduler_type": tuple(SCHEDULES),
    "optim": OPTIMIZERS,
    "logging_strategy": STRATEGIES,
    "eval_strategy": STRATEGIES,
    "save_strategy": (*STRATEGIES, "best"),
}
AT_LEAST = {
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "learning_rate": 0,
    "warmup_steps": 0,
    "weight_decay": 0,
    "max_grad_norm": 0,
    "logging_steps": 0,
    "eval_steps": 0,
    "save_steps": 0,
    "save_total_limit": 1,
    "seed": 0,
    "data_seed": 0,
}


def check_choice(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Raise ValueError, with the nearest choice, if `value` is none of those allowed."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), [str(choice) for choice in allowed], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name} must be one of {choices}; got {value!r}{hint}")


def check_names(what: str, given: Mapping[str, Any], known: list[str]) -> None:
    """Raise ValueError, with the nearest name, for a key that is none of the known ones."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it knows {', '.join(known)}"
            raise ValueError(f"{what} has no {name!r}{hint}")
