"""The optimizers on one array each, and gradient clipping; written as PyTorch defines them.

``step(w, g)`` returns the weights that follow; moments stay on the object. ``t`` counts steps
from 1.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


class Optimizer:
    """What all share: ``maximize`` turns the gradient round, ``weight_decay`` adds to it."""

    def __init__(self, lr: float, weight_decay: float = 0.0, maximize: bool = False):
        self.lr, self.weight_decay, self.maximize = lr, weight_decay, maximize
        self.t = 0

    def step(self, w: Array, g: Array) -> Array:
        self.t += 1
        g = -g if self.maximize else g
        return self.update(w, g + self.weight_decay * w)

    def update(self, w: Array, g: Array) -> Array:
        raise NotImplementedError


class SGD(Optimizer):
    """v = momentum v + (1 - dampening) g, w' = w - lr v; Nesterov looks ahead: g + momentum v.

    The first step takes v = g, without dampening. Sutskever et al. 2013,
    https://proceedings.mlr.press/v28/sutskever13.html.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ):
        super().__init__(lr, weight_decay, maximize)
        self.momentum, self.dampening, self.nesterov = momentum, dampening, nesterov
        self.v = np.zeros(())

    def update(self, w: Array, g: Array) -> Array:
        if self.momentum:
            fresh = g if self.t == 1 else (1.0 - self.dampening) * g
            self.v = self.momentum * self.v + fresh
            g = g + self.momentum * self.v if self.nesterov else self.v
        return w - self.lr * g


class Adagrad(Optimizer):
    """s = s + g^2, w' = w - lr_t g / (sqrt(s) + eps), lr_t = lr / (1 + (t - 1) lr_decay).

    Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html.
    """

    def __init__(
        self,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        maximize: bool = False,
    ):
        super().__init__(lr, weight_decay, maximize)
        self.lr_decay, self.eps = lr_decay, eps
        self.s: Array | float = initial_accumulator_value

    def update(self, w: Array, g: Array) -> Array:
        self.s = self.s + g * g
        lr = self.lr / (1.0 + (self.t - 1) * self.lr_decay)
        return w - lr * g / (np.sqrt(self.s) + self.eps)


class RMSprop(Optimizer):
    """s = alpha s + (1 - alpha) g^2, u = g / (sqrt(s) + eps), v = momentum v + u, w' = w - lr v.

    ``centered`` takes the squared mean gradient from s, which leaves the variance. Tieleman &
    Hinton 2012, lecture 6e; centered: Graves 2013, https://arxiv.org/abs/1308.0850.
    """

    def __init__(
        self,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        maximize: bool = False,
    ):
        super().__init__(lr, weight_decay, maximize)
        self.alpha, self.eps, self.momentum, self.centered = alpha, eps, momentum, centered
        self.s = self.mean = self.v = np.zeros(())

    def update(self, w: Array, g: Array) -> Array:
        self.s = self.alpha * self.s + (1.0 - self.alpha) * g * g
        self.mean = self.alpha * self.mean + (1.0 - self.alpha) * g
        spread = self.s - self.mean**2 if self.centered else self.s
        self.v = self.momentum * self.v + g / (np.sqrt(spread) + self.eps)
        return w - self.lr * self.v


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g, s = b2 s + (1 - b2) g^2, both divided by 1 - b^t because they began
    at 0: w' = w - lr (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + eps).

    Kingma & Ba 2014, https://arxiv.org/abs/1412.6980.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ):
        super().__init__(lr, weight_decay, maximize)
        self.betas, self.eps = betas, eps
        self.m = self.s = np.zeros(())

    def update(self, w: Array, g: Array) -> Array:
        b1, b2 = self.betas
        self.m = b1 * self.m + (1.0 - b1) * g
        self.s = b2 * self.s + (1.0 - b2) * g * g
        m, s = self.m / (1.0 - b1**self.t), self.s / (1.0 - b2**self.t)
        return w - self.lr * m / (np.sqrt(s) + self.eps)


class AdamW(Adam):
    """Adam whose decay shrinks the weights, w (1 - lr decay), and leaves the gradient alone.

    Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101.
    """

    def __init__(self, *args: float, weight_decay: float = 1e-2, **config):
        super().__init__(*args, **config)
        self.decay = weight_decay

    def update(self, w: Array, g: Array) -> Array:
        return super().update(w * (1.0 - self.lr * self.decay), g)


def clip_grad_norm(grads: list[Array], max_norm: float, norm_type: float) -> list[Array]:
    """Scale all gradients by one factor, so that their common norm is at most ``max_norm``."""
    norm = grad_norm(grads, norm_type)
    return [g * min(1.0, max_norm / (norm + 1e-6)) for g in grads]


def grad_norm(grads: list[Array], norm_type: float) -> float:
    """Norm of all gradients taken as one long vector."""
    return float(np.linalg.norm(np.concatenate([g.ravel() for g in grads]), norm_type))


def clip_grad_value(grads: list[Array], value: float) -> list[Array]:
    """Cut every element to [-value, value]."""
    return [np.clip(g, -value, value) for g in grads]
