"""What a case is: a layer kind, its configuration, its inputs; and what the slow twin makes of it.

All numbers follow from the case's name (see ``seeded``), so a case is stored as one row of
``cases`` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .seeded import ids, uniform
from .slow import TWINS
from .slow.philox import dropout_mask

Array = np.ndarray
SEED, OFFSET = 2024, 7  # the random key of every case that draws dropout masks


class Real:
    """Numbers in [-scale, scale)."""

    def __init__(self, *shape: int, scale: float = 1.0):
        self.shape, self.scale = shape, scale

    def make(self, name: str) -> Array:
        """Return the array that belongs to this name."""
        return uniform(name, self.shape, self.scale)


class Weights(Real):
    """Class weights, cosines: numbers in [0.5, 1.5), which get no gradient."""

    def make(self, name: str) -> Array:
        """Return the array that belongs to this name."""
        return uniform(name, self.shape, 0.5) + 1.0


class Ids:
    """Integers in [0, below); every third is ``ignored`` where that is given."""

    def __init__(self, *shape: int, below: int, ignored: int | None = None):
        self.shape, self.below, self.ignored = shape, below, ignored

    def make(self, name: str) -> Array:
        """Return the array that belongs to this name."""
        values = ids(name, self.shape, self.below)
        if self.ignored is not None:
            values[::3] = self.ignored
        return values


class Starts(Ids):
    """Where sequences start: 1 at about every fourth place, else 0."""

    def __init__(self, *shape: int):
        super().__init__(*shape, below=4)

    def make(self, name: str) -> Array:
        """Return the array that belongs to this name."""
        return (super().make(name) == 0).astype(np.int64)


@dataclass(frozen=True)
class Case:
    """A layer, its inputs by name, and whether it trains, that is, draws dropout masks."""

    name: str
    kind: str
    config: dict[str, object]
    inputs: dict[str, Real | Ids | None]
    training: bool = False
    params: dict[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", self.twin().params)

    def __str__(self) -> str:
        return self.name

    def twin(self):
        """Return a fresh slow twin."""
        return TWINS[self.kind](**self.config)

    def draw(self, index: int, shape: tuple[int, ...]) -> Array:
        """Return the dropout mask number ``index`` of this case."""
        p = self.config["p" if self.kind == "dropout" else "dropout"]
        return dropout_mask(SEED, OFFSET, index, shape, p)

    def make_inputs(self) -> tuple[Array | None, ...]:
        """Return the inputs, float64 or int64, None where an optional one is absent."""
        return tuple(
            spec.make(f"{self.name}/{name}") if spec else None for name, spec in self.inputs.items()
        )

    def make_params(self) -> dict[str, Array]:
        """Return the parameters, small enough to keep sums near 1."""
        return {
            name: uniform(f"{self.name}/{name}", shape, shape[-1] ** -0.5)
            for name, shape in self.params.items()
        }

    def run(self, twin, inputs: Sequence[Array | None], params: dict[str, Array]):
        """Return the outputs of a twin."""
        return twin.forward(inputs, params, *([self.draw] if self.training else []))

    def make_grads(self, outputs: Sequence[Array]) -> tuple[Array, ...]:
        """Return a gradient for each output."""
        return tuple(
            uniform(f"{self.name}/output_{i}", np.shape(out)) for i, out in enumerate(outputs)
        )

    def needs_grad(self) -> tuple[bool, ...]:
        """Tell for each input whether it is there and has a gradient."""
        return tuple(type(spec) is Real for spec in self.inputs.values())

    def named(
        self,
        outputs: Sequence[Array],
        grad_inputs: Sequence[Array | None],
        grad_params: dict[str, Array],
    ) -> dict[str, Array]:
        """Return all results by name, without gradients that do not exist."""
        results = {f"output_{i}": out for i, out in enumerate(outputs)}
        given = len(self.inputs)
        assert not any(grad is not None for grad in grad_inputs[given:])  # left out, and optional
        for name, needed, grad in zip(
            self.inputs, self.needs_grad(), grad_inputs[:given], strict=True
        ):
            if needed:
                results[f"grad_{name}"] = grad
        return results | {f"grad_{name}": grad for name, grad in grad_params.items()}


def run_twin(case: Case) -> dict[str, Array]:
    """Forward and backward of the slow twin; results by name."""
    twin = case.twin()
    outputs = case.run(twin, case.make_inputs(), case.make_params())
    return case.named(outputs, *twin.backward(case.make_grads(outputs)))
