import numpy as np
import pytest
from training_helpers import CYCLE, Bigram, WithOutput, tiny_model

import minilm
from minilm import nn, optim
from minilm.training import train, validate
from minilm.training.diagnose import NonFiniteError


def batches(count: int = 4) -> list:
    windows = [(CYCLE[i : i + 6], CYCLE[i + 1 : i + 7]) for i in range(2 * count)]
    return [
        tuple(minilm.tensor(np.stack(side)) for side in zip(*windows[i : i + 2], strict=True))
        for i in range(0, 2 * count, 2)
    ]


def test_train_prints_what_the_tutorial_prints(capsys):
    model = tiny_model("rnn")
    train(model, batches(), nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01), 3)
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" ")[0] for line in lines] == [
        f"Epoch {epoch}, Average Loss:" for epoch in (1, 2, 3)
    ]
    losses = [float(line.rpartition(" ")[2]) for line in lines]
    assert losses[0] > losses[1] > losses[2]


def test_train_is_the_tutorials_loop_step_by_step(capsys):
    criterion = nn.CrossEntropyLoss()
    ours, theirs = tiny_model("rnn"), tiny_model("rnn")
    train(ours, batches(), criterion, optim.Adam(ours.parameters(), lr=0.01), 2)
    optimizer = optim.Adam(theirs.parameters(), lr=0.01)
    for epoch in range(2):
        total_loss = 0
        for inputs, targets in batches():
            outputs = theirs(inputs)
            loss = criterion(outputs.transpose(1, 2), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total_loss += loss.item()
        print(f"Epoch {epoch + 1}, Average Loss: {total_loss / len(batches())}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == lines[2:]
    for name, tensor in ours.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), theirs.state_dict()[name].numpy())


def test_validate_is_the_mean_over_batches_without_training():
    model = tiny_model(dropout=0.5)
    criterion = nn.CrossEntropyLoss()
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    value = validate(model, batches(), criterion)
    assert not model.training  # as the tutorial's leaves it
    expected = [criterion(model(x).transpose(1, 2), y).item() for x, y in batches()]
    assert value == pytest.approx(np.mean(expected), rel=1e-6)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_models_that_return_an_output_train_the_same(capsys):
    for kind in (Bigram, WithOutput):
        minilm.manual_seed(0)
        model = kind()
        train(model, batches(), nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), 1)
        print(validate(model, batches(), nn.CrossEntropyLoss()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == lines[2:]


@pytest.mark.parametrize("loop", [train, validate])
def test_an_empty_loader_is_refused(loop):
    model = Bigram()
    rest = (optim.SGD(model.parameters(), lr=0.1), 1) if loop is train else ()
    with pytest.raises(ValueError, match="no batches: the text is not longer"):
        loop(model, [], nn.CrossEntropyLoss(), *rest)


def test_train_stops_at_a_loss_that_is_no_number():
    model = tiny_model("rnn")
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    model.fc.bias.data[0] = float("nan")
    before = model.embedding.weight.detach().numpy().copy()
    with pytest.raises(NonFiniteError, match="loss is nan at step 1; .*the parameter fc.bias"):
        train(model, batches(), nn.CrossEntropyLoss(), optimizer, 1)
    np.testing.assert_array_equal(model.embedding.weight.detach().numpy(), before)
