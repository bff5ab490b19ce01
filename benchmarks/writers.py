"""What is compared when text is written: minilm, minilm in int8, torch's loop, ONNX Runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from configurations import Configuration

import minilm

# Writes so many tokens, one at a time, each drawn from the logits after those before it.
Write = Callable[[int], object]


def make_model(row: Configuration) -> minilm.RNNModel:
    """Return the model whose weights all have."""
    minilm.manual_seed(0)
    cell = row.cell.lower()
    return minilm.RNNModel(row.vocab, row.embed, row.hidden, cell, num_layers=row.layers).eval()


def contenders(
    row: Configuration, model: minilm.RNNModel, threads: int, alone: bool = False
) -> dict[str, Write]:
    """Return a function for each library that is installed; `alone`: for minilm only."""
    found = {"minilm": minilm_loop(model), "int8": minilm_loop(model.quantize())}
    if alone:
        return found
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    if importlib.util.find_spec("torch"):
        found["torch"] = torch_loop(row, weights, threads)
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
        found["onnx"] = onnx_loop(row, weights, threads)
    return found


def minilm_loop(model: Any) -> Write:
    """Return what a user of minilm calls."""
    return lambda count: model.generate([[1]], max_new_tokens=count, seed=0)


# --- torch ----------------------------------------------------------------------------------------


def torch_loop(row: Configuration, weights: dict[str, np.ndarray], threads: int) -> Write:
    """Return the loop that a user of torch writes: a step of the layers, softmax, multinomial."""
    import torch

    torch.set_num_threads(threads)
    embedding = torch.nn.Embedding(row.vocab, row.embed)
    rnn = getattr(torch.nn, row.cell)(row.embed, row.hidden, row.layers, batch_first=True)
    fc = torch.nn.Linear(row.hidden, row.vocab)
    parts = torch.nn.ModuleDict({"embedding": embedding, "rnn": rnn, "fc": fc})
    parts.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})

    @torch.no_grad()
    def write(count: int) -> None:
        token, state = torch.tensor([[1]]), None
        for _ in range(count):
            hidden, state = rnn(embedding(token), state)
            probs = torch.softmax(fc(hidden[:, -1]), dim=-1)
            token = torch.multinomial(probs, 1)

    return write


# --- ONNX Runtime ---------------------------------------------------------------------------------

# Its gates in the order of PyTorch's: i o f c, z r h.
GATE_ORDER = {"RNN": [0], "LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}


def onnx_loop(row: Configuration, weights: dict[str, np.ndarray], threads: int) -> Write:
    """Return a loop over a graph of one step, drawing with NumPy."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    graph = step_graph(row, weights).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = state_names(row)
    rng = np.random.default_rng(0)

    def write(count: int) -> None:
        token = np.array([[1]])
        states = {name: np.zeros((1, 1, row.hidden), np.float32) for name in names}
        for _ in range(count):
            logits, *after = session.run(None, {"token": token, **states})
            states = dict(zip(names, after, strict=True))
            sums = np.exp(logits[0] - logits.max()).cumsum()
            token = np.array([[np.searchsorted(sums, rng.random() * sums[-1])]])

    return write


def state_names(row: Configuration) -> list[str]:
    """Return the names of the graph's states, in the order of its outputs."""
    kinds = ["h", "c"] if row.cell == "LSTM" else ["h"]
    return [f"{kind}{layer}" for layer in range(row.layers) for kind in kinds]


def step_graph(row: Configuration, weights: dict[str, np.ndarray]) -> Any:
    """Return a model of ONNX that reads one token: ids and states to logits and states."""
    from onnx import TensorProto, helper, numpy_helper

    constants = {"embedding": weights["embedding.weight"], "fc": weights["fc.weight"].T.copy()}
    constants["fc_bias"] = weights["fc.bias"]
    nodes = [helper.make_node("Gather", ["embedding", "token"], ["x0"])]
    for layer in range(row.layers):
        constants |= layer_constants(row, weights, layer)
        states = [name for name in state_names(row) if name.endswith(str(layer))]
        nodes.append(
            helper.make_node(
                row.cell,
                [f"x{layer}", f"W{layer}", f"R{layer}", f"B{layer}", "", *states],
                [f"y{layer}", *(f"{name}_out" for name in states)],
                hidden_size=row.hidden,
                **({"linear_before_reset": 1} if row.cell == "GRU" else {}),
            )
        )
        # From (time, directions, batch, hidden) to (time, batch, hidden).
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", "one"], [f"x{layer + 1}"]))
    constants |= {"one": np.array([1]), "first": np.array([0])}
    nodes.append(helper.make_node("Squeeze", [f"x{row.layers}", "first"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "fc", "fc_bias"], ["logits"]))
    shape = [1, 1, row.hidden]

    def state(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "step",
        [
            helper.make_tensor_value_info("token", TensorProto.INT64, [1, 1]),
            *map(state, state_names(row)),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, row.vocab]),
            *(state(f"{name}_out") for name in state_names(row)),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def layer_constants(
    row: Configuration, weights: dict[str, np.ndarray], layer: int
) -> dict[str, np.ndarray]:
    """Return the weights of a layer with the gates as ONNX has them."""

    def gates(name: str) -> np.ndarray:
        array = weights[f"rnn.{name}_l{layer}"]
        order = GATE_ORDER[row.cell]
        return array.reshape(len(order), row.hidden, -1)[order].reshape(array.shape)

    return {
        f"W{layer}": gates("weight_ih")[None],
        f"R{layer}": gates("weight_hh")[None],
        f"B{layer}": np.concatenate([gates("bias_ih"), gates("bias_hh")])[None],
    }
