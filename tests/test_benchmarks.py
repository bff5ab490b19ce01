"""The benchmarks run and count right; what they measure is for a quiet machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
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
def test_parameters_of_a_transformer_are_those_of_the_model() -> None:
    from configurations import CONFIGURATIONS
    from libraries import build

    row = CONFIGURATIONS["nanogpt"]
    assert row.parameters == build("minilm", row).model.num_parameters()


@pytest.mark.usefixtures("modules")
def test_transformers_trains_the_same() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from configurations import TransformerConfiguration
    from libraries import build, compared

    row = TransformerConfiguration(
        "", 7, width=32, layers=2, heads=2, positions=16, batch=4, time=11, learning_rate=1e-3
    )
    assert compared(row, ["minilm", "torch", "jax"]) == ["minilm", "torch"]
    workloads = [build(name, row) for name in ("minilm", "torch", "fused")]
    losses = np.array([[workload.step() for workload in workloads] for _ in range(50)])
    assert losses[-1, 0] < losses[0, 0] - 0.1
    np.testing.assert_allclose(losses[:, 1:], losses[:, :1].repeat(2, 1), atol=1e-4)


@pytest.mark.usefixtures("modules")
def test_work_is_counted_by_hand() -> None:
    from configurations import Configuration

    row = Configuration("", "LSTM", vocab=7, embed=3, hidden=5, layers=2, batch=2, time=11)
    products = 4 * 5 * (3 + 5) + 4 * 5 * (5 + 5) + 7 * 5  # multiply-adds of a token, forward
    assert row.work == 2 * 11 * products * 2 * 3  # two operations each; backward costs twice that


@pytest.mark.usefixtures("modules")
def test_most_targets_follow_from_the_inputs() -> None:
    from configurations import CONFIGURATIONS
    from workload import draw_batch

    row = CONFIGURATIONS["gru_char"]
    inputs, targets = draw_batch(row)
    assert inputs.shape == targets.shape == (row.batch, row.time)
    assert np.array_equal(inputs[:, 1:], targets[:, :-1])
    followers = np.zeros((row.vocab, row.vocab))
    np.add.at(followers, (inputs, targets), 1)
    assert 0.85 < followers.max(axis=1).sum() / row.tokens < 0.95


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_jax_trains_the_same(cell: str) -> None:
    pytest.importorskip("jax")
    from configurations import Configuration
    from libraries import build

    row = Configuration("", cell, vocab=7, embed=32, hidden=64, layers=2, batch=4, time=11)
    ours, theirs = build("minilm", row), build("jax", row)
    losses = [(ours.step(), theirs.step()) for _ in range(100)]
    assert losses[-1][0] < losses[0][0] - 0.1
    np.testing.assert_allclose(*np.transpose(losses), atol=1e-5)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("size", [0.01, 10.0])
def test_jax_clips_the_same(size: float) -> None:
    pytest.importorskip("jax")
    from jax_workload import clip

    from minilm import nn, tensor

    draw = np.random.default_rng(0)
    grads = {name: draw.normal(0, size, 5).astype(np.float32) for name in "ab"}
    parameters = [nn.Parameter(tensor(np.zeros_like(grad))) for grad in grads.values()]
    for parameter, grad in zip(parameters, grads.values(), strict=True):
        parameter.grad = tensor(grad)
    nn.utils.clip_grad_norm_(parameters, 1.0)
    for parameter, theirs in zip(parameters, clip(grads).values(), strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), np.asarray(theirs), rtol=1e-6)


def timing(ms: float, *losses: float) -> Any:
    from measure import Timing

    return Timing(list(losses), seconds=[ms / 1e3], faults=[0])


@pytest.mark.usefixtures("modules")
def test_the_better_of_the_two_torches_counts() -> None:
    from run import compare

    result = compare(
        {
            "minilm": timing(2, 3.0),
            "torch": timing(8, 3.0),
            "fused": timing(6, 3.0),
            "jax": timing(1, 3.0),
        }
    )
    assert result["over torch"] == pytest.approx(3)
    assert result["over jax"] == pytest.approx(0.5)
    assert result["same"] == "yes"


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("rival", ["torch", "fused", "jax"])
def test_a_row_is_void_if_any_loss_differs(rival: str) -> None:
    from run import compare

    timings = {name: timing(1, 3.0, 2.0) for name in ("minilm", "torch", "fused", "jax")}
    timings[rival] = timing(1, 3.002, 2.0)
    result = compare(timings)
    assert result["difference"] == pytest.approx(0.002)
    assert result["same"] == "VOID"


ROW = {"row": "a", "title": "LSTM 8", "minilm ms": 2.0, "roof ms": 1.0, "of roof": 0.5}
RIVALS = {"torch ms": 5.0, "fused ms": 4.0, "jax ms": 3.0, "over torch": 2.0, "over jax": 1.5}


@pytest.mark.usefixtures("modules")
def test_the_table_of_the_readme() -> None:
    from table import markdown

    results = {
        "machine": {"cpu": "A CPU", "isa": "avx2", "threads": 2},
        "versions": {"minilm": "1", "torch": "2"},
        "measured steps": 20,
        "rows": [ROW | RIVALS | {"same": "yes"}, ROW | RIVALS | {"same": "VOID"}],
    }
    assert markdown(results).split("\n") == [
        "A CPU, avx2, 2 threads; minilm 1, torch 2; medians of 20 steps by turns:",
        "",
        "| model, batch | minilm ms | PyTorch ms | JAX ms | faster than PyTorch | than JAX "
        "| share of the roofline |",
        "|---|---|---|---|---|---|---|",
        "| LSTM 8 | 2.0 | 4.0 | 3.0 | 2.0 | 1.5 | 50% |",
        "| LSTM 8 (void: losses differ) | 2.0 | 4.0 | 3.0 | 2.0 | 1.5 | 50% |",
    ]


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("rivals", [{}, RIVALS])
def test_results_are_drawn(rivals: dict[str, float], tmp_path: Path) -> None:
    from plots import draw_results

    draw_results([ROW | rivals], tmp_path / "results.png")
    assert (tmp_path / "results.png").stat().st_size > 1000


def test_training_steps(run_python, tmp_path: Path) -> None:
    arguments = ["--rows", "tut_b2t5", "--steps", "1", "--threads", "1", "--no-torch", "--no-jax"]
    printed = run_python(BENCHMARKS / "run.py", *arguments, "--out", tmp_path / "results")
    assert "GFLOP/s" in printed and "tut_b2t5" in printed
    results = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    [row] = results["rows"]
    assert row["minilm ms"] > 0 and row["of roof"] > 0
    assert 0 < row["minilm loss"] < 10
    assert row["minilm MiB"] is None or row["minilm MiB"] > 10
    assert "torch ms" not in row and "jax ms" not in row
    assert results["machine"]["threads"] == 1 and results["machine"]["cpu"]
    table = run_python(BENCHMARKS / "run.py", "--markdown", "--out", tmp_path / "results")
    assert "| RNN 128, 12,000 words, 2 x 5 |" in table


def test_grid_of_layers(run_python, tmp_path: Path) -> None:
    sizes = ["--hidden", "4", "8", "--batch", "1", "3", "--time", "2"]
    options = ["--kinds", "RNN", "GRU", "--seconds", "0.01", "--threads", "1", "--no-torch"]
    printed = run_python(BENCHMARKS / "grid.py", *sizes, *options, "--out", tmp_path)
    assert "GRU, 2 steps" in printed
    cells = json.loads((tmp_path / "grid.json").read_text(encoding="utf-8"))
    assert len(cells) == 8
    assert all(cell["minilm ms"] > 0 for cell in cells)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(("slowest", "status"), [(0.9, 1), (1.1, 0)])
def test_the_grid_fails_where_torch_is_faster(
    slowest: float, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    import grid

    def measure_cell(cell: grid.Cell, names: list[str], budget: float) -> dict[str, Any]:
        ratio = slowest if (cell.kind, cell.batch) == ("GRU", 8) else 2.0
        return vars(cell) | {"minilm ms": 1.0, "torch ms": ratio, "ratio": ratio}

    monkeypatch.setattr(grid, "measure_cell", measure_cell)
    monkeypatch.setattr(grid.libraries, "installed", lambda left_out: ["minilm", "torch"])
    monkeypatch.setattr(grid.libraries, "set_threads", lambda name, threads: None)
    monkeypatch.setattr("sys.argv", ["grid.py", "--quick", "--out", str(tmp_path)])
    assert grid.main() == status
    printed = capsys.readouterr().out
    assert ("0.90!" in printed) == (status == 1)
    assert f"torch is faster in {3 * status} of 27 cells" in printed
    assert (tmp_path / "grid.png").stat().st_size > 1000


def test_growth(run_python, tmp_path: Path) -> None:
    sizes = ["--hidden", "4", "--batch", "1", "--time", "2", "--vocab", "20"]
    options = ["--cell", "RNN", "--steps", "1", "--threads", "1", "--out", tmp_path]
    printed = run_python(BENCHMARKS / "scaling.py", *sizes, *options)
    assert "slope" in printed
    results = json.loads((tmp_path / "scaling.json").read_text(encoding="utf-8"))
    assert [result["axis"] for result in results] == ["batch", "time", "vocab"]
    assert results[2]["sizes"] == [20, 36, 63, 112, 200]
    assert all(ms > 0 for result in results for ms in result["ms"])
    assert (tmp_path / "scaling.png").stat().st_size > 1000


def test_odd_conditions(run_python, tmp_path: Path) -> None:
    options = ["--rows", "rnn_char", "--rounds", "1", "--seconds", "0.01", "--out", tmp_path]
    printed = run_python(BENCHMARKS / "robust.py", *options)
    assert "weights of 1e-38 / of 0.1" in printed
    results = json.loads((tmp_path / "robust.json").read_text(encoding="utf-8"))
    ms, ratios = results["rnn_char"]["ms"], results["rnn_char"]["ratios"]
    assert ratios["1 thread / 2 threads"] == ms["1 thread"] / ms["2 threads"]


@pytest.mark.usefixtures("modules")
def test_tiny_weights_stay_tiny() -> None:
    from configurations import CONFIGURATIONS
    from workload import Workload

    workload = Workload("minilm", CONFIGURATIONS["rnn_char"], largest_weight=1e-38, lr=0.0)
    workload.step()
    assert max(float(p.abs().max().item()) for p in workload.model.parameters()) <= 1e-38


def test_data(run_python, tmp_path: Path) -> None:
    printed = run_python(BENCHMARKS / "data.py", "--megabytes", "0.1", "--out", tmp_path)
    assert "MB/s" in printed
    results = json.loads((tmp_path / "data.json").read_text(encoding="utf-8"))
    assert results.keys() == {"char", "word", "tut_b2t5", "rnn_char"}
    assert results["char"]["ids MiB"] == pytest.approx(8 * 0.1e6 / 2**20)
    assert 0 < results["rnn_char"]["share"] < 1


def test_the_command_that_times_writing(run_python, tmp_path: Path) -> None:
    arguments = ["--rows", "rnn_char", "--turns", "1", "--seconds", "0.01", "--alone"]
    printed = run_python(BENCHMARKS / "generation.py", *arguments, "--out", tmp_path / "a.json")
    assert "tokens/s" in printed and "rnn_char" in printed
    [row] = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert row["minilm"] > 0 and row["int8"] > 0 and row["of read"] > 0
    assert row["MB"] == pytest.approx(4e-6 * 128 * (128 + 65))


def test_the_command_that_times_a_transformer(run_python) -> None:
    arguments = ["--rows", "gpt_char6x384", "--turns", "1", "--seconds", "0.01", "--alone"]
    printed = run_python(BENCHMARKS / "generation.py", *arguments).splitlines()
    title, row = printed[1].split(), printed[2].split()
    assert title[0] == "row" and row[0] == "gpt_char6x384"
    # The columns that were not measured are empty: minilm, int8, int8 x, MB, ...
    assert float(row[4]) == pytest.approx(4e-6 * (6 * 12 * 384**2 + 65 * 384), abs=0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("modules")
def test_the_others_have_the_model_that_minilm_has() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    ctranslate2 = pytest.importorskip("ctranslate2")
    import tempfile

    from transformer_writers import PROMPT, convert, make_transformer, same_model

    model = make_transformer("gpt_char6x384")
    expected = model.generate(PROMPT, 20, do_sample=False).tolist()[0]
    theirs = same_model(model, 1)
    written = theirs.generate(torch.from_numpy(PROMPT), max_new_tokens=20, do_sample=False)
    assert written.tolist()[0] == expected
    with tempfile.TemporaryDirectory() as folder:
        convert(theirs, Path(folder), "float32")
        generator = ctranslate2.Generator(folder, device="cpu", compute_type="float32")
    prompt = [[str(token) for token in PROMPT[0]]]
    options = {"max_length": 20, "min_length": 20, "include_prompt_in_result": False}
    [result] = generator.generate_batch(prompt, **options)
    assert result.sequences_ids[0] == expected[PROMPT.size :]


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("name", ["rnn_char", "gru_char", "lstm_char2x128"])
def test_the_graph_of_one_step_computes_what_the_model_does(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
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
