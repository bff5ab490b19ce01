"""MultiheadAttention: against PyTorch's module, and what it refuses.

The attention inside it is tested in test_nn_dot_product.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference.seeded import uniform

import minilm
from minilm import Tensor, nn

E, H, B, T, S = 12, 3, 2, 5, 7
LATER = np.triu(np.ones((T, T), bool), 1)
SOME = uniform("some", (B * H, T, S)) > 0.3
SOME[..., 0] = False
PADDING = np.array([[False] * 7, [False] * 5 + [True] * 2])
ADDED = uniform("added", (T, S)).astype(np.float32)


def array(name: str, *shape: int) -> np.ndarray:
    return uniform(name, shape).astype(np.float32)


def filled(module: Any, lib: Any) -> Any:
    """Give a module weights that follow from their names, biases too."""
    state = {name: array(name, *value.shape) for name, value in module.state_dict().items()}
    module.load_state_dict({name: lib.tensor(value) for name, value in state.items()})
    return module


def results(lib: Any, xs: list[np.ndarray], make: dict, call: dict) -> list[np.ndarray | None]:
    """Output, weights, and gradients of inputs and parameters."""
    module = filled(lib.nn.MultiheadAttention(E, H, **make), lib)
    inputs = [lib.tensor(x, requires_grad=True) for x in xs]
    masks = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in call.items()}
    output, weights = module(*(inputs * 3 if len(inputs) == 1 else inputs), **masks)
    loss = (output * lib.tensor(array("do", *output.shape))).sum()
    if weights is not None:
        loss = loss + (weights * lib.tensor(array("dw", *weights.shape))).sum()
    loss.backward()
    leaves = [*inputs, *module.parameters()]
    shown = [None if out is None else out.detach().numpy() for out in (output, weights)]
    return shown + [leaf.grad.numpy() for leaf in leaves]


CALLS: dict[str, dict] = {
    "plain": {},
    "no weights": {"need_weights": False},
    "each head": {"average_attn_weights": False},
    "padding": {"key_padding_mask": PADDING},
    "padding, no weights": {"key_padding_mask": PADDING, "need_weights": False},
    "padding, added": {"key_padding_mask": PADDING.astype(np.float32)},
    "hidden pairs": {"attn_mask": SOME, "average_attn_weights": False},
    "added": {"attn_mask": ADDED, "need_weights": False},
    "added and padding": {
        "attn_mask": ADDED,
        "key_padding_mask": np.where(PADDING, np.float32(-np.inf), np.float32(0)),
    },
}


def compare(xs: list[np.ndarray], make: dict, call: dict, theirs: dict | None = None) -> None:
    torch = pytest.importorskip("torch")
    expected = results(torch, xs, make, call if theirs is None else theirs)
    for ours, reference in zip(results(minilm, xs, make, call), expected, strict=True):
        assert (ours is None) == (reference is None)
        if reference is not None:
            np.testing.assert_allclose(ours, reference, atol=1e-5 * abs(reference).max())


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_attention_to_another_text_is_pytorchs(name: str, batch_first: bool) -> None:
    axes = [(B, n, E) if batch_first else (n, B, E) for n in (T, S, S)]
    xs = [array(what, *shape) for what, shape in zip("qkv", axes, strict=True)]
    compare(xs, {"batch_first": batch_first}, CALLS[name])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_to_itself_is_pytorchs(bias: bool, need_weights: bool, padded: bool) -> None:
    """Causal in each of the ways to say it: the hint alone, a mask, an added mask."""
    xs, make = [array("x", B, T, E)], {"bias": bias, "batch_first": True}
    base: dict[str, Any] = {"need_weights": need_weights}
    if padded:
        base["key_padding_mask"] = PADDING[:, 2:]
    compare(xs, make, base)
    theirs = base | {"attn_mask": LATER}
    compare(xs, make, base | {"is_causal": True}, theirs)
    compare(xs, make, theirs, theirs)
    if not padded:
        added = np.where(LATER, np.float32(-np.inf), np.float32(0))
        compare(xs, make, base | {"attn_mask": added}, theirs)


def test_without_a_batch() -> None:
    compare([array("x", T, E)], {}, {})
    compare([array("x", T, E)], {}, {"key_padding_mask": PADDING[1, 2:]})


def test_self_attention_cuts_nothing_apart() -> None:
    module = nn.MultiheadAttention(E, H, batch_first=True)
    x = minilm.randn(B, T, E)
    output, weights = module(x, x, x, need_weights=False, is_causal=True)
    assert weights is None
    names, node = [], output.grad_fn
    while node is not None:
        names.append(repr(node))
        edge = next((edge for edge in node.edges if isinstance(edge, tuple)), None)
        node = edge[0] if edge else None
    assert names == ["<linear>", "<reshape>", "<attention>", "<reshape>", "<linear>"]


def test_added_masks_and_hidden_ones_together() -> None:
    """What is hidden by one mask stays hidden; padding that hides all gives no NaN."""
    module = filled(nn.MultiheadAttention(E, H, batch_first=True), minilm)
    x = minilm.tensor(array("x", B, T, E))
    added = minilm.tensor(array("a", T, T))
    hidden = minilm.tensor(np.array([[False] * 4 + [True], [True] * 5]))
    output, weights = module(x, x, x, hidden, attn_mask=added, is_causal=True)
    assert (weights[0, :, 4] == 0).all() and (weights[1] == 0).all()
    assert (weights[0].detach().numpy()[LATER] == 0).all()
    assert not output.isnan().any()
    assert output[1].allclose(module.out_proj.bias.expand(T, E))


def test_dropout_acts_in_training_only() -> None:
    module = nn.MultiheadAttention(E, H, dropout=0.5, batch_first=True)
    x = minilm.randn(B, T, E)
    assert not module(x, x, x)[0].equal(module(x, x, x)[0])
    module.eval()
    assert module(x, x, x)[0].equal(module(x, x, x)[0])


def test_weights_start_as_pytorchs() -> None:
    module = nn.MultiheadAttention(64, 4)
    bound = (6 / (64 + 192)) ** 0.5
    largest = float(module.in_proj_weight.abs().max())
    assert 0.95 * bound < largest <= bound
    assert (module.in_proj_bias == 0).all() and (module.out_proj.bias == 0).all()
    assert float(module.out_proj.weight.abs().max()) <= 1 / 8
    assert repr(module).startswith("MultiheadAttention(")


def call(**masks: Tensor) -> tuple[Tensor, Tensor | None]:
    x = minilm.ones(T, B, E)
    return nn.MultiheadAttention(E, H)(x, x, x, **masks)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: nn.MultiheadAttention(10, 3), ValueError, "10 must be a multiple of num_heads 3"),
        (lambda: nn.MultiheadAttention(0, 1), ValueError, "embed_dim must be positive"),
        (lambda: nn.MultiheadAttention(4, 2, 2.0), ValueError, "between 0 and 1"),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[minilm.ones(2, 3, 5)] * 3),
            ValueError,
            r"query \(\.\.\., embed_dim=4\), got shape \(2, 3, 5\)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(minilm.ones(2, 3, 4), *[minilm.ones(3, 4)] * 2),
            ValueError,
            r"\(time, batch, embed_dim\) each.*\(3, 4\)",
        ),
        (lambda: call(key_padding_mask=minilm.ones(T, B) > 0), ValueError, r"batch=2, key time=5"),
        (lambda: call(key_padding_mask=minilm.ones(B, T).long()), TypeError, r"mask == 0"),
        (lambda: call(attn_mask=minilm.ones(T, T + 1) > 0), ValueError, r"time=5.*num_heads=6"),
        (lambda: call(attn_mask=minilm.ones(T, T).double()), TypeError, "attn_mask is float64"),
    ],
)
def test_what_it_refuses(act, error, words) -> None:
    with pytest.raises(error, match=words):
        act()
