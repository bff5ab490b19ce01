"""Weights that are used twice, and weights that are computed, for PyTorch and for minilm alike."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from .seeded import ids, uniform

VOCAB, SIZE, BATCH, TIME = 13, 8, 3, 6
KEPT = (uniform("weights/mask", (4 * SIZE, SIZE)) > 0).astype(np.float32)  # about half


def values(lib: ModuleType, model) -> dict:
    """Return a state_dict of seeded numbers."""
    return {
        name: lib.tensor(uniform(f"weights/{name}", tuple(value.shape), 0.5).astype(np.float32))
        for name, value in model.state_dict().items()
        if name != "fc.weight"  # of a tied model
    }


def tied_model(lib: ModuleType):
    """Return a small LSTM language model whose head has the embedding's weight."""
    nn = lib.nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCAB, SIZE)
            self.rnn = nn.LSTM(SIZE, SIZE, batch_first=True)
            self.fc = nn.Linear(SIZE, VOCAB)
            self.fc.weight = self.embedding.weight

        def forward(self, x):
            return self.fc(self.rnn(self.embedding(x))[0])

    return Model()


def tied(lib: ModuleType, model=None, steps: int = 3) -> dict[str, np.ndarray]:
    """Train a tied model for some steps: the losses, the first gradients, the last weights."""
    model = tied_model(lib) if model is None else model
    model.load_state_dict(values(lib, model), strict=False)
    criterion = lib.nn.CrossEntropyLoss()
    optimizer = lib.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    text = ids("weights/text", (BATCH, TIME + 1), VOCAB)
    inputs, targets = lib.tensor(text[:, :-1]), lib.tensor(text[:, 1:])
    results, losses = {}, []
    for step in range(steps):
        loss = criterion(model(inputs).transpose(1, 2), targets)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            results = {
                f"tied/grad/{name}": parameter.grad.numpy().copy()
                for name, parameter in model.named_parameters()
            }
        optimizer.step()
    results["tied/losses"] = np.array(losses)
    results["tied/last"] = model.embedding.weight.detach().numpy().copy()
    return results


def computed(lib: ModuleType) -> dict[str, np.ndarray]:
    """Run an LSTM with a masked weight in the place of its own, and return the raw one's gradient.

    The idiom is that of DropConnect in PyTorch: the parameter is replaced by an attribute.
    """
    lstm = lib.nn.LSTM(SIZE, SIZE, batch_first=True)
    lstm.load_state_dict(values(lib, lstm))
    raw = lstm.weight_hh_l0
    del lstm.weight_hh_l0
    lstm.weight_hh_l0 = raw * lib.tensor(2 * KEPT)
    x = lib.tensor(uniform("weights/x", (BATCH, TIME, SIZE)).astype(np.float32))
    y, _ = lstm(x)
    (y * y).sum().backward()
    return {
        "computed/output": y.detach().numpy(),
        "computed/weight_hh_l0": raw.grad.numpy(),
        "computed/weight_ih_l0": lstm.weight_ih_l0.grad.numpy(),
    }
