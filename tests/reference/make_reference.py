"""Write PyTorch's answers to ``data/``; needs torch 2.13, which the tests then do not.

Schedules with a warm-up are those of transformers 5.24.

Run it after a change of the cases, from the folder ``tests``::

    python -m reference.make_reference

Layers and optimizers are computed in float64, so that what is stored is right to the last digits;
training runs in float32, as users train.
"""

from __future__ import annotations

import json

import numpy as np
import torch

from . import schedules, training, weights
from .case import Case
from .cases import CASES
from .modules import build, run_layer, run_modules
from .named import MODULES
from .seeded import digest
from .slow import TWINS
from .slow.attention import dropout_factor
from .slow.layers import inverted
from .stored import DATA
from .trajectories import CLIP_VALUE, CLIPS, OPTIMIZERS, clip, clip_value, optimize


def factor(case: Case, index: int, shape: tuple[int, ...], p: float) -> torch.Tensor:
    """Return what dropout multiplies with."""
    return torch.tensor(inverted(case.draw(index, shape), p))


def run_masked(case: Case):
    """Return a stand-in for ``run_layer`` that takes a case's masks instead of PyTorch's own.

    A recurrent module runs layer by layer, each as a module of one layer that borrows its weights.
    """

    def run_dropout(module, x):
        return (x * factor(case, 0, tuple(x.shape), module.p),)

    def run_recurrent(module, x, *states):
        states = [None if state is None else state.chunk(module.num_layers) for state in states]
        config = dict(case.config, num_layers=1, dropout=0.0)
        last = []
        for layer in range(module.num_layers):
            if layer > 0:
                time_first = x.transpose(0, 1) if module.batch_first else x
                masked = time_first * factor(case, layer, time_first.shape, module.dropout)
                x = masked.transpose(0, 1) if module.batch_first else masked
            single = Borrowed(build(torch, case.kind, config), module, layer)
            x, *after = run_layer(single, x, *(state and state[layer] for state in states))
            last.append(after)
            config["input_size"] = x.shape[-1]
        return (x, *(torch.cat(each) for each in zip(*last, strict=True)))

    def drop_probabilities(weights):
        p = case.config["dropout"]
        return weights * torch.tensor(dropout_factor(case.draw, tuple(weights.shape), p))

    kinds = {"dropout": run_dropout, "attention": drop_probabilities}
    return kinds.get(case.kind, run_recurrent)


class Borrowed:
    """A recurrent module of one layer, called with the weights of layer ``layer`` of another."""

    def __init__(self, single: torch.nn.Module, owner: torch.nn.Module, layer: int):
        self.single = single
        names = [name for name, _ in single.named_parameters()]
        self.weights = {n: getattr(owner, n.replace("_l0", f"_l{layer}")) for n in names}

    def __call__(self, *args):
        return torch.func.functional_call(self.single, self.weights, args)


def write(name: str, arrays: dict[str, np.ndarray]) -> None:
    """Write ``data/<name>.npz``."""
    np.savez_compressed(DATA / f"{name}.npz", **arrays)


def layers(kind: str) -> dict[str, np.ndarray]:
    """Return digests of all results of the cases of one layer kind."""
    arrays = {}
    for case in CASES:
        if case.kind == kind:
            call = run_masked(case) if case.training else run_layer
            for name, value in run_modules(torch, case, np.float64, call).items():
                arrays[f"{case.name}/{name}"] = digest(value)
    return arrays


def optimizers() -> dict[str, np.ndarray]:
    """Return the weights after each step of each optimizer."""
    return {run.name: optimize(torch, run, np.float64) for run in OPTIMIZERS}


def clipping() -> dict[str, np.ndarray]:
    """Return norms and clipped gradients."""
    arrays = {"value": clip_value(torch, CLIP_VALUE, np.float64)}
    for max_norm, norm_type in CLIPS:
        norm, grads = clip(torch, max_norm, norm_type, np.float64)
        arrays[f"{max_norm}/{norm_type}"] = np.append(norm, grads)
    return arrays


def losses() -> dict[str, np.ndarray]:
    """Return the loss at each step of the tutorial's training."""
    return {cell: np.array(training.train(torch, cell)) for cell in training.CELLS}


def learning_rates() -> dict[str, np.ndarray]:
    """Return the rates that schedules set in each step, PyTorch's and Hugging Face's."""
    from transformers.optimization import get_scheduler

    arrays = {}
    for name, make in schedules.SCHEDULES.items():
        optimizer = schedules.optimizer(torch)
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        arrays[name] = schedules.follow(optimizer, scheduler)
    for case in schedules.WARMUPS:
        name, warmup, options = case
        optimizer = schedules.optimizer(torch)
        scheduler = get_scheduler(name, optimizer, warmup, 55, options)
        arrays[schedules.warmup_key(case)] = schedules.follow(optimizer, scheduler)
    return arrays


def averages() -> dict[str, np.ndarray]:
    """Return averages of weights after each step."""
    return {
        name: schedules.average(torch, torch.optim.swa_utils, name) for name in schedules.AVERAGES
    }


def state_dicts() -> dict[str, dict[str, list[int]]]:
    """Return names and shapes of state_dicts, in order."""
    return {
        name: {key: list(value.shape) for key, value in make(torch).state_dict().items()}
        for name, make in MODULES.items()
    }


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    torch.set_default_dtype(torch.float64)
    for kind in TWINS:
        write(kind, layers(kind))
    torch.set_default_dtype(torch.float32)
    write("optimizers", optimizers())
    write("clipping", clipping())
    write("losses", losses())
    write("schedules", learning_rates())
    write("averages", averages())
    write("weights", {**weights.tied(torch), **weights.computed(torch)})
    text = json.dumps(state_dicts(), indent=1) + "\n"
    (DATA / "state_dicts.json").write_text(text, encoding="utf-8")
