"""The recurrent layers: small cells, and one driver for layers, directions and time.

A cell sees two products, each with its bias, G gates side by side::

    a = x W_ih' + b_ih      from the input          (B, G H)
    r = h W_hh' + b_hh      from the state before   (B, G H)

and says how the state follows from them and, backward, what the state's gradient makes of the
gradients of ``a``, ``r`` and the state before. All that is left to the driver are products. A cell
that has no W_hh sees 0 in the place of ``r``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layers import Array, Arrays, Draw, inverted, rows, sigmoid

State = tuple[Array, ...]  # (h,) or, for the LSTM, (h, c): each (B, H)


class Recurrent:
    """Every layer reads the layer below in each direction, time step by time step.

    Inputs: x (T, B, E), or (B, T, E) with ``batch_first``, and one initial state (L D, B, H) or
    None for each kind of state. With ids (T, B), or (B, T), after these, x is a table (V, E) of
    which they choose rows. With starts (T, B), or (B, T), after those, the state before a step is
    0 where they are not. Outputs: y (T, B, D H), laid out like x, and the last states.
    ``draw(l, (T, B, D H))`` gives the dropout mask on what layer l > 0 reads.
    """

    gates: int
    states = 1  # kinds of state
    elementwise = False  # whether there are no W_hh and b_hh

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        self.hidden, self.layers, self.directions = hidden_size, num_layers, 1 + bidirectional
        self.batch_first, self.dropout = batch_first, dropout
        self.params: dict[str, tuple[int, ...]] = {}
        for layer in range(num_layers):
            size = hidden_size * self.directions if layer else input_size
            for direction in range(self.directions):
                end = suffix(layer, direction)
                self.params["weight_ih" + end] = (self.gates * hidden_size, size)
                if not self.elementwise:
                    self.params["weight_hh" + end] = (self.gates * hidden_size, hidden_size)
                if bias:
                    self.params["bias_ih" + end] = (self.gates * hidden_size,)
                if bias and not self.elementwise:
                    self.params["bias_hh" + end] = (self.gates * hidden_size,)

    def cell(self, a: Array, r: Array, state: State) -> tuple[State, tuple[Array, ...]]:
        """Return the state that follows, and what ``cell_backward`` needs."""
        raise NotImplementedError

    def cell_backward(self, saved: tuple[Array, ...], dstate: State) -> tuple[Array, Array, State]:
        """Return da, dr, and the part of the gradient that goes to the state directly."""
        raise NotImplementedError

    def forward(self, inputs: Sequence[Array], params: Arrays, draw: Draw | None = None):
        x, *initial = inputs[: 1 + self.states]
        self.ids, starts, *_ = *inputs[1 + self.states :], None, None
        self.table = x
        if self.ids is not None:
            x = x[self.ids]
        x = x.swapaxes(0, 1) if self.batch_first else x
        self.goes_on = np.ones(x.shape[:2])  # (T, B)
        if starts is not None:
            self.goes_on[(starts.T if self.batch_first else starts) != 0] = 0.0
        shape = (self.layers * self.directions, x.shape[1], self.hidden)
        initial = [np.zeros(shape) if state is None else state for state in initial]

        self.weights, self.runs = params, []
        self.factors: dict[int, Array] = {}  # of dropout, by the layer that reads the product
        last = []
        for layer in range(self.layers):
            if draw and layer > 0:
                self.factors[layer] = inverted(draw(layer, x.shape), self.dropout)
                x = x * self.factors[layer]
            ys = []
            for direction in range(self.directions):
                first = tuple(state[len(last)] for state in initial)
                y, state = self.run(x, first, layer, direction)
                ys.append(y)
                last.append(state)
            x = np.concatenate(ys, axis=2)
        y = x.swapaxes(0, 1) if self.batch_first else x
        return (y, *(np.stack(states) for states in zip(*last, strict=True)))

    def run(self, x: Array, state: State, layer: int, direction: int) -> tuple[Array, State]:
        """One layer in one direction: x (T, B, E) -> y (T, B, H) and the last state."""
        end = suffix(layer, direction)
        w_ih, w_hh = self.matrices(end)
        b_ih, b_hh = self.weights.get("bias_ih" + end, 0.0), self.weights.get("bias_hh" + end, 0.0)
        y = np.zeros((*x.shape[:2], self.hidden))
        before, saved = np.zeros_like(y), [()] * len(x)
        for t in order(len(x), direction):
            state = tuple(part * self.goes_on[t][:, None] for part in state)
            before[t] = state[0]
            state, saved[t] = self.cell(x[t] @ w_ih.T + b_ih, state[0] @ w_hh.T + b_hh, state)
            y[t] = state[0]
        self.runs.append((x, before, saved))
        return y, state

    def matrices(self, end: str) -> tuple[Array, Array]:
        """W_ih and W_hh, which is 0 where the cell has none."""
        none = np.zeros((self.gates * self.hidden, self.hidden))
        return self.weights["weight_ih" + end], self.weights.get("weight_hh" + end, none)

    def backward(self, grad_outputs: Sequence[Array]):
        dy, *dlast = grad_outputs
        dy = dy.swapaxes(0, 1) if self.batch_first else dy
        grads: Arrays = {}
        dinitial: list[State] = []  # from the last layer to the first
        for layer in reversed(range(self.layers)):
            dx = 0.0
            for direction in reversed(range(self.directions)):
                at = layer * self.directions + direction
                dy_own = dy[..., direction * self.hidden : (direction + 1) * self.hidden]
                dstate = tuple(state[at] for state in dlast)
                dx_own, dstate, own = self.run_backward(dy_own, dstate, layer, direction)
                dx = dx + dx_own
                dinitial.append(dstate)
                grads.update(own)
            dy = dx * self.factors.get(layer, 1.0)
        dx = dy.swapaxes(0, 1) if self.batch_first else dy
        dstates = [np.stack(states[::-1]) for states in zip(*dinitial, strict=True)]
        if self.ids is not None:
            drows, dx = dx, np.zeros_like(self.table)
            np.add.at(dx, self.ids, drows)
        return (dx, *dstates, None, None), {name: grads[name] for name in self.params}

    def run_backward(
        self, dy: Array, dstate: State, layer: int, direction: int
    ) -> tuple[Array, State, Arrays]:
        """Back through time: gradients of the input, the first state and the four parameters."""
        end = suffix(layer, direction)
        x, before, saved = self.runs[layer * self.directions + direction]
        w_ih, w_hh = self.matrices(end)
        da, dr = np.zeros((2, *dy.shape[:2], len(w_hh)))
        for t in reversed(order(len(x), direction)):
            dh, *others = dstate
            da[t], dr[t], (dh, *others) = self.cell_backward(saved[t], (dh + dy[t], *others))
            dstate = (dh + dr[t] @ w_hh, *others)
            dstate = tuple(part * self.goes_on[t][:, None] for part in dstate)
        grads = {
            "weight_ih" + end: rows(da).T @ rows(x),
            "weight_hh" + end: rows(dr).T @ rows(before),
            "bias_ih" + end: rows(da).sum(axis=0),
            "bias_hh" + end: rows(dr).sum(axis=0),
        }
        return da @ w_ih, dstate, grads


def suffix(layer: int, direction: int) -> str:
    """PyTorch's ending of a parameter's name: _l0, _l0_reverse, _l1 ..."""
    return f"_l{layer}" + "_reverse" * direction


def order(steps: int, direction: int) -> range:
    """Time steps in the order in which a direction visits them."""
    return range(steps - 1, -1, -1) if direction else range(steps)


class RNN(Recurrent):
    """h' = tanh(a + r), or relu(a + r).

    Elman 1990, https://doi.org/10.1207/s15516709cog1402_1.
    """

    gates = 1

    def __init__(self, *args: int, relu: bool = False, **config):
        super().__init__(*args, **config)
        self.relu = relu

    def cell(self, a, r, state):
        h = np.maximum(a + r, 0.0) if self.relu else np.tanh(a + r)
        return (h,), (h,)

    def cell_backward(self, saved, dstate):
        (h,), (dh,) = saved, dstate
        da = dh * (h > 0.0) if self.relu else dh * (1.0 - h * h)
        return da, da, (np.zeros_like(dh),)


class LSTM(Recurrent):
    """Gates i, f, g, o side by side::

        i, f, o = sigmoid(a + r)    g = tanh(a + r)
        c' = f c + i g
        h' = o tanh(c')

    Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735, with the forget
    gate of Gers et al. 2000, https://doi.org/10.1162/089976600300015015.
    """

    gates = 4
    states = 2

    def cell(self, a, r, state):
        _, c = state
        i, f, g, o = np.split(a + r, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_new = f * c + i * g
        return (o * np.tanh(c_new), c_new), (i, f, g, o, c, np.tanh(c_new))

    def cell_backward(self, saved, dstate):
        i, f, g, o, c, tanh_c = saved
        dh, dc = dstate
        dc = dc + dh * o * (1.0 - tanh_c * tanh_c)
        da = np.concatenate(
            [
                dc * g * i * (1.0 - i),
                dc * c * f * (1.0 - f),
                dc * i * (1.0 - g * g),
                dh * tanh_c * o * (1.0 - o),
            ],
            axis=1,
        )
        return da, da, (np.zeros_like(dh), dc * f)


class GRU(Recurrent):
    """Gates r, z, n side by side; the reset gate acts on the product, after its bias::

        reset, z = sigmoid(a + r)
        n = tanh(a_n + reset r_n)
        h' = (1 - z) n + z h

    Cho et al. 2014, https://arxiv.org/abs/1406.1078, in the variant that cuDNN and PyTorch use:
    there the reset comes before the product.
    """

    gates = 3

    def cell(self, a, r, state):
        (h,) = state
        a_reset, a_z, a_n = np.split(a, 3, axis=1)
        r_reset, r_z, r_n = np.split(r, 3, axis=1)
        reset, z = sigmoid(a_reset + r_reset), sigmoid(a_z + r_z)
        n = np.tanh(a_n + reset * r_n)
        return ((1.0 - z) * n + z * h,), (reset, z, n, r_n, h)

    def cell_backward(self, saved, dstate):
        reset, z, n, r_n, h = saved
        (dh,) = dstate
        da_n = dh * (1.0 - z) * (1.0 - n * n)
        da_z = dh * (h - n) * z * (1.0 - z)
        da_reset = da_n * r_n * reset * (1.0 - reset)
        da = np.concatenate([da_reset, da_z, da_n], axis=1)
        dr = np.concatenate([da_reset, da_z, da_n * reset], axis=1)
        return da, dr, (dh * z,)


def above_zero(a: Array) -> Array:
    """g(a) = a + 1/2 where a >= 0, else sigmoid(a)."""
    return np.where(a >= 0.0, a + 0.5, sigmoid(a))


def above_zero_slope(a: Array) -> Array:
    """The derivative of ``above_zero``."""
    return np.where(a >= 0.0, 1.0, sigmoid(a) * (1.0 - sigmoid(a)))


class MinGRU(Recurrent):
    """Gates z, n side by side::

        z = sigmoid(a_z)    n = g(a_n)
        h' = (1 - z) h + z n

    Feng et al. 2024, https://arxiv.org/abs/2410.01201, the form with a candidate above 0.
    """

    gates = 2
    elementwise = True

    def cell(self, a, r, state):
        (h,) = state
        a_z, a_n = np.split(a, 2, axis=1)
        z, n = sigmoid(a_z), above_zero(a_n)
        return ((1.0 - z) * h + z * n,), (z, n, a_n, h)

    def cell_backward(self, saved, dstate):
        z, n, a_n, h = saved
        (dh,) = dstate
        da = [dh * (n - h) * z * (1.0 - z), dh * z * above_zero_slope(a_n)]
        return np.concatenate(da, axis=1), 0.0, (dh * (1.0 - z),)


class MinLSTM(Recurrent):
    """Gates f, i, n side by side::

        f, i = sigmoid(a_f), sigmoid(a_i)    n = g(a_n)
        h' = f / (f + i) h + i / (f + i) n

    Feng et al. 2024, as `MinGRU`; of one length whatever the time: the gates share out 1.
    """

    gates = 3
    elementwise = True

    def cell(self, a, r, state):
        (h,) = state
        a_f, a_i, a_n = np.split(a, 3, axis=1)
        f, i, n = sigmoid(a_f), sigmoid(a_i), above_zero(a_n)
        return ((f * h + i * n) / (f + i),), (f, i, n, a_n, h)

    def cell_backward(self, saved, dstate):
        f, i, n, a_n, h = saved
        (dh,) = dstate
        dshare = dh * (h - n) * f * i / (f + i) ** 2  # by the logarithm of f, or of 1 / i
        da = [
            dshare * (1.0 - f),
            -dshare * (1.0 - i),
            dh * i / (f + i) * above_zero_slope(a_n),
        ]
        return np.concatenate(da, axis=1), 0.0, (dh * f / (f + i),)
