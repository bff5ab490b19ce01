"""The benchmark runs and counts right; what it measures is for a quiet machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import from the folder of the benchmarks, as its command does."""
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("name", ["rnn_char", "gru_char", "lstm_char2x128"])
def test_parameters_are_those_of_the_model(name: str) -> None:
    from configurations import CONFIGURATIONS
    from workload import Workload

    row = CONFIGURATIONS[name]
    parameters = Workload("minilm", row).model.parameters()
    assert row.parameters == sum(parameter.numel() for parameter in parameters)


@pytest.mark.usefixtures("modules")
def test_work_is_counted_by_hand() -> None:
    from configurations import Configuration

    row = Configuration("", "LSTM", vocab=7, embed=3, hidden=5, layers=2, batch=2, time=11)
    products = 4 * 5 * (3 + 5) + 4 * 5 * (5 + 5) + 7 * 5  # multiply-adds of a token, forward
    assert row.work == 2 * 11 * products * 2 * 3  # two operations each; backward costs twice that


def test_the_command_writes_its_results(run_python, tmp_path: Path) -> None:
    arguments = ["--rows", "tut_b2t5", "--steps", "1", "--threads", "1", "--no-torch"]
    printed = run_python(
        BENCHMARKS / "run.py", *arguments, "--no-memory", "--out", tmp_path / "results"
    )
    assert "GFLOP/s" in printed and "tut_b2t5" in printed
    results = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    [row] = results["rows"]
    assert row["minilm ms"] > 0 and row["of roof"] > 0
    assert 0 < row["minilm loss"] < 10
    assert "torch ms" not in row


def test_the_command_that_times_writing(run_python, tmp_path: Path) -> None:
    arguments = ["--rows", "rnn_char", "--turns", "1", "--seconds", "0.01", "--alone"]
    printed = run_python(BENCHMARKS / "generation.py", *arguments, "--out", tmp_path / "a.json")
    assert "tokens/s" in printed and "rnn_char" in printed
    [row] = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert row["minilm"] > 0 and row["int8"] > 0 and row["of read"] > 0
    assert row["MB"] == pytest.approx(4e-6 * 128 * (128 + 65))


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("name", ["rnn_char", "gru_char", "lstm_char2x128"])
def test_the_graph_of_one_step_computes_what_the_model_does(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    import numpy as np
    from configurations import CONFIGURATIONS
    from writers import make_model, state_names, step_graph

    row = CONFIGURATIONS[name]
    model = make_model(row)
    weights = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    session = onnxruntime.InferenceSession(step_graph(row, weights).SerializeToString())
    states = {key: np.zeros((1, 1, row.hidden), np.float32) for key in state_names(row)}
    ids = np.array([[3, 50, 7]])
    for step in range(3):
        logits, *after = session.run(None, {"token": ids[:, step : step + 1], **states})
        states = dict(zip(states, after, strict=True))
        expected = model(ids[:, : step + 1]).detach().numpy()[:, -1]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
