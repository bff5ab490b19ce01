"""Saving and loading: what comes back is what was saved; what is not safe is refused."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import minilm
from minilm import nn, optim


def test_a_state_dict_comes_back(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.LSTM(3, 4), nn.Linear(4, 5))
    minilm.save(model.state_dict(), tmp_path / "model.safetensors")
    loaded = minilm.load(tmp_path / "model.safetensors")
    assert list(loaded) and set(loaded) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert loaded[name].equal(tensor) and loaded[name].dtype == tensor.dtype
    model.load_state_dict(loaded)


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "model.safetensors"
    minilm.save({"w": minilm.ones(2, 3).T, "ids": np.arange(3)}, path)
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
        assert file.get_tensor("w").shape == (3, 2)
        assert file.get_tensor("ids").tolist() == [0, 1, 2]


def test_nested_dictionaries_come_back(tmp_path: Path) -> None:
    saved = {
        "model": {"w": minilm.tensor([1.0, 2.0])},
        "steps": [1, 2.5, None, True, "naïve"],
        "betas": (0.9, 0.999),
        3: {0: minilm.tensor(7)},
        "loss": np.float64(0.25),
        "empty": {},
    }
    minilm.save(saved, tmp_path / "checkpoint")
    loaded = minilm.load(tmp_path / "checkpoint")
    assert loaded["model"]["w"].tolist() == [1.0, 2.0]
    assert loaded["steps"] == saved["steps"] and loaded["betas"] == saved["betas"]
    assert loaded[3][0].item() == 7 and loaded[3][0].shape == ()
    assert loaded["loss"] == 0.25 and loaded["empty"] == {}


def test_an_optimizer_continues_from_its_saved_state(tmp_path: Path) -> None:
    minilm.manual_seed(0)
    parameter = nn.Parameter(minilm.randn(3))
    optimizer = optim.Adam([parameter], lr=0.1)

    def step(parameter: nn.Parameter, optimizer: optim.Adam) -> list[float]:
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
        return parameter.tolist()

    step(parameter, optimizer)
    minilm.save(
        {"model": {"p": parameter}, "optimizer": optimizer.state_dict()}, tmp_path / "checkpoint"
    )
    expected = step(parameter, optimizer)
    loaded = minilm.load(tmp_path / "checkpoint")
    other = nn.Parameter(loaded["model"]["p"])
    resumed = optim.Adam([other], lr=0.5)
    resumed.load_state_dict(loaded["optimizer"])
    assert step(other, resumed) == expected


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("exit 1",)


def pickled() -> bytes:
    return pickle.dumps(Evil())


def zipped_pickle() -> bytes:
    """As torch.save writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled())
    return buffer.getvalue()


@pytest.mark.parametrize("content", [pickled, zipped_pickle])
def test_pickles_are_refused(tmp_path: Path, content) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content())
    with pytest.raises(ValueError, match=r"model.pt.*pickle.*save_file"):
        minilm.load(path)


@pytest.mark.parametrize("kept", [0, 4, 20, -1])
def test_damaged_files_are_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.safetensors"
    minilm.save({"w": minilm.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model.safetensors: not a complete safetensors"):
        minilm.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        minilm.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (lambda: nn.Linear(1, 1), r"save its state_dict\(\)"),
        (lambda: minilm.ones(1), "dictionary"),
        (lambda: {"a": {"b": object()}}, r"a\.b is a object"),
        (lambda: {"model": nn.Linear(1, 1)}, "model is a Linear"),
        (lambda: {(1, 2): 3}, "key"),
    ],
)
def test_what_is_no_data_is_refused(tmp_path: Path, obj, words) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match=words):
        minilm.save(obj(), path)
    assert path.read_bytes() == b"old"
