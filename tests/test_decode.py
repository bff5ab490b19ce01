"""The packed decoder says what the model says, whatever the machine and the number of threads."""

from __future__ import annotations

import copy
import gc
import itertools
import threading

import numpy as np
import pytest
from training_helpers import tiny_model

import minilm
from minilm import _core, nn, optim
from minilm.generation import generate
from minilm.models import RNNModel, decoding
from minilm.models.decoding import decoder_of, pack, zero_states

kernels = pytest.mark.kernels
RNG = np.random.default_rng(0)

# vocab, embed, hidden, layers: whole vectors and rests of them; with a table and (4099) without
SIZES = [(5, 3, 7, 1), (65, 16, 64, 2), (33, 10, 50, 3), (4099, 9, 70, 2), (7, 4, 1, 1)]


def model_of(cell: str, size: tuple[int, int, int, int]) -> RNNModel:
    vocab, embed, hidden, layers = size
    minilm.manual_seed(0)
    return RNNModel(vocab, embed, hidden, cell, num_layers=layers).eval()


def ids_of(model: RNNModel, batch: int, time: int) -> np.ndarray:
    return RNG.integers(0, model.config["vocab_size"], (batch, time))


@kernels
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "mingru", "minlstm"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_logits_and_states_are_those_of_the_model(cell, size):
    model = model_of(cell, size)
    ids = ids_of(model, 3, 6)
    decoder = pack(model)
    states = zero_states(decoder, 3)
    with minilm.no_grad():
        first, state = model.forward_with_state(ids[:, :4])
        second, state = model.forward_with_state(ids[:, 4:], state)
    logits = [decoder.read(np.ascontiguousarray(part), states) for part in (ids[:, :4], ids[:, 4:])]
    np.testing.assert_allclose(logits[0], first.numpy(), rtol=0, atol=2e-6)
    np.testing.assert_allclose(logits[1], second.numpy(), rtol=0, atol=2e-6)
    for ours, theirs in zip(states, state if cell == "lstm" else [state], strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=2e-6)


def test_a_model_without_biases():
    model = model_of("gru", SIZES[1])
    model.rnn = nn.GRU(16, 64, 2, batch_first=True, bias=False)
    model.fc = nn.Linear(64, 65, bias=False)
    ids = ids_of(model, 2, 5)
    decoder = decoder_of(model)
    with minilm.no_grad():
        expected = model(ids).numpy()
    np.testing.assert_allclose(decoder.read(ids, zero_states(decoder, 2)), expected, atol=2e-6)


@kernels
@pytest.mark.parametrize("int8", [False, True])
def test_a_text_comes_out_as_if_it_were_alone_to_the_bit(int8):
    model = model_of("lstm", SIZES[3])
    decoder, ids = pack(model, int8), ids_of(model, 5, 7)
    together = decoder.read(ids, zero_states(decoder, 5))
    for text in range(5):
        alone = decoder.read(ids[text : text + 1].copy(), zero_states(decoder, 1))
        np.testing.assert_array_equal(alone[0], together[text])


@pytest.mark.parametrize(
    ("cell", "int8"),
    [
        *itertools.product(["rnn", "lstm", "gru"], [False, True]),
        *itertools.product(["mingru", "minlstm"], [False]),
    ],
)
def test_the_same_bits_on_any_number_of_threads(cell, int8, run_python):
    """Threads beyond the cores are let in by a variable that is read once, so in new processes."""
    program = (
        "import hashlib, sys, numpy as np, minilm\n"
        "from minilm.models import RNNModel\n"
        "from minilm.models.decoding import pack, zero_states\n"
        "minilm.manual_seed(0)\n"
        f"decoder = pack(RNNModel(300, 30, 520, {cell!r}, num_layers=4), {int8})\n"
        "ids, states = np.zeros((2, 30), np.int64), zero_states(decoder, 2)\n"
        "decoder.write(ids, states, 1, 30, seed=1)\n"
        "logits = decoder.read(ids, states)\n"
        "data = [array.tobytes() for array in (ids, logits, *states)]\n"
        "print(hashlib.sha256(b''.join(data)).hexdigest())\n"
    )
    digests = {
        run_python("-c", program, MINILM_NUM_THREADS=threads, MINILM_OVERSUBSCRIBE="1")
        for threads in "123"
    }
    assert len(digests) == 1


def test_written_in_pieces_it_is_the_same_text():
    decoder = pack(model_of("gru", SIZES[1]))
    at_once, ids = np.zeros((2, 3, 40), np.int64)
    decoder.write(at_once, zero_states(decoder, 3), 1, 40, seed=3)
    states = zero_states(decoder, 3)
    for begin, end in [(1, 2), (2, 3), (3, 17), (17, 17), (17, 40)]:
        assert decoder.write(ids, states, begin, end, seed=3, offset=begin - 1) == end
    np.testing.assert_array_equal(ids, at_once)


def test_several_threads_write_with_one_decoder():
    decoder = pack(model_of("lstm", SIZES[2]))
    texts = np.zeros((4, 1, 400), np.int64)

    def write(text: np.ndarray) -> None:
        decoder.write(text, zero_states(decoder, 1), 1, 400, seed=1)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(np.unique(texts[0])) > 5
    for text in texts[1:]:
        np.testing.assert_array_equal(text, texts[0])


# --- weights that change --------------------------------------------------------------------------


def step_of_training(model: RNNModel) -> None:
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    model(np.array([[1, 2, 3]])).sum().backward()
    optimizer.step()


def load_others(model: RNNModel) -> None:
    minilm.manual_seed(1)
    model.load_state_dict(RNNModel(**model.config).state_dict())


def write_through_numpy(model: RNNModel) -> None:
    model.fc.bias.detach().numpy()[3] += 100


def swap_two_rows(model: RNNModel) -> None:
    weight = model.rnn.weight_hh_l0.detach().numpy()
    weight[[0, 5]] = weight[[5, 0]]


def put_in_another_parameter(model: RNNModel) -> None:
    model.fc.weight = nn.Parameter(model.fc.weight.detach().numpy()[::-1].copy())


def point_data_elsewhere(model: RNNModel) -> None:
    model.embedding.weight.data = minilm.tensor(2 * model.embedding.weight.detach().numpy())


@pytest.mark.parametrize(
    "change",
    [
        step_of_training,
        load_others,
        write_through_numpy,
        swap_two_rows,
        put_in_another_parameter,
        point_data_elsewhere,
    ],
)
def test_a_changed_weight_is_never_written_with_as_it_was(change):
    model = tiny_model("lstm")
    before = decoder_of(model)
    assert decoder_of(model) is before
    change(model)
    decoder, ids = decoder_of(model), np.array([[1, 2, 3, 4]])
    with minilm.no_grad():
        expected = model(ids).numpy()
    np.testing.assert_allclose(decoder.read(ids, zero_states(decoder, 1)), expected, atol=1e-5)
    assert decoder is not before


def test_packed_weights_are_kept_beside_the_model_and_go_with_it():
    gc.collect()  # those of other tests
    model = tiny_model()
    generate(model, [1], 2)
    kept = len(decoding._kept)
    other = copy.deepcopy(model)
    assert generate(other, [1], 5, seed=0).tolist() == generate(model, [1], 5, seed=0).tolist()
    assert len(decoding._kept) == kept + 1
    del model, other
    gc.collect()
    assert len(decoding._kept) == kept - 1


class Louder(RNNModel):
    """A model with a forward of its own."""

    def forward_with_state(self, x, state=None):
        logits, state = super().forward_with_state(x, state)
        return logits * -1, state


def with_own_head(model: RNNModel) -> None:
    model.fc = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 5))


def with_relu(model: RNNModel) -> None:
    model.rnn = nn.RNN(4, 8, nonlinearity="relu", batch_first=True)


@pytest.mark.parametrize("change", [with_own_head, with_relu])
def test_parts_of_ones_own_are_not_packed(change):
    model = tiny_model("rnn")
    change(model)
    assert model._decoder() is None
    assert generate(model, [1, 2], 4, do_sample=False).tolist() == slow_greedy(model, [1, 2], 4)
    with pytest.raises(TypeError, match="nn.Embedding.*this model has others"):
        model.quantize()


def test_a_forward_of_ones_own_is_not_passed_over():
    minilm.manual_seed(0)
    model = Louder(5, 4, 8)
    assert generate(model, [1, 2], 4, do_sample=False).tolist() == slow_greedy(model, [1, 2], 4)


def slow_greedy(model, ids: list[int], count: int) -> list[int]:
    with minilm.no_grad():
        state, new = None, ids
        for _ in range(count):
            logits, state = model.forward_with_state(np.array([new]), state)
            new = [int(logits.numpy()[0, -1].argmax())]
            ids = ids + new
    return ids


# --- what is refused ------------------------------------------------------------------------------


def a_decoder(**changes):
    weights = {
        "cell": "rnn",
        "embedding": np.ones((4, 3), np.float32),
        "layers": ((np.ones((2, 3), np.float32), np.ones((2, 2), np.float32), None, None),),
        "head": np.ones((4, 2), np.float32),
        "head_bias": None,
    }
    return _core.Decoder(**(weights | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"cell": "tcn"}, ValueError, "cell: expected rnn, lstm, gru, mingru or .*, got 'tcn'"),
        ({"cell": "minlstm"}, ValueError, r"weight_ih: expected shape \(6, 3\), got \(2, 3\)"),
        (
            {"cell": "mingru", "layers": ((np.ones((4, 3), np.float32), *[np.ones(1)] * 3),)},
            ValueError,
            "weight_hh: expected None: a mingru has none",
        ),
        (
            {
                "cell": "mingru",
                "layers": ((np.ones((4, 3), np.float32), None, None, None),),
                "int8": True,
            },
            ValueError,
            "no int8 form of a mingru, whose states may be above 1",
        ),
        ({"cell": "lstm"}, ValueError, r"weight_ih: expected shape \(8, 3\), got \(2, 3\)"),
        ({"embedding": np.ones((4, 3))}, TypeError, "embedding.*float64"),
        ({"embedding": np.ones((0, 3), np.float32)}, ValueError, r"head: .*|at least 1"),
        ({"head": np.ones((5, 2), np.float32)}, ValueError, r"head: expected shape \(4, 2\)"),
        ({"head_bias": np.ones(5, np.float32)}, ValueError, r"head_bias: expected shape \(4,\)"),
        ({"layers": ()}, ValueError, "layers of at least 1"),
        ({"layers": ((),)}, TypeError, r"tuples \(weight_ih, weight_hh, bias_ih, bias_hh\)"),
    ],
)
def test_weights_that_do_not_fit(changes, error, message):
    with pytest.raises(error, match=message):
        a_decoder(**changes)


def test_ids_and_states_that_do_not_fit():
    decoder = a_decoder()
    states = zero_states(decoder, 1)
    with pytest.raises(IndexError, match=r"ids\[0, 1\]: expected 0 to 3.*got 4.*tokenizer"):
        decoder.read(np.array([[1, 4]]), states)
    with pytest.raises(TypeError, match=r"ids: expected int64 \(batch, time\)"):
        decoder.read(np.array([1, 2]), states)
    with pytest.raises(ValueError, match=r"h: expected shape \(1, 2, 2\), got \(1, 1, 2\)"):
        decoder.read(np.array([[1], [2]]), states)
    with pytest.raises(TypeError, match="states: expected a tuple of 1"):
        decoder.read(np.array([[1]]), (*states, *states))
    with pytest.raises(ValueError, match="h: expected finite numbers, got nan at 0"):
        decoder.read(np.array([[1]]), (np.full((1, 1, 2), np.nan, np.float32),))
    with pytest.raises(ValueError, match="1 <= begin <= end <= 3, got 0 and 3"):
        decoder.write(np.zeros((1, 3), np.int64), states, 0, 3)
    with pytest.raises(IndexError, match="suppressed: expected ids 0 to 3, got 9"):
        decoder.write(np.zeros((1, 3), np.int64), states, 1, 3, suppressed=np.array([9]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_has_diverged(value):
    model = tiny_model("gru")
    model.fc.bias.detach().numpy()[2] = value
    with pytest.raises(ValueError, match=r"logits\[2\].*has training diverged"):
        generate(model, [1], 3)


def test_control_c_is_heard(run_python):
    program = (
        "import signal, threading, minilm\n"
        "model = minilm.RNNModel(5, 4, 300, 'lstm')\n"
        "main = threading.get_ident()\n"
        "threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()\n"
        "try:\n"
        "    model.generate([1], max_new_tokens=10**8)\n"
        "except KeyboardInterrupt:\n"
        "    print('heard')\n"
    )
    assert run_python("-c", program) == "heard\n"
