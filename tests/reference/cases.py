"""What is tested: one row per case. A new layer kind needs a row or a few in ``CASES``.

Sizes are small and odd on purpose (1, 17, 33, 127), for that is where vector code goes wrong; the
rows called ``wide`` are large enough for the C core to cut them into tasks for several threads.
"""

from __future__ import annotations

from .case import Case, Ids, Real, Starts, Weights
from .slow.layers import FUNCTIONS

RECURRENT = ("rnn", "lstm", "gru", "mingru", "minlstm")


def row(
    kind: str, name: str, inputs: dict, *, training: bool = False, **config: object
) -> list[Case]:
    """One case of any kind."""
    return [Case(f"{kind}-{name}", kind, config, inputs, training)]


def recurrent(
    name: str,
    time: int,
    batch: int,
    inputs: int,
    hidden: int,
    *,
    kinds: tuple[str, ...] = RECURRENT,
    states: bool = False,
    table: int | None = None,
    starts: bool = False,
    training: bool = False,
    **config: float,
) -> list[Case]:
    """One case of each recurrent kind; ``states`` gives it initial states, ``table`` ids instead of
    vectors, and a table of so many rows that they choose from; with ``starts`` about every fourth
    step starts a sequence.
    """
    leading = (batch, time) if config.get("batch_first") else (time, batch)
    directions = 2 if config.get("bidirectional") else 1
    state = Real(int(config.get("num_layers", 1)) * directions, batch, hidden) if states else None
    sizes = {"input_size": inputs, "hidden_size": hidden}
    cases = []
    for kind in kinds:
        names = ("h0", "c0") if kind == "lstm" else ("h0",)
        arrays = {"x": Real(*leading, inputs)} | dict.fromkeys(names, state)
        if table:
            arrays |= {"x": Real(table, inputs), "ids": Ids(*leading, below=table)}
        if starts:
            arrays = {"ids": None} | arrays | {"starts": Starts(*leading)}
            arrays = {key: arrays[key] for key in ("x", *names, "ids", "starts")}
        cases.append(Case(f"{kind}-{name}", kind, sizes | config, arrays, training))
    return cases


def loss(
    name: str,
    logits: Real,
    classes: int,
    *,
    kind: str = "cross_entropy",
    weighted: bool = False,
    ignored: int | None = None,
    **config: object,
) -> list[Case]:
    """One case of the loss on logits, or of what feeds on the layer below."""
    inputs = {
        "logits" if kind == "cross_entropy" else "x": logits,
        "targets": Ids(logits.shape[0], below=classes, ignored=ignored),
        "class_weight": Weights(classes) if weighted else None,
    }
    return [Case(f"{kind}-{name}", kind, config, inputs)]


def head(name: str, x: Real, classes: int, **config) -> list[Case]:
    """One case of the loss fused with the linear layer under it."""
    sizes = {"in_features": x.shape[1], "out_features": classes}
    return loss(name, x, classes, kind="linear_cross_entropy", **sizes, **config)


def turned(name: str, x: Real, batch: int, time: int, pairs: int, **config: bool) -> list[Case]:
    """One case of rotary positions; the numbers of ``cos`` and ``sin`` are any that are not 0."""
    angles = {"cos": Weights(batch, time, pairs), "sin": Weights(batch, time, pairs)}
    return row("rotary", name, {"x": x} | angles, **config)


def attend(
    name: str,
    batch: int,
    heads: int,
    time: int,
    size: int,
    *,
    kv_heads: int | None = None,
    key_time: int | None = None,
    value_size: int | None = None,
    packed: bool = False,
    masked: bool = False,
    scale: float = 1.0,
    training: bool = False,
    **config: float,
) -> list[Case]:
    """One case of attention; ``masked`` hides about half of the keys, ``packed`` keeps queries,
    keys and values in one array, ``scale`` is that of queries and keys.
    """
    kv_heads, key_time = kv_heads or heads, key_time or time

    def heads_of(n: int, length: int, width: int, scale: float = 1.0) -> Real:
        axes = (n, length) if config.get("heads_first", True) else (length, n)
        return Real(batch, *axes, width, scale=scale)

    if packed:
        config["packed_kv_heads"] = kv_heads
        inputs = {"query": heads_of(heads + 2 * kv_heads, time, size), "key": None, "value": None}
    else:
        inputs = {
            "query": heads_of(heads, time, size, scale),
            "key": heads_of(kv_heads, key_time, size, scale),
            "value": heads_of(kv_heads, key_time, value_size or size),
        }
    if masked:
        inputs["key_mask"] = Ids(batch, key_time, below=2)
    return [Case(f"attention-{name}", "attention", {"scale": 0.5} | config, inputs, training)]


def each_function(name: str, x: Real) -> list[Case]:
    """One case of each activation."""
    return [Case(f"activation-{f}-{name}", "activation", {"function": f}, {"x": x})
            for f in FUNCTIONS]  # fmt: skip


ALL = {"label_smoothing": 0.2, "weighted": True, "ignored": 3, "ignore_index": 3}

CASES: list[Case] = [
    *row("embedding", "1", {"ids": Ids(1, below=1)}, num_embeddings=1, embedding_dim=1),
    *row("embedding", "17", {"ids": Ids(5, 7, below=33)}, num_embeddings=33, embedding_dim=17),
    *row("embedding", "padding", {"ids": Ids(3, 11, below=5)},
         num_embeddings=5, embedding_dim=127, padding_idx=2),
    *row("embedding", "wide", {"ids": Ids(64, 41, below=700)},
         num_embeddings=700, embedding_dim=130),

    *row("linear", "1", {"x": Real(1, 1)}, in_features=1, out_features=1),
    *row("linear", "vector", {"x": Real(17)}, in_features=17, out_features=5),
    *row("linear", "17", {"x": Real(2, 3, 17)}, in_features=17, out_features=33),
    *row("linear", "no-bias", {"x": Real(9, 127)}, in_features=127, out_features=33, bias=False),
    *row("linear", "wide", {"x": Real(301, 130)}, in_features=130, out_features=517),
    *row("linear", "transposed", {"x": Real(2, 3, 17)},
         in_features=17, out_features=33, transposed=True),
    *row("linear", "transposed-no-bias", {"x": Real(9, 127)},
         in_features=127, out_features=33, bias=False, transposed=True),
    *row("linear", "transposed-wide", {"x": Real(301, 130)},
         in_features=130, out_features=517, transposed=True),

    # time, batch, input size, hidden size
    *recurrent("1", 1, 1, 1, 1),
    *recurrent("batch-1", 17, 1, 33, 17),
    *recurrent("time-1", 1, 5, 17, 33, states=True),
    *recurrent("hidden-1", 9, 3, 5, 1),
    *recurrent("17", 5, 3, 33, 17),
    *recurrent("33", 7, 5, 17, 33),
    *recurrent("127", 9, 17, 33, 127),
    *recurrent("no-bias", 7, 3, 17, 33, bias=False, states=True),
    *recurrent("batch-first", 5, 3, 17, 33, batch_first=True, states=True),
    *recurrent("both", 7, 3, 17, 33, bidirectional=True),
    *recurrent("both-batch-first", 7, 3, 17, 33, bidirectional=True, batch_first=True, states=True),
    *recurrent("3-layers", 7, 3, 5, 17, num_layers=3),
    *recurrent("3-layers-both", 6, 3, 33, 17, num_layers=3, bidirectional=True, states=True),
    *recurrent("3-layers-both-no-bias", 5, 3, 17, 33,
               num_layers=3, bidirectional=True, bias=False, batch_first=True),
    *recurrent("dropout", 7, 3, 5, 17, num_layers=3, dropout=0.3, training=True),
    *recurrent("dropout-both", 7, 3, 5, 17, num_layers=2, dropout=0.5, bidirectional=True,
               batch_first=True, states=True, training=True),
    *recurrent("dropout-eval", 7, 3, 5, 17, num_layers=2, dropout=0.5),
    *recurrent("wide", 12, 65, 96, 130, num_layers=2),
    *recurrent("ids", 7, 3, 17, 33, table=5),
    *recurrent("ids-1", 1, 1, 1, 1, table=1),
    *recurrent("ids-states", 5, 3, 5, 17, table=19, states=True, batch_first=True, num_layers=2),
    *recurrent("ids-both", 7, 3, 17, 5, table=11, bidirectional=True, num_layers=2, bias=False),
    *recurrent("ids-wide", 12, 65, 96, 130, table=65, batch_first=True),
    *recurrent("starts", 9, 3, 17, 33, starts=True),
    *recurrent("starts-states", 1, 7, 5, 17, starts=True, states=True),
    *recurrent("starts-2-layers", 7, 3, 5, 17, starts=True, states=True, batch_first=True,
               num_layers=2),
    *recurrent("starts-ids", 9, 5, 5, 17, starts=True, states=True, table=7, num_layers=2),
    *recurrent("starts-wide", 12, 65, 96, 130, starts=True, batch_first=True, num_layers=2),
    *recurrent("wide-units", 40, 2, 5, 600, kinds=("mingru", "minlstm"), states=True),
    *recurrent("relu", 7, 3, 17, 33, kinds=("rnn",), relu=True, states=True),
    *recurrent("relu-3-layers-both", 7, 3, 17, 5, kinds=("rnn",), relu=True, num_layers=3,
               bidirectional=True),

    *row("dropout", "half", {"x": Real(17, 33)}, p=0.5, training=True),
    *row("dropout", "tenth", {"x": Real(3, 5, 127)}, p=0.1, training=True),
    *row("dropout", "none", {"x": Real(33)}, p=0.0, training=True),
    *row("dropout", "all", {"x": Real(33)}, p=1.0, training=True),
    *row("dropout", "eval", {"x": Real(17)}, p=0.5),
    *row("dropout", "wide", {"x": Real(301, 517)}, p=0.3, training=True),

    *row("layernorm", "1", {"x": Real(3, 1)}, normalized_size=1, eps=0.1),
    *row("layernorm", "17", {"x": Real(5, 3, 17, scale=3.0)}, normalized_size=17),
    *row("layernorm", "eps", {"x": Real(33, 127)}, normalized_size=127, eps=0.1),
    *row("layernorm", "no-bias", {"x": Real(5, 33)}, normalized_size=33, bias=False),
    *row("layernorm", "plain", {"x": Real(5, 33)}, normalized_size=33, affine=False),
    *row("layernorm", "wide", {"x": Real(1201, 130)}, normalized_size=130),

    *row("rmsnorm", "1", {"x": Real(3, 1)}, normalized_size=1, eps=0.1),
    *row("rmsnorm", "17", {"x": Real(5, 3, 17, scale=3.0)}, normalized_size=17, eps=1e-5),
    *row("rmsnorm", "plain", {"x": Real(5, 33)}, normalized_size=33, affine=False, eps=1e-6),
    *row("rmsnorm", "wide", {"x": Real(1201, 130)}, normalized_size=130, eps=1e-6),

    *turned("1", Real(1, 1, 1, 2), 1, 1, 1),
    *turned("17", Real(2, 3, 5, 34), 1, 5, 17),
    *turned("each", Real(3, 5, 2, 10), 3, 5, 5, heads_first=False),
    *turned("part", Real(2, 3, 5, 17), 2, 5, 4),
    *turned("wide", Real(2, 4, 301, 64), 2, 301, 32),

    # batch, heads, time, size
    *attend("1", 1, 1, 1, 1),
    *attend("17", 2, 3, 17, 5),
    *attend("causal", 2, 3, 33, 17, causal=True),
    *attend("key-time", 2, 3, 5, 16, key_time=71, value_size=9),
    *attend("fewer-keys", 1, 2, 33, 8, key_time=7, causal=True),
    *attend("cache", 2, 2, 1, 33, key_time=127, causal=True, aligned_to_end=True),
    *attend("to-end", 1, 2, 7, 16, key_time=73, causal=True, aligned_to_end=True),
    *attend("to-end-fewer-keys", 1, 2, 73, 5, key_time=7, causal=True, aligned_to_end=True),
    *attend("masked", 3, 2, 9, 17, key_time=67, masked=True),
    *attend("masked-causal", 3, 2, 9, 17, masked=True, causal=True, heads_first=False),
    *attend("grouped", 2, 6, 17, 8, kv_heads=2, causal=True),
    *attend("packed", 2, 3, 70, 16, packed=True, causal=True, heads_first=False),
    *attend("packed-grouped", 2, 4, 9, 5, kv_heads=2, packed=True, masked=True),
    *attend("far", 1, 2, 17, 64, scale=3.0),
    *attend("weights", 2, 4, 9, 17, kv_heads=2, key_time=67, need_weights=True, causal=True),
    *attend("dropout", 2, 3, 33, 17, key_time=7, dropout=0.3, causal=True, training=True),
    *attend("dropout-weights", 1, 2, 67, 5, dropout=0.5, need_weights=True, training=True),
    *attend("dropout-all", 1, 2, 7, 5, dropout=1.0, training=True),
    *attend("wide", 2, 4, 150, 32, packed=True, causal=True, heads_first=False),
    *attend("wide-split", 1, 4, 150, 40, kv_heads=1, key_time=200, causal=True, masked=True,
            dropout=0.2, training=True),

    *each_function("17", Real(17, 33, scale=5.0)),
    *each_function("near", Real(127, scale=1e-3)),
    *each_function("far", Real(127, scale=200.0)),
    *row("activation", "wide", {"x": Real(301, 517, scale=3.0)}, function="tanh"),

    *loss("1", Real(1, 1), 1),
    *loss("17", Real(17, 33, scale=4.0), 33),
    *loss("none", Real(17, 33), 33, reduction="none"),
    *loss("sum", Real(17, 33), 33, reduction="sum"),
    *loss("far", Real(9, 127, scale=200.0), 127),
    *loss("ignored", Real(17, 33), 33, ignored=-100),
    *loss("ignored-none", Real(17, 33), 33, ignored=5, ignore_index=5, reduction="none"),
    *loss("smoothed", Real(17, 33), 33, label_smoothing=0.1),
    *loss("smoothed-ignored", Real(17, 33), 33, label_smoothing=0.1, ignored=-100),
    *loss("weighted", Real(17, 33), 33, weighted=True),
    *loss("weighted-none", Real(17, 33), 33, weighted=True, reduction="none"),
    *loss("all", Real(33, 17), 17, **ALL),
    *loss("all-sum", Real(33, 17), 17, **ALL, reduction="sum"),
    *loss("all-none", Real(33, 17), 17, **ALL, reduction="none"),
    *loss("uniform", Real(33, 17), 17, label_smoothing=1.0),
    *loss("wide", Real(301, 3001, scale=4.0), 3001),

    *head("1", Real(1, 1), 1),
    *head("17", Real(17, 33, scale=4.0), 127),
    *head("no-bias", Real(9, 17), 33, bias=False),
    *head("sum", Real(9, 17), 33, reduction="sum"),
    *head("smoothed-ignored", Real(33, 17, scale=4.0), 127, label_smoothing=0.1, ignored=-100),
    *head("smoothed-ignored-sum", Real(33, 17), 127, label_smoothing=0.1, ignored=5,
          ignore_index=5, reduction="sum"),
    *head("all", Real(33, 17, scale=4.0), 127, **ALL),
    *head("all-sum", Real(33, 17, scale=4.0), 127, **ALL, reduction="sum"),
    *head("wide", Real(301, 66, scale=4.0), 3001),
    *head("wide-ignored", Real(301, 66), 1003, ignored=-100),
]  # fmt: skip
