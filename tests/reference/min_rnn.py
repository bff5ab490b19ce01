"""minGRU and minLSTM in PyTorch, which has neither: the paper's parallel form, in log space.

Feng et al. 2024, https://arxiv.org/abs/2410.01201, appendix B: no step reads another one. The
states are cumulative sums (Heinsen 2023, https://arxiv.org/abs/2311.06281). So the answers that
are stored come another way than those of the C core, which goes step by step.
"""

from __future__ import annotations

from types import ModuleType

NAMES = {"mingru": "MinGRU", "minlstm": "MinLSTM"}


def make(lib: ModuleType, kind: str, **config):
    """Return a module: minilm's own or, of PyTorch, the one below."""
    if lib.__name__ == "minilm":
        return getattr(lib.nn, NAMES[kind])(**config)
    return _torch_module(lib, {"mingru": mingru_logs, "minlstm": minlstm_logs}[kind], kind, config)


def log_g(lib: ModuleType, a):
    """log g(a), where g(a) = a + 1/2 for a >= 0, else sigmoid(a)."""
    softplus = lib.nn.functional.softplus
    return lib.where(a >= 0, (a.relu() + 0.5).log(), -softplus(-a))


def mingru_logs(lib: ModuleType, a):
    """Logarithms of what the state is multiplied with, and of what is added to it."""
    softplus = lib.nn.functional.softplus
    z, n = a.chunk(2, -1)
    return -softplus(z), -softplus(-z) + log_g(lib, n)


def minlstm_logs(lib: ModuleType, a):
    """Logarithms of what the state is multiplied with, and of what is added to it."""
    softplus = lib.nn.functional.softplus
    f, i, n = a.chunk(3, -1)
    difference = softplus(-f) - softplus(-i)
    return -softplus(difference), -softplus(-difference) + log_g(lib, n)


def scan(lib: ModuleType, log_decay, log_update, first):
    """h_t = decay_t h_{t-1} + update_t over axis 0, from first.

    The paper takes log h_0, too. A state of any sign is allowed here: it is added by itself.
    """
    a = log_decay.cumsum(0)
    return (a + (log_update - a).logcumsumexp(0)).exp() + a.exp() * first


def _torch_module(lib: ModuleType, logs, kind: str, config: dict):
    class MinRNN(lib.nn.Module):
        def __init__(
            self,
            input_size,
            hidden_size,
            num_layers=1,
            bias=True,
            batch_first=False,
            dropout=0.0,
            bidirectional=False,
        ):
            super().__init__()
            self.hidden_size, self.num_layers = hidden_size, num_layers
            self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
            rows = (2 if kind == "mingru" else 3) * hidden_size
            self.ends = ["", "_reverse"][: 1 + bidirectional]
            for layer in range(num_layers):
                width = len(self.ends) * hidden_size if layer else input_size
                for end in self.ends:
                    self.add(f"weight_ih_l{layer}{end}", rows, width)
                    if bias:
                        self.add(f"bias_ih_l{layer}{end}", rows)

        def add(self, name, *shape):
            self.register_parameter(name, lib.nn.Parameter(lib.zeros(*shape)))

        def forward(self, x, hx=None):
            x = x.transpose(0, 1) if self.batch_first else x
            last = []
            for layer in range(self.num_layers):
                ys = []
                for end in self.ends:
                    first = x.new_zeros(x.shape[1], self.hidden_size)
                    first = first if hx is None else hx[len(last)]
                    weight = getattr(self, f"weight_ih_l{layer}{end}")
                    bias = getattr(self, f"bias_ih_l{layer}{end}", None)
                    a = lib.nn.functional.linear(x.flip(0) if end else x, weight, bias)
                    y = scan(lib, *logs(lib, a), first)
                    last.append(y[-1])
                    ys.append(y.flip(0) if end else y)
                x = lib.cat(ys, -1)
            return x.transpose(0, 1) if self.batch_first else x, lib.stack(last)

    return MinRNN(**config)
