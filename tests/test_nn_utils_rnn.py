import numpy as np
import pytest

import minilm
from minilm.nn.utils.rnn import pad_sequence


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("tail", [(), (3,)])
def test_sequences_are_filled_up_as_pytorch_does_it(batch_first, side, tail):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((n, *tail)).astype(np.float32) for n in (3, 1, 2)]
    ours = pad_sequence([minilm.tensor(a) for a in arrays], batch_first, -1.0, side)
    theirs = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(a) for a in arrays], batch_first, -1.0, side
    )
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_gradients_and_dtypes():
    short, long = minilm.ones(1, requires_grad=True), minilm.ones(3, requires_grad=True)
    (pad_sequence([short, long]) * minilm.tensor([[2.0, 3], [5, 7], [11, 13]])).sum().backward()
    assert short.grad.tolist() == [2]
    assert long.grad.tolist() == [3, 7, 13]
    assert pad_sequence([minilm.tensor([1, 2])]).dtype == minilm.long


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "at least one sequence"),
        (([minilm.ones(2, 3), minilm.ones(2, 4)],), r"shapes \(2, 3\), \(2, 4\)"),
        (([minilm.ones(2)], True, 0.0, "top"), "must be 'right' or 'left'; got 'top'"),
    ],
)
def test_what_cannot_be_stacked(arguments, message):
    with pytest.raises(ValueError, match=message):
        pad_sequence(*arguments)
