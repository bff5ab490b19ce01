"""Recurrent layers: RNN, LSTM, GRU; and what min_rnn.py shares with them.

They differ in the cell; layers, directions, time and dropout are the same, and all of it runs in
one call of the C core.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minilm.nn import checks, init
from minilm.nn.deferred import lookup_of
from minilm.nn.layer_call import LayerCall, Operands
from minilm.nn.module import Module
from minilm.nn.parameter import Parameter
from minilm.tensor import Tensor, TensorLike
from minilm.warn import warn_caller


class _Recurrent(Module):
    """What all recurrent layers have in common.

    Parameters start as U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).
    """

    _kind: str
    _states: tuple[str, ...] = ("h0",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.input_size = checks.size(name, "input_size", input_size)
        self.hidden_size = checks.size(name, "hidden_size", hidden_size)
        self.num_layers = checks.size(name, "num_layers", num_layers)
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = checks.probability(name, dropout)
        self.bidirectional = bidirectional
        if dropout > 0 and num_layers == 1:
            warn_caller(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                "num_layers=1"
            )
        self._call = LayerCall(
            self._kind,
            input_size=self.input_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=self.dropout,
            bidirectional=bidirectional,
            **self._more_config(),
        )
        self._names = [name for name, _ in self._call.layer.params]
        for name, shape in self._call.layer.params:
            self.register_parameter(name, Parameter(np.empty(shape, np.float32)))
        self.reset_parameters()

    def _more_config(self) -> dict[str, float]:
        """Return what else the core has to know of the cell."""
        return {}

    def reset_parameters(self) -> None:
        """Draw the parameters again."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: parameters need no rearranging here; for code written for PyTorch."""

    def _run(
        self,
        input: TensorLike,  # noqa: A002
        states: list[Tensor | None],
        starts: TensorLike | None,
        walk: Callable[..., tuple[Tensor, ...]] | None = None,
    ) -> tuple[Tensor, ...]:
        """Check the arguments and, by `walk`, compute outputs and last states: by the core."""
        x = self._check_input(input)
        begins = None if starts is None else self._check_starts(starts, x)
        batched = x.dim() == 3
        if not batched:
            x = x.unsqueeze(self._batch_axis)
            states = [None if state is None else state.unsqueeze(1) for state in states]
            begins = None if begins is None else begins.unsqueeze(self._batch_axis)
        for name, state in zip(self._states, states, strict=True):
            if state is not None:
                self._check_state(name, state, x)
        outputs = (walk or self._walk)(x, states, begins)
        if batched:
            return outputs
        y, *last = outputs
        return y.squeeze(self._batch_axis), *(state.squeeze(1) for state in last)

    def _walk(
        self, x: Tensor, states: list[Tensor | None], starts: Tensor | None
    ) -> tuple[Tensor, ...]:
        return self._call.run(self._operands(x, states, starts), self.training)

    def _operands(self, x: Tensor, states: list[Tensor | None], starts: Tensor | None) -> Operands:
        """Collect inputs and parameters; of a lookup, its table and its ids.

        Parameters are attributes, as for other layers: in their place may stand tensors that were
        computed from something, as `WeightDrop` does it.
        """
        params = Operands.now([getattr(self, name) for name in self._names])
        if (lookup := lookup_of(x)) is not None:
            ids, table = lookup[:1], lookup[1:]
            inputs = table + Operands.now(states) + ids
        else:
            inputs = Operands.now([x, *states, None])
        return inputs + Operands.now([starts]) + params

    # --- what may go wrong ---

    @property
    def _batch_axis(self) -> int:
        return 0 if self.batch_first else 1

    @property
    def _axes(self) -> str:
        return "(batch, time, " if self.batch_first else "(time, batch, "

    def _check_input(self, value: TensorLike) -> Tensor:
        name = type(self).__name__
        x = checks.floats(name, "input", value)
        if x.dim() not in (2, 3):
            raise ValueError(
                f"{name}: expected input {self._axes}input_size={self.input_size}), or without "
                f"batch (time, input_size), got {x.dim()} axes: shape {x.shape}"
            )
        if x.shape[-1] != self.input_size:
            cause = ". Is the layer before it (an embedding, perhaps) as wide as input_size?"
            if x.dim() == 3 and x.shape[1] == self.input_size:
                cause = ". Axis 1 has that length: did you mean input.transpose(1, 2)?"
            raise ValueError(
                f"{name}: expected input {self._axes}input_size={self.input_size}), got shape "
                f"{x.shape}{cause}"
            )
        return x

    def _check_starts(self, value: TensorLike, x: Tensor) -> Tensor:
        name = type(self).__name__
        starts = checks.flags(name, "starts", value)
        if starts.shape != x.shape[:-1]:
            raise ValueError(
                f"{name}: expected starts {self._axes[:-2]}), one for each step of "
                f"the input, {x.shape[:-1]}, got shape {starts.shape}"
            )
        return starts

    def _check_state(self, name: str, state: Tensor, x: Tensor) -> None:
        layers = self.num_layers * (2 if self.bidirectional else 1)
        batch, time = x.shape[self._batch_axis], x.shape[1 - self._batch_axis]
        expected = (layers, batch, self.hidden_size)
        if state.shape == expected:
            return
        cause = ""
        if state.shape == (batch, layers, self.hidden_size):
            cause = (
                ". States are (layers, batch, hidden) whatever batch_first says: transpose(0, 1)"
            )
        elif state.shape == (layers, time, self.hidden_size):
            now, other = self._axes[:-2] + ", ...)", "time" if self.batch_first else "batch"
            cause = (
                f". Its batch is as long as the input's time: the input is read as {now}; if its "
                f"first axis is {other}, make the layer with batch_first={not self.batch_first}"
            )
        raise ValueError(
            f"{type(self).__name__}: expected {name} (layers={layers}, batch={batch}, "
            f"hidden_size={self.hidden_size}), got shape {state.shape}{cause}"
        )

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, usual in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            value = getattr(self, name)
            if value != usual:
                parts.append(f"{name}={value}")
        return ", ".join(parts)


class _WithOneState(_Recurrent):
    """A recurrent layer whose state is one tensor."""

    def forward(
        self,
        input: TensorLike,  # noqa: A002
        hx: TensorLike | None = None,
        starts: TensorLike | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the layer over a sequence.

        Parameters
        ----------
        input : Tensor
            ``(batch, time, input_size)`` if `batch_first`, else ``(time, batch, input_size)``; or
            one sequence ``(time, input_size)``.
        hx : Tensor, optional
            The state to start from, ``(layers, batch, hidden_size)``; 0 if left out. Both
            directions count as layers.
        starts : Tensor of bool, optional
            True at each step that starts a sequence, ``(batch, time)`` if `batch_first`, else
            ``(time, batch)``: it is read from a state of zeros, and no gradient flows to the steps
            before it. So texts that stand one behind the other are read in one call. Not for both
            directions.

        Returns
        -------
        output : Tensor
            The last layer's state at every step, in the order of axes of `input`; both directions
            side by side.
        h_n : Tensor
            The state after the last step, ``(layers, batch, hidden_size)``.

        Raises
        ------
        ValueError
            If a shape does not fit; the message names the axes and a likely cause.
        TypeError
            If something is not float32, such as ids that were not embedded.
        """
        output, h_n = self._run(input, [self._one_state(hx)], starts)
        return output, h_n

    def _one_state(self, hx: TensorLike | None) -> Tensor | None:
        name = type(self).__name__
        if isinstance(hx, (tuple, list)):
            raise TypeError(
                f"{name}: expected one state h0, got {len(hx)}; only an LSTM has (h0, c0)"
            )
        return None if hx is None else checks.floats(name, "h0", hx)


class RNN(_WithOneState):
    """``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or relu.

    Parameters
    ----------
    input_size : int
        Features of the input at each step.
    hidden_size : int
        Features of the state.
    num_layers : int
        Layers, each of which reads the output of the one before.
    nonlinearity : {"tanh", "relu"}
        The function.
    bias : bool
        Whether there are `b_ih` and `b_hh`.
    batch_first : bool
        Whether input and output are (batch, time, ...) instead of (time, batch, ...).
    dropout : float
        Dropout after each layer but the last.
    bidirectional : bool
        Whether a second set of layers reads backwards.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ... : Parameter
        As in PyTorch: ``_l1`` for the next layer, ``_reverse`` for the other direction.
    """

    _kind = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity  # which the base asks for
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )

    def _more_config(self) -> dict[str, float]:
        return {"relu": self.nonlinearity == "relu"}


class GRU(_WithOneState):
    """Gated recurrent unit (Cho et al., 2014), with the reset after the product.

    ``h' = (1 - z) n + z h`` with ``n = tanh(W_in x + b_in + r (W_hn h + b_hn))``. The gates r, z, n
    are stacked on axis 0 of the parameters.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As for `RNN`.
    """

    _kind = "gru"


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997).

    ``c' = f c + i g``, ``h' = o tanh(c')``. The gates i, f, g, o are stacked on axis 0 of the
    parameters.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As for `RNN`.
    """

    _kind = "lstm"
    _states = ("h0", "c0")

    def forward(
        self,
        input: TensorLike,  # noqa: A002
        hx: tuple[TensorLike, TensorLike] | None = None,
        starts: TensorLike | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run the layer over a sequence.

        Parameters
        ----------
        input : Tensor
            ``(batch, time, input_size)`` if `batch_first`, else ``(time, batch, input_size)``; or
            one sequence ``(time, input_size)``.
        hx : (Tensor, Tensor), optional
            The states ``(h0, c0)`` to start from, each ``(layers, batch, hidden_size)``; 0 if
            left out. Both directions count as layers.
        starts : Tensor of bool, optional
            The steps that start a sequence, as for `RNN`.

        Returns
        -------
        output : Tensor
            The last layer's h at every step, in the order of axes of `input`; both directions
            side by side.
        (h_n, c_n) : (Tensor, Tensor)
            The states after the last step, each ``(layers, batch, hidden_size)``.

        Raises
        ------
        ValueError
            If a shape does not fit; the message names the axes and a likely cause.
        TypeError
            If something is not float32, or `hx` is not a pair.
        """
        states: list[Tensor | None] = [None, None]
        if hx is not None:
            states = [checks.floats("LSTM", name, state) for name, state in self._pair(hx)]
        output, h_n, c_n = self._run(input, states, starts)
        return output, (h_n, c_n)

    def _pair(self, hx: Any) -> Any:
        if not isinstance(hx, (tuple, list)) or len(hx) != 2:
            raise TypeError("LSTM: expected the pair of states (h0, c0); an RNN or GRU has only h0")
        return zip(self._states, hx, strict=True)
