import json
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

import minilm
from minilm.models import AutoModelForCausalLM, FolderError, GPT2Config, GPT2LMHeadModel
from minilm.models.weights import stored_tensors, stored_weights, weight_bytes

VALUES = np.array([[0.0, -0.0, 1.0, -2.5], [np.inf, 3.0e38, 1e-30, 0.1]], np.float32)


def written(folder, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)


def bfloat16_file(values: np.ndarray) -> bytes:
    """Write values by hand, with their lower halves cut off."""
    halves = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    entry = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [0, len(halves)]}
    header = json.dumps({"w": entry}).encode()
    return struct.pack("<Q", len(header)) + header + halves


@pytest.mark.parametrize("dtype", "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 ?".split())
def test_half_floats_are_widened_and_all_others_read_as_they_are(tmp_path, dtype):
    values = np.array([[0.1, 2.0], [123.0, 1e-7]]).astype(dtype)
    written(tmp_path, save({"w": values}))
    found = stored_weights(tmp_path)["w"].read()
    assert found.dtype == (np.float32 if dtype == "f2" else np.dtype(dtype))
    np.testing.assert_array_equal(found, values)


def test_bfloat16_is_widened(tmp_path):
    written(tmp_path, bfloat16_file(VALUES))
    found = stored_weights(tmp_path)["w"].read()
    assert found.shape == (2, 4)
    expected = (VALUES.view(np.uint32) & 0xFFFF0000).view(np.float32)
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_bfloat16_agrees_with_torch(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    values = torch.randn(7, 5).to(torch.bfloat16)
    save_torch({"w": values}, tmp_path / "model.safetensors")
    found = stored_weights(tmp_path)["w"].read()
    np.testing.assert_array_equal(found, values.float().numpy())


def test_numbers_of_8_bits_are_refused(tmp_path):
    data = bfloat16_file(VALUES).replace(b'"BF16"', b'"F8_E4M3"').replace(b"[0, 16]", b"[0, 8]")
    length = int.from_bytes(data[:8], "little") + 2  # the header is two letters longer
    written(tmp_path, struct.pack("<Q", length) + data[8:-8])
    with pytest.raises(FolderError, match="dtype F8_E4M3, which is not read"):
        stored_weights(tmp_path)["w"].read()


def test_empty_and_scalar_tensors(tmp_path):
    written(tmp_path, save({"e": np.zeros((0, 3), np.float32), "s": np.array(2.0, np.float32)}))
    found = {name: tensor.read() for name, tensor in stored_weights(tmp_path).items()}
    assert found["e"].shape == (0, 3)
    assert found["s"].shape == () and found["s"] == 2.0


# --- several files --------------------------------------------------------------------------------


@pytest.fixture
def sharded(tmp_path):
    a, b = np.ones((2, 2), np.float32), np.zeros(3, np.float32)
    save_file({"a": a}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": b}, tmp_path / "model-00002-of-00002.safetensors")
    names = {
        "a": "model-00001-of-00002.safetensors",
        "b": "model-00002-of-00002.safetensors",
    }
    set_index(tmp_path, names)
    return tmp_path


def set_index(folder, weight_map: object) -> None:
    text = json.dumps({"metadata": {"total_size": 28}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def test_several_files_are_read_as_one(sharded):
    found = stored_weights(sharded)
    assert {name: tensor.shape for name, tensor in found.items()} == {"a": (2, 2), "b": (3,)}
    assert found["a"].read().all()


def test_a_missing_file_of_several_is_named(sharded):
    (sharded / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FolderError, match="has no model-00002-of-00002.safetensors"):
        stored_weights(sharded)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        (
            {"a": "model-00001-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"},
            ": c$",
        ),
        ({"a": "../model-00001-of-00002.safetensors"}, "the file of a is '../model"),
        ({"a": ""}, "the file of a is ''"),
        ({"a": 3}, "the file of a is 3"),
        ({}, "expected weight_map"),
        ([], "expected weight_map"),
        (None, "expected weight_map"),
    ],
)
def test_a_damaged_index_says_how(sharded, weight_map, message):
    set_index(sharded, weight_map)
    with pytest.raises(FolderError, match=message):
        stored_weights(sharded)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_pickles_are_refused_with_how_to_convert(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(FolderError, match=f"as {name}, a pickle.*save_pretrained"):
        stored_weights(tmp_path)


def test_missing_weights_say_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(FolderError, match=r"has no model.safetensors \(it has notes.txt\)"):
        stored_weights(tmp_path)


def test_what_is_shared_is_written_once_and_found_under_all_names(tmp_path):
    model = minilm.nn.Sequential(minilm.nn.Linear(2, 2, bias=False), minilm.nn.Linear(2, 2))
    model[1].weight = model[0].weight
    data = weight_bytes(model)
    written(tmp_path, data)
    found = stored_tensors(tmp_path / "model.safetensors")
    assert sorted(found) == ["0.weight", "1.bias", "1.weight"]
    assert found["0.weight"] == found["1.weight"]
    assert len(data) < 8 + 300 + 4 * (4 + 2)


# --- damage ---------------------------------------------------------------------------------------
# Whatever a file holds, the answer is a model or a FolderError, never another exception.


def saved_files() -> dict[str, bytes]:
    import tempfile
    from pathlib import Path

    minilm.manual_seed(0)
    config = GPT2Config(vocab_size=5, n_positions=4, n_embd=4, n_layer=1, n_head=2)
    with tempfile.TemporaryDirectory() as name:
        GPT2LMHeadModel(config).save_pretrained(name)
        return {path.name: path.read_bytes() for path in Path(name).iterdir()}


FILES = saved_files()
HEADER = 8 + int.from_bytes(FILES["model.safetensors"][:8], "little")


def load(folder, name: str, content: bytes) -> None:
    for other, data in FILES.items():
        (folder / other).write_bytes(content if other == name else data)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder)
    except FolderError:
        return
    assert isinstance(model, GPT2LMHeadModel)


fuzz = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@fuzz
@given(data=st.data())
def test_damaged_bytes_of_weights_never_crash(tmp_path, data):
    content = bytearray(FILES["model.safetensors"])
    for _ in range(data.draw(st.integers(1, 4))):
        # Mostly in the header: there is no wrong byte among the numbers.
        content[data.draw(st.integers(0, HEADER + 7))] = data.draw(st.integers(0, 255))
    load(tmp_path, "model.safetensors", bytes(content))


@fuzz
@given(cut=st.integers(0, len(FILES["model.safetensors"])), more=st.binary(max_size=9))
def test_files_that_are_cut_or_too_long_never_crash(tmp_path, cut, more):
    load(tmp_path, "model.safetensors", FILES["model.safetensors"][:cut] + more)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["F32", "BF16", "gpt2"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@fuzz
@given(data=st.data())
def test_headers_of_any_json_never_crash(tmp_path, data):
    body = FILES["model.safetensors"]
    header = json.loads(body[8:HEADER])
    name = data.draw(st.sampled_from(sorted(header)))
    if data.draw(st.booleans()) and name != "__metadata__":
        header[name][data.draw(st.sampled_from(["dtype", "shape", "data_offsets"]))] = data.draw(
            JSON
        )
    else:
        header[name] = data.draw(JSON)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    load(tmp_path, "model.safetensors", struct.pack("<Q", len(text)) + text + body[HEADER:])


@fuzz
@given(data=st.data())
def test_configurations_of_any_json_never_crash(tmp_path, data):
    settings = json.loads(FILES["config.json"])
    names = data.draw(st.lists(st.sampled_from(sorted(settings)), min_size=1, max_size=3))
    for name in names:
        settings[name] = data.draw(JSON | st.sampled_from([10**9, 2**31 - 1, 8, 1]))
    load(tmp_path, "config.json", json.dumps(settings).encode())


@fuzz
@given(name=st.sampled_from(["config.json", "generation_config.json"]), content=st.binary())
def test_json_files_of_any_bytes_never_crash(tmp_path, name, content):
    load(tmp_path, name, content)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"n_layer": ' + b"9" * 5000 + b"}"])
def test_json_that_python_cannot_read_is_damaged(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(FolderError, match="config.json is damaged"):
        AutoModelForCausalLM.from_pretrained(tmp_path)
