"""Learning rate schedules and averages of weights, for PyTorch and for minilm alike."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from .seeded import uniform

STEPS = 60
RATES = (0.1, 0.03)  # of two parameter groups
RESULTS = [3.0, 2.0, 2.1, 1.99999, 2.2, 1.5, *[1.6] * 9, 1.2, *[1.21] * 45]

Make = Callable[[ModuleType, Any], Any]  # of the module lr_scheduler and an optimizer

SCHEDULES: dict[str, Make] = {
    "LambdaLR": lambda m, o: m.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (1 + e)]),
    "StepLR": lambda m, o: m.StepLR(o, 7, gamma=0.5),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [20, 5, 5, 13], gamma=0.3),
    "ConstantLR": lambda m, o: m.ConstantLR(o, factor=0.3, total_iters=10),
    "LinearLR": lambda m, o: m.LinearLR(o, start_factor=0.1, end_factor=0.8, total_iters=25),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, gamma=0.9),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o, total_iters=40, power=2.0),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, T_max=20, eta_min=0.001),
    "CosineAnnealingWarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 7, eta_min=0.001),
    "CosineAnnealingWarmRestarts-T_mult": lambda m, o: m.CosineAnnealingWarmRestarts(o, 7, 2),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, [0.5, 0.2], total_steps=60),
    "OneCycleLR-linear": lambda m, o: m.OneCycleLR(
        o, 0.5, epochs=6, steps_per_epoch=10, pct_start=0.2, anneal_strategy="linear",
        three_phase=True, base_momentum=0.8, max_momentum=0.9, div_factor=10.0,
    ),
    "OneCycleLR-rates-only": lambda m, o: m.OneCycleLR(o, 0.5, 70, cycle_momentum=False),
    "SequentialLR": lambda m, o: m.SequentialLR(
        o,
        [m.LinearLR(o, 0.1, total_iters=10), m.CosineAnnealingLR(o, 30, 0.001),
         m.ExponentialLR(o, 0.9)],
        milestones=[10, 40],
    ),
    "SequentialLR-restarts": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.1, 20), m.CosineAnnealingWarmRestarts(o, 5)], milestones=[12]
    ),
    "SequentialLR-cycles": lambda m, o: m.SequentialLR(
        o, [m.OneCycleLR(o, 0.5, 20), m.OneCycleLR(o, 0.5, 40)], milestones=[20]
    ),
    "ChainedScheduler": lambda m, o: m.ChainedScheduler(
        [m.LinearLR(o, 0.1, total_iters=10), m.CosineAnnealingLR(o, 70, 0.001),
         m.ExponentialLR(o, 0.9)]
    ),
    "ChainedScheduler-absolute": lambda m, o: m.ChainedScheduler(
        [m.LambdaLR(o, lambda e: 0.99**e), m.StepLR(o, 6)]
    ),
    "ReduceLROnPlateau": lambda m, o: m.ReduceLROnPlateau(
        o, factor=0.5, patience=2, cooldown=3, min_lr=[0.001, 0.01]
    ),
    "ReduceLROnPlateau-abs": lambda m, o: m.ReduceLROnPlateau(
        o, patience=4, threshold=0.2, threshold_mode="abs"
    ),
    "ReduceLROnPlateau-max": lambda m, o: m.ReduceLROnPlateau(
        o, mode="max", factor=0.25, patience=0, threshold=0
    ),
    "ReduceLROnPlateau-max-abs": lambda m, o: m.ReduceLROnPlateau(
        o, "max", patience=3, threshold=0.5, threshold_mode="abs", eps=1e-3
    ),
}  # fmt: skip

# name of the schedule, warm-up, further arguments
WARMUPS: list[tuple[str, int, dict[str, Any]]] = [
    ("linear", 8, {}),
    ("linear", 0, {}),
    ("cosine", 8, {}),
    ("cosine", 8, {"num_cycles": 1.5}),
    ("cosine_with_restarts", 8, {"num_cycles": 3}),
    ("polynomial", 8, {"power": 2.0, "lr_end": 0.001}),
    ("constant", 0, {}),
    ("constant_with_warmup", 8, {}),
    ("inverse_sqrt", 8, {}),
    ("inverse_sqrt", 0, {"timescale": 20}),
    ("cosine_with_min_lr", 8, {"min_lr": 0.01}),
    ("cosine_with_min_lr", 3, {"min_lr_rate": 0.05}),
    ("cosine_warmup_with_min_lr", 8, {"min_lr": 0.01}),
    ("cosine_warmup_with_min_lr", 8, {"min_lr_rate": 0.1, "warmup_lr_rate": 0.2}),
    ("warmup_stable_decay", 8, {"num_decay_steps": 15}),
    ("warmup_stable_decay", 8, {"num_decay_steps": 15, "warmup_type": "1-sqrt",
                                "decay_type": "linear", "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", 8, {"num_decay_steps": 15, "num_stable_steps": 20,
                                "warmup_type": "cosine", "decay_type": "1-sqrt"}),
]  # fmt: skip

AVERAGES: dict[str, Callable[[ModuleType], dict[str, Any]]] = {
    "equal": lambda m: {},
    "equal-multi": lambda m: {"multi_avg_fn": m.get_swa_multi_avg_fn()},
    "exponential": lambda m: {"multi_avg_fn": m.get_ema_multi_avg_fn(0.9)},
    "exponential-fast": lambda m: {"multi_avg_fn": m.get_ema_multi_avg_fn(0.3)},
    "exponential-one": lambda m: {"avg_fn": m.get_ema_avg_fn(0.9)},
    "exponential-buffers": lambda m: {
        "multi_avg_fn": m.get_ema_multi_avg_fn(0.9),
        "use_buffers": True,
    },
}


def optimizer(lib: ModuleType, kind: str = "SGD") -> Any:
    """Return an optimizer of two groups with a parameter each."""
    params = [lib.nn.Parameter(lib.ones(2)) for _ in RATES]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(params, RATES, strict=True)]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(lib.optim, kind)(groups, lr=RATES[0], **options)


def advance(scheduler: Any, step: int) -> None:
    """Take one step of a schedule, with a result where it needs one."""
    if hasattr(scheduler, "num_bad_epochs"):
        scheduler.step(RESULTS[step])
    else:
        scheduler.step()


def settings(optimizer: Any) -> list[float]:
    """Return rates and momenta of the groups."""
    groups = optimizer.param_groups
    momenta = [g["betas"][0] if "betas" in g else g["momentum"] for g in groups]
    return [group["lr"] for group in groups] + momenta


def follow(optimizer: Any, scheduler: Any, steps: int = STEPS) -> np.ndarray:
    """Return rates and momenta in each step, (steps, 2 * groups)."""
    rows = []
    for step in range(steps):
        rows.append(settings(optimizer))
        optimizer.step()  # without gradients it does nothing, but PyTorch asks for it
        advance(scheduler, step)
    return np.array(rows)


def average(lib: ModuleType, utils: ModuleType, name: str) -> np.ndarray:
    """Return averaged weights and a buffer after each of 10 steps of a small model."""

    class Model(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = lib.nn.Linear(3, 2)
            self.register_buffer("seen", lib.zeros(2))

    def set_weights(step: int) -> None:
        values = {
            key: lib.tensor(uniform(f"averages/{step}/{key}", tuple(t.shape)).astype(np.float32))
            for key, t in model.state_dict().items()
        }
        model.load_state_dict(values)

    model = Model()
    set_weights(0)
    averaged = utils.AveragedModel(model, **AVERAGES[name](utils))
    rows = []
    for step in range(1, 11):
        set_weights(step)
        averaged.update_parameters(model)
        state = averaged.state_dict()
        rows.append(np.concatenate([np.ravel(value.numpy()) for value in state.values()]))
    return np.array(rows, np.float64)


def warmup_key(case: tuple[str, int, dict[str, Any]]) -> str:
    """Return the name of a case of `WARMUPS`."""
    name, warmup, options = case
    return "-".join([name, str(warmup), *(f"{k}={v}" for k, v in options.items())])
