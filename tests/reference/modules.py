"""A case run through ``nn`` modules: the same few lines serve PyTorch and minilm.

That one function can drive both is itself what is tested: names, arguments, defaults, layouts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import numpy as np

from . import min_rnn
from .case import Case
from .cases import RECURRENT

Array = np.ndarray
RENAMED = {"affine": "elementwise_affine", "normalized_size": "normalized_shape"}
ACTIVATIONS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "ReLU", "silu": "SiLU"}


def build(lib: ModuleType, kind: str, config: dict):
    """Return the module of ``lib.nn`` that a layer kind and its configuration stand for."""
    config = {RENAMED.get(key, key): value for key, value in config.items()}
    nn = lib.nn
    match kind:
        case "embedding":
            return nn.Embedding(**config)
        case "linear" if config.pop("transposed", False):
            return conv1d(lib, **config)
        case "linear":
            return nn.Linear(**config)
        case "rnn":
            relu = config.pop("relu", False)
            return nn.RNN(**config, nonlinearity="relu" if relu else "tanh")
        case "lstm" | "gru":
            return getattr(nn, kind.upper())(**config)
        case "mingru" | "minlstm":
            return min_rnn.make(lib, kind, **config)
        case "dropout":
            return nn.Dropout(**config)
        case "layernorm":
            return nn.LayerNorm(**config)
        case "rmsnorm":
            return nn.RMSNorm(**config)
        case "activation" if config["function"] in ACTIVATIONS:
            return getattr(nn, ACTIVATIONS[config["function"]])()
        case "activation":
            return nn.GELU(approximate="tanh" if config["function"] == "gelu_tanh" else "none")
        case "cross_entropy":
            return nn.CrossEntropyLoss(**config)
    raise ValueError(f"no module stands for the layer kind {kind!r}")


def conv1d(lib: ModuleType, in_features: int, out_features: int, bias: bool = True):
    """Return what ``transformers`` calls Conv1D: a linear layer that keeps its weight as (in, out).

    PyTorch has none: there it is made of operations.
    """
    if lib.__name__ == "minilm":
        return lib.models.Conv1D(out_features, in_features, bias)

    class Conv1D(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = lib.nn.Parameter(lib.zeros(in_features, out_features))
            self.bias = lib.nn.Parameter(lib.zeros(out_features)) if bias else None

        def forward(self, x):
            return x @ self.weight + (self.bias if bias else 0)

    return Conv1D()


def run_layer(module, x, *states):
    """Call a module, with states where given, and return its outputs as one flat tuple."""
    if not states:
        return (module(x),)
    if states[0] is None:
        y, last = module(x)
    else:
        y, last = module(x, states if len(states) > 1 else states[0])
    return (y, *last) if isinstance(last, tuple) else (y, last)


def run_started(lib: ModuleType, module, x, *states_and_starts):
    """Call a recurrent module with starts; PyTorch's, which knows none, step by step."""
    *states, starts = states_and_starts
    if lib.__name__ == "minilm":
        return run_layer(partial(module, starts=starts), x, *states)
    axis = 1 if module.batch_first else 0
    ys = []
    for t in range(x.shape[axis]):
        if states[0] is not None:
            goes_on = (starts.select(axis, t) == 0)[:, None]
            states = [state * goes_on for state in states]
        y, *states = run_layer(module, x.narrow(axis, t, 1), *states)
        ys.append(y)
    return (lib.cat(ys, axis), *states)


def run_modules(
    lib: ModuleType, case: Case, dtype: type = np.float32, call: Callable = run_layer
) -> dict[str, Array]:
    """Forward and backward of a case through ``lib.nn``, computed in dtype; results by name."""

    def tensor(array: Array, requires_grad: bool = False):
        kind = dtype if array.dtype.kind == "f" else array.dtype
        return lib.tensor(array.astype(kind), requires_grad=requires_grad)

    needed = case.needs_grad()
    inputs = [
        None if array is None else tensor(array, needs)
        for array, needs in zip(case.make_inputs(), needed, strict=True)
    ]
    state = {name: tensor(value) for name, value in case.make_params().items()}
    if case.kind == "attention":
        module, outputs = run_attention(lib, case, call if case.training else None, *inputs)
    elif case.kind == "rotary":
        module, outputs = lib.nn.Sequential(), (run_rotary(lib, case, *inputs),)
    elif case.kind.endswith("cross_entropy"):
        module, outputs = run_loss(lib, case, state, *inputs)
    else:
        module = build(lib, case.kind, case.config).train(case.training)
        module.load_state_dict(state)
        if "starts" in case.inputs:
            outputs = run_started(lib, module, *looked_up(lib, case, inputs))
        else:
            outputs = call(module, *looked_up(lib, case, inputs))

    arrays = [out.detach().numpy() for out in outputs]
    grads = case.make_grads(arrays)
    sum((out * tensor(grad)).sum() for out, grad in zip(outputs, grads, strict=True)).backward()
    return case.named(
        arrays,
        [x.grad.numpy() if needs else None for x, needs in zip(inputs, needed, strict=True)],
        {name: param.grad.numpy() for name, param in module.named_parameters()},
    )


def looked_up(lib: ModuleType, case: Case, inputs: list) -> list:
    """Give a recurrent module, which takes vectors, those that the case's ids choose."""
    if case.kind not in RECURRENT or "ids" not in case.inputs:
        return inputs
    table, *states = inputs
    ids = states.pop(list(case.inputs).index("ids") - 1)
    return [table if ids is None else lib.nn.functional.embedding(ids, table), *states]


def run_attention(lib: ModuleType, case: Case, drop: Callable | None, *inputs):
    """Call scaled_dot_product_attention; probabilities, and dropping them, are made of operations.

    ``drop`` applies a case's dropout to the probabilities.
    """
    config, twin = case.config, case.twin()
    query, key, value, *mask = inputs
    if config.get("packed_kv_heads"):
        axis, kv_heads = 1 if twin.heads_first else 2, config["packed_kv_heads"]
        heads = query.shape[axis] - 2 * kv_heads
        query, key, value = query.split([heads, kv_heads, kv_heads], axis)
    q, k, v = (x if twin.heads_first else x.transpose(1, 2) for x in (query, key, value))
    time, key_time = q.shape[-2], k.shape[-2]
    seen, to_start = None, twin.causal and not twin.aligned_to_end
    if mask:
        seen = (mask[0] != 0)[:, None, None, :]
    if twin.causal and (mask or not to_start or twin.need_weights or drop):
        shift = 0 if to_start else key_time - time
        causal = lib.tensor(np.tri(time, key_time, shift, dtype=bool))
        seen = causal & seen if mask else causal
    if twin.need_weights or drop:
        groups = q.shape[1] // k.shape[1]
        k, v = (lib.cat([x[:, n // groups : n // groups + 1] for n in range(q.shape[1])], 1)
                for x in (k, v))  # fmt: skip
        scores = twin.scale * q @ k.transpose(-1, -2)
        blind = None
        if seen is not None:
            blind = ~seen.any(-1)[..., None]
            scores = scores.masked_fill(~seen & ~blind, float("-inf"))
        weights = scores.softmax(-1)
        weights = weights if blind is None else weights.masked_fill(blind, 0.0)
        weights = drop(weights) if drop else weights
        output = weights @ v
    else:
        weights = None
        output = lib.nn.functional.scaled_dot_product_attention(
            q, k, v, seen, is_causal=to_start and not mask, scale=twin.scale, enable_gqa=True
        )
    output = output if twin.heads_first else output.transpose(1, 2)
    empty = q.reshape(-1)[:0]
    return lib.nn.Sequential(), (output, weights if twin.need_weights else empty)


def run_rotary(lib: ModuleType, case: Case, x, cos, sin):
    """Turn by angles: our function; for PyTorch, Hugging Face's two lines."""
    heads_first = case.config.get("heads_first", True)
    x = x if heads_first else x.transpose(1, 2)
    if hasattr(lib.nn.functional, "apply_rotary"):
        y = lib.nn.functional.apply_rotary(x, cos, sin)
    else:
        turning, rest = x[..., : 2 * cos.shape[-1]], x[..., 2 * cos.shape[-1] :]
        a, b = turning.chunk(2, -1)
        cos, sin = (lib.cat([angle, angle], -1)[:, None] for angle in (cos, sin))
        y = lib.cat([turning * cos + lib.cat([-b, a], -1) * sin, rest], -1)
    return y if heads_first else y.transpose(1, 2)


def run_loss(lib: ModuleType, case: Case, state: dict, x, targets, weight):
    """Call CrossEntropyLoss, on the output of a Linear where the kind says so."""
    config = dict(case.config)
    below = lib.nn.Sequential()
    if case.kind == "linear_cross_entropy":
        sizes = {key: config.pop(key) for key in ("in_features", "out_features")}
        below = lib.nn.Linear(**sizes, bias=config.pop("bias", True))
        below.load_state_dict(state)
    return below, (lib.nn.CrossEntropyLoss(weight, **config)(below(x), targets),)
