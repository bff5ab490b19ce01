"""The C core: layers, optimizers, sampling and n-grams on NumPy arrays.

The docstrings are in the module itself: ``help(minilm._core.Layer.forward)``.
"""

from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias, TypedDict, final

import numpy as np
from numpy.typing import NDArray

_Array: TypeAlias = NDArray[Any]  # of whatever type: what does not fit is refused by name
_Reals: TypeAlias = NDArray[np.float32]
_Arrays: TypeAlias = Sequence[_Reals]

class _BufferStats(TypedDict):
    used: int
    kept: int
    requests: int
    misses: int

class _Config(TypedDict):
    isa: str
    isa_available: list[str]
    blas: str
    blas_core: str
    compiler: str
    threads: int
    version: str

# --- tables --------------------------------------------------------------------------------------

LAYERS: tuple[str, ...]
ACTIVATIONS: dict[str, int]
REDUCTIONS: dict[str, int]

# --- layers --------------------------------------------------------------------------------------

@final
class Layer:
    def __new__(cls, kind: str, /, **config: float) -> Layer: ...
    @property
    def kind(self) -> str: ...
    @property
    def config(self) -> dict[str, float]: ...
    @property
    def params(self) -> tuple[tuple[str, tuple[int, ...]], ...]: ...
    def forward(
        self,
        inputs: tuple[_Array | None, ...],
        params: tuple[_Array | None, ...],
        *,
        training: bool = False,
        need_grad: bool = False,
        seed: int = 0,
        offset: int = 0,
    ) -> tuple[tuple[_Reals, ...], Saved | None]: ...

@final
class Saved:
    def backward(
        self,
        grad_outputs: tuple[_Array | None, ...],
        need_inputs: tuple[bool, ...],
        grad_params: tuple[_Array | bool | None, ...],
    ) -> tuple[tuple[_Reals | None, ...], tuple[_Reals | None, ...]]: ...

# --- optimizers and gradients --------------------------------------------------------------------

def sgd_step(
    params: _Arrays,
    grads: _Arrays,
    momentum_buffers: _Arrays | None,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    first: bool = False,
) -> None: ...
def adam_step(
    params: _Arrays,
    grads: _Arrays,
    exp_avgs: _Arrays,
    exp_avg_sqs: _Arrays,
    step: SupportsIndex,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-08,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> None: ...
def adagrad_step(
    params: _Arrays,
    grads: _Arrays,
    sums: _Arrays,
    step: SupportsIndex,
    lr: float,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> None: ...
def rmsprop_step(
    params: _Arrays,
    grads: _Arrays,
    square_avgs: _Arrays,
    grad_avgs: _Arrays | None,
    momentum_buffers: _Arrays | None,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-08,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    maximize: bool = False,
) -> None: ...
def grad_norm(grads: _Arrays, norm_type: float = 2.0) -> float: ...
def scale_grads(grads: _Arrays, factor: float) -> None: ...
def clip_grads(grads: _Arrays, value: float) -> None: ...

# --- random numbers and sampling -----------------------------------------------------------------

def philox(
    seed: SupportsIndex, stream: SupportsIndex, index: SupportsIndex
) -> tuple[int, int, int, int]: ...
def sample(
    logits: _Array,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: SupportsIndex = 0,
    offset: SupportsIndex = 0,
) -> int: ...
def sample_probs(
    logits: _Array, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> NDArray[np.float64]: ...

# --- writing -------------------------------------------------------------------------------------

@final
class Decoder:
    def __new__(
        cls,
        cell: str,
        embedding: _Array,
        layers: tuple[tuple[_Array | None, ...], ...],
        head: _Array,
        head_bias: _Array | None,
        int8: bool = False,
    ) -> Decoder: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def work(self) -> int: ...
    @classmethod
    def transformer(
        cls,
        embedding: _Array,
        blocks: tuple[tuple[_Array | float | None, ...], ...],
        norm: tuple[_Array, _Array | None],
        head: _Array | None,
        positions: SupportsIndex,
        heads: SupportsIndex,
        kv_heads: SupportsIndex,
        head_size: SupportsIndex,
        inner: SupportsIndex,
        gated: bool,
        activation: SupportsIndex,
        rms: bool,
        eps: float,
        position_embedding: _Array | None = None,
        frequencies: _Array | None = None,
        int8: bool = False,
    ) -> Decoder: ...
    def states(
        self, batch: SupportsIndex, capacity: SupportsIndex | None = None
    ) -> tuple[_Array, ...]: ...
    def read(
        self, ids: _Array, states: tuple[_Array, ...], logits: bool = True
    ) -> _Reals | None: ...
    def write(
        self,
        ids: _Array,
        states: tuple[_Array, ...],
        begin: SupportsIndex,
        end: SupportsIndex,
        temperature: float = 1.0,
        top_k: SupportsIndex = 0,
        top_p: float = 1.0,
        seed: SupportsIndex = 0,
        offset: SupportsIndex = 0,
        suppressed: _Array | None = None,
        end_id: SupportsIndex = -1,
        ended: _Array | None = None,
    ) -> int: ...

def add(a: _Array, b: _Array, out: _Array | None = None) -> _Reals: ...
def matmul(a: _Array, b: _Array) -> _Reals: ...
def fingerprint(arrays: Sequence[_Array]) -> int: ...

# --- n-grams -------------------------------------------------------------------------------------

@final
class NGram:
    def __new__(cls, order: SupportsIndex, vocab_size: SupportsIndex) -> NGram: ...
    @property
    def order(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    def fit(self, ids: _Array, /) -> None: ...
    def log_prob(self, ids: _Array, start: int = 0) -> NDArray[np.float64]: ...
    def distribution(self, context: _Array, /) -> NDArray[np.float64]: ...

# --- the machine ---------------------------------------------------------------------------------

def empty(shape: SupportsIndex | Sequence[SupportsIndex], /) -> _Reals: ...
def set_num_threads(threads: SupportsIndex, /) -> None: ...
def get_num_threads() -> int: ...
def config() -> _Config: ...
def buffer_stats() -> _BufferStats: ...
def empty_cache() -> int: ...
