"""The slow twins: every layer kind of the C core, written from its equations in NumPy, float64.

Nothing here is fast, and nothing is clever: a twin is what the C code is measured against, and
the shortest correct account of what that code computes. The tests prove the twins twice, against
stored PyTorch results and against finite differences, and then hold the C core to the twins.

A twin is a class with the configuration of ``minilm._core.Layer(kind, **config)`` and

``params``
    names and shapes of the parameters, in PyTorch's order;
``forward(inputs, params)``
    a tuple of outputs; whatever ``backward`` needs stays on the object. A layer with dropout
    also takes ``draw(index, shape)``, which gives its masks of 0 and 1; without it, it evaluates;
``backward(grad_outputs)``
    ``(gradients of the inputs, gradients of the parameters)``, None where there is none.

Letters: B batch, T time, E input size, H hidden size, L layers, D directions, N rows, V classes.
``da`` stands for the derivative of the loss with respect to ``a``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
Arrays = dict[str, Array]
Draw = Callable[[int, tuple[int, ...]], Array]


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), through tanh so that nothing overflows."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def log_softmax(x: Array) -> Array:
    """log(exp(x) / sum(exp(x))) along the last axis; subtracting the maximum changes nothing."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def rows(x: Array) -> Array:
    """View of ``x`` as a matrix: all leading axes in one, (..., K) -> (N, K)."""
    return x.reshape(-1, x.shape[-1])


class Embedding:
    """y[n] = W[ids[n]]; the row ``padding_idx`` is read but never learns."""

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int = -1):
        self.params = {"weight": (num_embeddings, embedding_dim)}
        self.padding_idx = padding_idx

    def forward(self, inputs: Sequence[Array], params: Arrays):
        (self.ids,) = inputs
        return (params["weight"][self.ids],)

    def backward(self, grad_outputs: Sequence[Array]):
        (dy,) = grad_outputs
        dw = np.zeros(self.params["weight"])
        np.add.at(dw, self.ids, dy)  # an id that occurs twice collects both gradients
        if self.padding_idx >= 0:
            dw[self.padding_idx] = 0.0
        return (None,), {"weight": dw}


class Linear:
    """y = x W' + b, on the last axis of x (..., in); transposed, the parameter is W'."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, transposed: bool = False
    ):
        self.transposed = transposed
        shape = (out_features, in_features)
        self.params = {"weight": shape[::-1] if transposed else shape}
        if bias:
            self.params["bias"] = (out_features,)

    def forward(self, inputs: Sequence[Array], params: Arrays):
        (self.x,) = inputs
        self.weight = params["weight"].T if self.transposed else params["weight"]
        return (self.x @ self.weight.T + params.get("bias", 0.0),)

    def backward(self, grad_outputs: Sequence[Array]):
        (dy,) = grad_outputs
        dw = rows(dy).T @ rows(self.x)
        grads = {"weight": dw.T if self.transposed else dw, "bias": rows(dy).sum(axis=0)}
        return (dy @ self.weight,), {name: grads[name] for name in self.params}


class Dropout:
    """y = mask * x / (1 - p), the mask 1 with probability 1 - p; y = x when evaluating.

    Hinton et al. 2012, https://arxiv.org/abs/1207.0580, in the "inverted" form: dividing while
    training leaves nothing to do afterwards.
    """

    params: dict[str, tuple[int, ...]] = {}

    def __init__(self, p: float):
        self.p = p

    def forward(self, inputs: Sequence[Array], params: Arrays, draw: Draw | None = None):
        (x,) = inputs
        self.factor = inverted(draw(0, x.shape), self.p) if draw else np.ones_like(x)
        return (x * self.factor,)

    def backward(self, grad_outputs: Sequence[Array]):
        (dy,) = grad_outputs
        return (dy * self.factor,), {}


def inverted(mask: Array, p: float) -> Array:
    """What dropout multiplies with: mask / (1 - p)."""
    return mask / (1.0 - p) if p < 1.0 else np.zeros(mask.shape)


class LayerNorm:
    """y = (x - mean) / sqrt(variance + eps) * w + b, along the last axis.

    Ba, Kiros & Hinton 2016, https://arxiv.org/abs/1607.06450; the variance is divided by K.
    """

    def __init__(
        self, normalized_size: int, eps: float = 1e-5, affine: bool = True, bias: bool = True
    ):
        self.eps = eps
        names = ("weight", "bias") if bias else ("weight",)
        self.params = {name: (normalized_size,) for name in names} if affine else {}

    def forward(self, inputs: Sequence[Array], params: Arrays):
        (x,) = inputs
        self.weight = params.get("weight", 1.0)
        self.rstd = 1.0 / np.sqrt(x.var(axis=-1, keepdims=True) + self.eps)
        self.normal = (x - x.mean(axis=-1, keepdims=True)) * self.rstd
        return (self.normal * self.weight + params.get("bias", 0.0),)

    def backward(self, grad_outputs: Sequence[Array]):
        (dy,) = grad_outputs
        dn = dy * self.weight
        # x moves its own mean and its own scale: take both movements out of the gradient
        dx = self.rstd * (
            dn
            - dn.mean(axis=-1, keepdims=True)
            - self.normal * (dn * self.normal).mean(axis=-1, keepdims=True)
        )
        grads = {"weight": rows(dy * self.normal).sum(axis=0), "bias": rows(dy).sum(axis=0)}
        return (dx,), {name: grads[name] for name in self.params}


class RMSNorm:
    """y = x / sqrt(mean(x^2) + eps) * w, along the last axis.

    Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467.
    """

    def __init__(self, normalized_size: int, eps: float = 2.0**-23, affine: bool = True):
        self.eps = eps
        self.params = {"weight": (normalized_size,)} if affine else {}

    def forward(self, inputs: Sequence[Array], params: Arrays):
        (x,) = inputs
        self.weight = params.get("weight", 1.0)
        self.rrms = 1.0 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps)
        self.normal = x * self.rrms
        return (self.normal * self.weight,)

    def backward(self, grad_outputs: Sequence[Array]):
        (dy,) = grad_outputs
        dn = dy * self.weight
        dx = self.rrms * (dn - self.normal * (dn * self.normal).mean(axis=-1, keepdims=True))
        grads = {"weight": rows(dy * self.normal).sum(axis=0)}
        return (dx,), {name: grads[name] for name in self.params}


class Activation:
    """y = f(x), element by element; ``function`` is a key of ``FUNCTIONS``."""

    params: dict[str, tuple[int, ...]] = {}

    def __init__(self, function: str):
        self.function, self.derivative = FUNCTIONS[function]

    def forward(self, inputs: Sequence[Array], params: Arrays):
        (self.x,) = inputs
        return (self.function(self.x),)

    def backward(self, grad_outputs: Sequence[Array]):
        (dy,) = grad_outputs
        return (dy * self.derivative(self.x),), {}


def normal_cdf(x: Array) -> Array:
    """Probability that a standard normal variable is below x."""
    return 0.5 * np.vectorize(math.erfc)(-x / math.sqrt(2.0))


def normal_pdf(x: Array) -> Array:
    """Density of the standard normal variable."""
    return np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def gelu_tanh_inner(x: Array) -> Array:
    """tanh(sqrt(2 / pi) (x + 0.044715 x^3)), which stands for 2 cdf(x) - 1."""
    return np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))


def gelu_tanh_derivative(x: Array) -> Array:
    """Derivative of x (1 + t) / 2, with t the inner tanh."""
    t = gelu_tanh_inner(x)
    dt = (1.0 - t * t) * math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * x * x)
    return 0.5 * (1.0 + t) + 0.5 * x * dt


# name: (function, derivative). gelu: Hendrycks & Gimpel 2016, https://arxiv.org/abs/1606.08415
FUNCTIONS = {
    "tanh": (np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "relu": (lambda x: np.maximum(x, 0.0), lambda x: (x > 0.0).astype(float)),
    "gelu": (lambda x: x * normal_cdf(x), lambda x: normal_cdf(x) + x * normal_pdf(x)),
    "gelu_tanh": (lambda x: 0.5 * x * (1.0 + gelu_tanh_inner(x)), gelu_tanh_derivative),
    "silu": (
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1.0 + x * sigmoid(-x)),
    ),
}


class CrossEntropy:
    """loss[n] = - sum_v q[n, v] log softmax(logits[n])[v], in nats.

    The target distribution q carries every option: class weights w, label smoothing s (Szegedy
    et al. 2015, https://arxiv.org/abs/1512.00567), and rows that do not count::

        q[n, v] = w[v] ((1 - s) [v == target[n]] + s / V), or 0 where target[n] is ignored

    The mean divides by the sum of w[target[n]] over the rows that count.
    """

    params: dict[str, tuple[int, ...]] = {}

    def __init__(
        self, ignore_index: int = -100, label_smoothing: float = 0.0, reduction: str = "mean"
    ):
        self.ignore_index = ignore_index
        self.smoothing = label_smoothing
        self.reduction = reduction

    def forward(self, inputs: Sequence[Array], params: Arrays):
        logits, targets, weight = inputs
        counted = targets != self.ignore_index
        target = np.where(counted, targets, 0)  # any class: its row is zeroed
        classes = logits.shape[1]
        w = np.ones(classes) if weight is None else weight

        self.logp = log_softmax(logits)
        onehot = np.eye(classes)[target]
        self.q = w * ((1.0 - self.smoothing) * onehot + self.smoothing / classes)
        self.q[~counted] = 0.0
        loss = -(self.q * self.logp).sum(axis=1)

        self.divisor = w[target][counted].sum() if self.reduction == "mean" else 1.0
        return (loss if self.reduction == "none" else loss.sum() / self.divisor,)

    def backward(self, grad_outputs: Sequence[Array]):
        (dloss,) = grad_outputs
        # log softmax sends the gradient q back as: softmax * (sum of q) - q
        per_row = np.exp(self.logp) * self.q.sum(axis=1, keepdims=True) - self.q
        dlogits = per_row * np.reshape(dloss, (-1, 1)) / self.divisor
        return (dlogits, None, None), {}


class LinearCrossEntropy:
    """The head of a language model and its loss in one: cross-entropy of x W' + b."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, **loss_config):
        self.linear = Linear(in_features, out_features, bias)
        self.loss = CrossEntropy(**loss_config)
        self.params = self.linear.params

    def forward(self, inputs: Sequence[Array], params: Arrays):
        x, targets, weight = inputs
        (logits,) = self.linear.forward((x,), params)
        return self.loss.forward((logits, targets, weight), {})

    def backward(self, grad_outputs: Sequence[Array]):
        (dlogits, _, _), _ = self.loss.backward(grad_outputs)
        (dx,), grads = self.linear.backward((dlogits,))
        return (dx, None, None), grads
