"""Optimizers and clipping on given gradients, for PyTorch, for minilm and for the slow twins."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from .seeded import uniform
from .slow import optimizers

Array = np.ndarray
SHAPES = ((3, 5), (67,), (1,))
STEPS = 10


@dataclass(frozen=True)
class Run:
    """An optimizer's class name and options."""

    name: str
    optimizer: str
    options: dict[str, object]

    def __str__(self) -> str:
        return self.name


def run(optimizer: str, **options: object) -> Run:
    """Name a run after its options."""
    return Run("-".join([optimizer, *options]), optimizer, {"lr": 0.05} | options)


# weight_decay and maximize mean the same everywhere, yet each optimizer implements them
OPTIMIZERS: list[Run] = [
    run("SGD"),
    run("SGD", momentum=0.9),
    run("SGD", momentum=0.9, dampening=0.3),
    run("SGD", momentum=0.9, nesterov=True),
    run("SGD", momentum=0.9, weight_decay=0.1, maximize=True),
    run("Adagrad"),
    run("Adagrad", lr_decay=0.1, initial_accumulator_value=0.2, eps=1e-3),
    run("Adagrad", weight_decay=0.1, maximize=True),
    run("RMSprop"),
    run("RMSprop", alpha=0.9, eps=1e-3),
    run("RMSprop", momentum=0.9),
    run("RMSprop", centered=True, momentum=0.5),
    run("RMSprop", weight_decay=0.1, maximize=True),
    run("Adam"),
    run("Adam", betas=(0.8, 0.95), eps=1e-3),
    run("Adam", weight_decay=0.1),
    run("Adam", maximize=True),
    run("AdamW"),
    run("AdamW", betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3),
    run("AdamW", weight_decay=0.0, maximize=True),
]

# (max_norm, norm_type): below the norm, above it, and the other norms
CLIPS = [(1.0, 2.0), (1000.0, 2.0), (0.5, 1.0), (0.25, float("inf")), (1.0, 3.0)]

CLIP_VALUE = 0.3


def weights() -> list[Array]:
    """Return the weights that every run begins with."""
    return [uniform(f"weights/{i}", shape) for i, shape in enumerate(SHAPES)]


def gradients(step: int) -> list[Array]:
    """Return the gradients of one step; their size changes from step to step."""
    scale = (0.1, 1.0, 3.0)[step % 3]
    return [uniform(f"gradients/{step}/{i}", shape, scale) for i, shape in enumerate(SHAPES)]


def flat(arrays: list[Array]) -> Array:
    """Return all elements in one vector."""
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)


def optimize(lib: ModuleType, run: Run, dtype: type = np.float32) -> Array:
    """Return all weights after each step of ``lib.optim``, (STEPS, weights)."""
    params = [lib.nn.Parameter(lib.tensor(value.astype(dtype))) for value in weights()]
    optimizer = getattr(lib.optim, run.optimizer)(params, **run.options)
    trajectory = []
    for step in range(STEPS):
        for param, grad in zip(params, gradients(step), strict=True):
            param.grad = lib.tensor(grad.astype(dtype))
        optimizer.step()
        trajectory.append(flat([param.detach().numpy() for param in params]))
    return np.stack(trajectory)


def optimize_slowly(run: Run) -> Array:
    """Do the same with the slow twins, one for each array."""
    params = weights()
    twins = [getattr(optimizers, run.optimizer)(**run.options) for _ in params]
    trajectory = []
    for step in range(STEPS):
        params = [
            twin.step(param, grad)
            for twin, param, grad in zip(twins, params, gradients(step), strict=True)
        ]
        trajectory.append(flat(params))
    return np.stack(trajectory)


def clip(
    lib: ModuleType, max_norm: float, norm_type: float, dtype: type = np.float32
) -> tuple[float, Array]:
    """Return the norm that ``clip_grad_norm_`` found, and the gradients that it left."""
    params = with_grads(lib, dtype)
    norm = lib.nn.utils.clip_grad_norm_(params, max_norm, norm_type)
    return float(norm), flat([param.grad.numpy() for param in params])


def clip_value(lib: ModuleType, value: float, dtype: type = np.float32) -> Array:
    """Return the gradients that ``clip_grad_value_`` left."""
    params = with_grads(lib, dtype)
    lib.nn.utils.clip_grad_value_(params, value)
    return flat([param.grad.numpy() for param in params])


def with_grads(lib: ModuleType, dtype: type) -> list:
    """Return the parameters of a run with their first gradients."""
    params = [lib.nn.Parameter(lib.tensor(value.astype(dtype))) for value in weights()]
    for param, grad in zip(params, gradients(1), strict=True):
        param.grad = lib.tensor(grad.astype(dtype))
    return params
