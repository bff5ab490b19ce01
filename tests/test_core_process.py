"""How ``_core`` lives in a process: threads, forks, memory, the processor's state."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from minilm import _core

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


class Model:
    """Embedding, LSTM, head with its loss, and Adam: a training step on nothing but ``_core``."""

    vocab, embed, hidden, batch, time = 50, 16, 64, 16, 20

    def __init__(self) -> None:
        self.layers = {
            "embedding": _core.Layer(
                "embedding", num_embeddings=self.vocab, embedding_dim=self.embed
            ),
            "lstm": _core.Layer(
                "lstm", input_size=self.embed, hidden_size=self.hidden, num_layers=2, dropout=0.1
            ),
            "head": _core.Layer(
                "linear_cross_entropy", in_features=self.hidden, out_features=self.vocab
            ),
        }
        self.params = {
            name: tuple(0.1 * numbers(*shape) for _, shape in layer.params)
            for name, layer in self.layers.items()
        }
        self.all_params = [param for params in self.params.values() for param in params]
        self.moments = [[np.zeros_like(p) for p in self.all_params] for _ in range(2)]
        self.ids = RNG.integers(0, self.vocab, (self.time, self.batch))
        self.targets = RNG.integers(0, self.vocab, self.time * self.batch)
        self.steps = 0

    def forward(self, name: str, *inputs, **options):
        layer = self.layers[name]
        return layer.forward(inputs, self.params[name], need_grad=True, training=True, **options)

    def step(self) -> float:
        """Train for a step; return the loss."""
        self.steps += 1
        [x], saved_embedding = self.forward("embedding", self.ids)
        [y, *_], saved_lstm = self.forward("lstm", x, seed=1, offset=self.steps)
        [loss], saved_head = self.forward("head", y.reshape(-1, self.hidden), self.targets)
        (dy, *_), head = saved_head.backward((np.ones_like(loss),), (True,), (None,) * 2)
        (dx, *_), lstm = saved_lstm.backward(
            (dy.reshape(y.shape), None, None), (True,), (None,) * 8
        )
        _, embedding = saved_embedding.backward((dx,), (False,), (None,))
        grads = [*embedding, *lstm, *head]
        _core.adam_step(self.all_params, grads, *self.moments, self.steps, lr=1e-2)
        return float(loss)


def test_the_model_of_these_tests_learns() -> None:
    model = Model()
    first = model.step()
    for _ in range(30):
        last = model.step()
    assert last < 0.8 * first


# --- threads ------------------------------------------------------------------------------------


def in_threads(count: int, work: Callable[[], object]) -> list[object]:
    """Run the same work in several threads at once; return their results."""
    results: list[object] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        results.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


@pytest.fixture
def lstm():
    layer = _core.Layer("lstm", input_size=16, hidden_size=128, num_layers=2)
    params = tuple(0.1 * numbers(*shape) for _, shape in layer.params)
    return layer, params, numbers(10, 16, 16)


def test_one_layer_in_many_threads(lstm) -> None:
    layer, params, x = lstm
    (expected, *_), _ = layer.forward((x,), params)

    def run() -> bool:
        return all(np.array_equal(layer.forward((x,), params)[0][0], expected) for _ in range(5))

    assert all(in_threads(4, run))


def test_one_backward_in_many_threads(lstm) -> None:
    layer, params, x = lstm
    outputs, saved = layer.forward((x,), params, need_grad=True)

    def run() -> list[np.ndarray]:
        _, grads = saved.backward(outputs, (True,), (None,) * len(params))
        return list(grads)

    expected = run()
    for grads in in_threads(4, run):
        for grad, value in zip(grads, expected, strict=True):
            np.testing.assert_array_equal(grad, value)


def test_the_number_of_threads_may_change_meanwhile(lstm) -> None:
    layer, params, x = lstm
    (expected, *_), _ = layer.forward((x,), params)
    before = _core.get_num_threads()

    def run() -> bool:
        for threads in (1, 2, 3) * 3:
            _core.set_num_threads(threads)
            if not np.array_equal(layer.forward((x,), params)[0][0], expected):
                return False
        return True

    try:
        assert all(in_threads(3, run))
    finally:
        _core.set_num_threads(before)


# --- fork ---------------------------------------------------------------------------------------

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture
def quiet_fork() -> Iterator[None]:
    """Python warns of forks in a process with threads, which is what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def checksum(layer, params, x) -> float:
    return float(layer.forward((x,), params)[0][0].sum())


@forks
@pytest.mark.usefixtures("quiet_fork")
def test_a_child_of_fork_runs_layers(lstm) -> None:
    expected = checksum(*lstm)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, repr(checksum(*lstm)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        assert float(pipe.read()) == expected
    os.waitpid(child, 0)
    assert checksum(*lstm) == expected


def send_checksum(queue, *arguments) -> None:
    queue.put(checksum(*arguments))


@forks
@pytest.mark.usefixtures("quiet_fork")
def test_processes_started_by_fork_run_layers(lstm) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=send_checksum, args=(queue, *lstm)) for _ in range(3)]
    expected = checksum(*lstm)
    for process in processes:
        process.start()
    assert [queue.get(timeout=60) for _ in processes] == [expected] * 3
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0


# --- memory -------------------------------------------------------------------------------------


def blocks_and_buffers() -> tuple[int, int]:
    return sys.getallocatedblocks(), _core.buffer_stats()["used"]


def assert_nothing_is_kept(work: Callable[[], object]) -> None:
    """Check that calls leave no buffer behind, nor, but for some noise, an object each."""
    for _ in range(50):
        work()
    blocks, buffers = blocks_and_buffers()
    for _ in range(1000):
        work()
    blocks_after, buffers_after = blocks_and_buffers()
    assert buffers_after == buffers
    assert blocks_after - blocks < 500


def test_forward_and_backward_keep_nothing() -> None:
    layer = _core.Layer("gru", input_size=3, hidden_size=4)
    params = tuple(numbers(*shape) for _, shape in layer.params)
    x, state = numbers(5, 2, 3), numbers(1, 2, 4)

    def work() -> None:
        outputs, saved = layer.forward((x, state), params, need_grad=True)
        saved.backward(outputs, (True, True), (None,) * 4)

    counts = [sys.getrefcount(array) for array in (x, state, *params)]
    assert_nothing_is_kept(work)
    assert [sys.getrefcount(array) for array in (x, state, *params)] == counts


def test_errors_keep_nothing() -> None:
    layer = _core.Layer("linear", in_features=3, out_features=2)
    weight, bias, x = numbers(2, 3), numbers(2), numbers(4, 3)
    [output], saved = layer.forward((x,), (weight, bias), need_grad=True)
    refused: list[Callable[[], object]] = [
        lambda: layer.forward((x.T,), (weight, bias)),
        lambda: layer.forward((x,), (weight, bias.astype(np.float64))),
        lambda: layer.forward((x,), (weight,)),
        lambda: layer.forward((x, x), (weight, bias)),
        lambda: saved.backward((output[:1],), (True,), (None, None)),
        lambda: saved.backward((output,), (True,), (None, bias[:1])),
        lambda: saved.backward((output,), (True,), (None,)),
        lambda: _core.Layer("linear", in_features=3, out_features=0),
        lambda: _core.Layer("nothing"),
        lambda: _core.empty((2**40, 2**40)),
    ]

    def work() -> None:
        for call in refused:
            try:
                call()
            except (TypeError, ValueError, MemoryError):
                continue
            raise AssertionError("nothing was refused")

    assert_nothing_is_kept(work)


def test_an_array_keeps_its_buffer() -> None:
    before = _core.buffer_stats()["used"]
    array = _core.empty((1000, 10))
    view = array[5:, 3]
    assert _core.buffer_stats()["used"] >= before + 40_000
    del array
    view[:] = 1
    assert _core.buffer_stats()["used"] >= before + 40_000
    del view
    assert _core.buffer_stats()["used"] == before


def test_empty_cache() -> None:
    del_me = _core.empty((1000, 1000))
    del del_me
    kept = _core.buffer_stats()["kept"]
    assert kept >= 4_000_000
    assert _core.empty_cache() == kept
    assert _core.buffer_stats()["kept"] == 0


def test_a_training_step_asks_the_system_for_no_memory() -> None:
    model = Model()
    for _ in range(10):
        model.step()
    misses = _core.buffer_stats()["misses"]
    for _ in range(20):
        model.step()
    assert _core.buffer_stats()["misses"] == misses


def test_a_training_step_takes_no_page_faults() -> None:
    resource = pytest.importorskip("resource")
    model = Model()
    for _ in range(10):
        model.step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        model.step()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    assert (after - before) / 20 < 50


# --- the processor ------------------------------------------------------------------------------


def test_the_callers_tiny_numbers_stay() -> None:
    """Inside a call numbers below 1e-38 count as zero; outside they are as before."""
    layer = _core.Layer("linear", in_features=1, out_features=1, bias=False)
    tiny, one = np.full((1, 1), 1e-39, np.float32), np.ones((1, 1), np.float32)
    for _ in range(3):
        [output], _ = layer.forward((tiny,), (one,))
        assert output[0, 0] in (0, np.float32(1e-39))
        assert tiny[0, 0] * np.float32(0.5) > 0
        assert 5e-324 * 1.0 > 0 and 1e-320 / 2 > 0


def test_the_callers_floating_point_errors_are_its_own() -> None:
    layer = _core.Layer("linear", in_features=1, out_features=1, bias=False)
    huge = np.full((1, 1), 3e38, np.float32)
    with np.errstate(all="raise"):
        [output], _ = layer.forward((huge,), (huge,))
        assert np.isinf(output).all()
        np.add(np.float32(1), np.float32(1))


def test_an_unknown_instruction_set_is_refused(run_python) -> None:
    program = """
try:
    import minilm._core
except ImportError as error:
    print(error)
"""
    message = run_python("-c", program, MINILM_ISA="mmx")
    assert "MINILM_ISA='mmx'" in message
    assert all(isa in message for isa in _core.config()["isa_available"])


@pytest.mark.parametrize("isa", ["", *_core.config()["isa_available"]])
def test_an_instruction_set_by_name(run_python, isa) -> None:
    program = "from minilm import _core; print(_core.config()['isa'])"
    expected = isa or _core.config()["isa_available"][0]
    assert run_python("-c", program, MINILM_ISA=isa).strip() == expected


def test_config_says_what_there_is() -> None:
    config = _core.config()
    assert config["isa"] in config["isa_available"]
    assert config["threads"] == _core.get_num_threads()
    assert all(config[name] for name in ("blas", "compiler", "version"))


# --- functions ----------------------------------------------------------------------------------


def test_empty() -> None:
    for shape in [(), 5, (0, 3), (2, 3), [4, 1]]:
        array = _core.empty(shape)
        assert array.shape == np.empty(shape).shape
        assert array.dtype == np.float32 and array.flags.carray
        assert array.ctypes.data % 64 == 0


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        (-1, ValueError),
        ((2, -3), ValueError),
        ((1,) * 9, ValueError),
        (2**62, MemoryError),
        ((2**40, 2**40), MemoryError),
        ("x", TypeError),
        (1.5, TypeError),
        (None, TypeError),
    ],
)
def test_empty_refuses(shape, error) -> None:
    with pytest.raises(error):
        _core.empty(shape)


@pytest.mark.parametrize(
    ("threads", "error", "message"),
    [
        (0, ValueError, "1 to 256, got 0"),
        (257, ValueError, "1 to 256, got 257"),
        (-1, ValueError, "1 to 256, got -1"),
        (2**70, OverflowError, "int"),
        (1.5, TypeError, "float"),
        ("2", TypeError, "str"),
    ],
)
def test_set_num_threads_refuses(threads, error, message) -> None:
    before = _core.get_num_threads()
    with pytest.raises(error, match=message):
        _core.set_num_threads(threads)
    assert _core.get_num_threads() == before
