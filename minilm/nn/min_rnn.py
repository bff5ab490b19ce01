"""Minimal recurrent layers: MinGRU and MinLSTM, whose gates do not read the state.

Each has two forms that give the same numbers: `forward` goes from step to step, in the C core, and
`parallel` computes all steps at once.
"""

from __future__ import annotations

import math

from minilm.nn import functional, init
from minilm.nn.recurrent import _WithOneState
from minilm.nn.scan import parallel_scan
from minilm.operations import cat, stack, where
from minilm.tensor import Tensor, TensorLike


class _Minimal(_WithOneState):
    """What both have in common. Each map of the input starts as `Linear` does."""

    def reset_parameters(self) -> None:
        """Draw the parameters again: U(-1/sqrt(width), 1/sqrt(width)) of what a layer reads."""
        for name in self._names:
            width = getattr(self, name.replace("bias", "weight")).shape[1]
            init.uniform_(getattr(self, name), -1 / math.sqrt(width), 1 / math.sqrt(width))

    def parallel(
        self,
        input: TensorLike,  # noqa: A002
        hx: TensorLike | None = None,
        starts: TensorLike | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the layer over a sequence, all steps at once; see `functional.parallel_scan`.

        Outputs and gradients are those of `forward`, up to rounding; in training, dropout between
        layers draws other masks. It is made of operations on tensors, and there to be read and
        compared with: `forward` is faster, and takes less memory.

        Parameters
        ----------
        input, hx, starts
            As for `forward`.

        Returns
        -------
        output : Tensor
            The last layer's state at every step, in the order of axes of `input`.
        h_n : Tensor
            The state after the last step, ``(layers, batch, hidden_size)``.

        Raises
        ------
        ValueError, TypeError
            As `forward`.
        """
        output, h_n = self._run(input, [self._one_state(hx)], starts, self._walk_at_once)
        return output, h_n

    def _walk_at_once(
        self, x: Tensor, states: list[Tensor | None], starts: Tensor | None
    ) -> tuple[Tensor, ...]:
        if starts is not None and self.bidirectional:
            raise ValueError(
                f"{type(self).__name__}: starts: a layer of both directions reads sequences from "
                "their ends, too: give it one sequence in each row of the batch, without starts"
            )
        goes_on = None if starts is None else self._time_first(starts == 0).float().unsqueeze(-1)
        (initial,) = states
        last: list[Tensor] = []
        x = self._time_first(x)
        for layer in range(self.num_layers):
            if layer > 0:
                x = functional.dropout(x, self.dropout, self.training)
            ys = []
            for end in ("", "_reverse")[: 1 + self.bidirectional]:
                h0 = None if initial is None else initial[len(last)]
                y = self._direction(x.flip(0) if end else x, f"_l{layer}{end}", h0, goes_on)
                last.append(y[-1])
                ys.append(y.flip(0) if end else y)
            x = cat(ys, -1)
        return self._time_first(x), stack(last)

    def _direction(self, x: Tensor, end: str, h0: Tensor | None, goes_on: Tensor | None) -> Tensor:
        bias = getattr(self, "bias_ih" + end) if self.bias else None
        a = functional.linear(x, getattr(self, "weight_ih" + end), bias)
        decay, update = self._coefficients(a)
        if goes_on is not None:
            decay = decay * goes_on
        if h0 is not None:
            update = cat([update[:1] + decay[:1] * h0, update[1:]])
        return parallel_scan(decay, update)

    def _time_first(self, x: Tensor) -> Tensor:
        """Swap time and batch where the batch comes first, or back."""
        return x.transpose(0, 1) if self.batch_first else x

    def _coefficients(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the state is multiplied with and what is added, from ``W x + b``."""
        raise NotImplementedError


def _above_zero(a: Tensor) -> Tensor:
    """Return the candidate: ``a + 1/2`` where a >= 0, else ``sigmoid(a)``."""
    return where(a >= 0, a + 0.5, a.sigmoid())


class MinGRU(_Minimal):
    """Minimal gated recurrent unit (Feng et al., 2024).

    ``h' = (1 - z) h + z n`` with ``z = sigmoid(W_z x + b_z)`` and ``n = g(W_n x + b_n)``, where
    ``g(a) = a + 1/2`` for a >= 0, else ``sigmoid(a)``. The gates z, n are stacked on axis 0 of the
    parameters. There is no ``W_hh``: the state enters unit by unit.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As for `RNN`.

    Attributes
    ----------
    weight_ih_l0, bias_ih_l0, ... : Parameter
        ``(2 * hidden_size, input_size)`` and ``(2 * hidden_size,)``; ``_l1`` for the next layer,
        ``_reverse`` for the other direction.

    References
    ----------
    Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, *Were RNNs all we needed?*,
    https://arxiv.org/abs/2410.01201, in the form of its appendix B, whose candidate is above 0.

    Examples
    --------
    >>> layer = MinGRU(8, 16, batch_first=True)
    >>> output, h_n = layer(minilm.randn(2, 5, 8))
    >>> output.shape, h_n.shape
    ((2, 5, 16), (1, 2, 16))
    """

    _kind = "mingru"

    def _coefficients(self, a: Tensor) -> tuple[Tensor, Tensor]:
        z, n = a.chunk(2, -1)
        return (-z).sigmoid(), z.sigmoid() * _above_zero(n)


class MinLSTM(_Minimal):
    """Minimal long short-term memory (Feng et al., 2024).

    ``h' = f / (f + i) h + i / (f + i) n`` with ``f = sigmoid(W_f x + b_f)``,
    ``i = sigmoid(W_i x + b_i)`` and n as in `MinGRU`. The gates f, i, n are stacked on axis 0 of
    the parameters. There is no cell state beside h, and no ``W_hh``.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As for `RNN`.

    Attributes
    ----------
    weight_ih_l0, bias_ih_l0, ... : Parameter
        ``(3 * hidden_size, input_size)`` and ``(3 * hidden_size,)``.

    References
    ----------
    As for `MinGRU`.
    """

    _kind = "minlstm"

    def _coefficients(self, a: Tensor) -> tuple[Tensor, Tensor]:
        f, i, n = a.chunk(3, -1)
        # The shares of f and i in their sum, multiplied out; every exponential less by the largest,
        # so that none overflows. The shares do not depend on it, so it needs no gradient.
        largest = (-f).maximum(-i).relu().detach()
        one, by_f, by_i = (-largest).exp(), (-f - largest).exp(), (-i - largest).exp()
        total = 2 * one + by_f + by_i
        return (one + by_i) / total, (one + by_f) / total * _above_zero(n)
